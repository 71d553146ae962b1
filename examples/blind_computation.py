"""Let a server compute without knowing what, and catch it when it deviates.

Run as ``python examples/blind_computation.py [FOLDER]``; runs and records go into the folder, ``bqc-out`` by default.
"""

import sys
from pathlib import Path

from faintlink.acquisition.bqc_run import take_bqc_run
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.entropy import OsEntropy
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.applications import Outcome, application
from faintlink.postprocess.results import link_of, new_folder


def judged(folder: Path, **knobs: object) -> Outcome:
    """Play a session on the mock Qline and return the clients' verdict."""
    take_bqc_run(shipped_link("bqc"), folder / "run", settings=knobs)
    run = open_run([folder / "run"])
    link = link_of(run)
    return application(link.protocol)(run, link, new_folder(folder / "verdict", folder), OsEntropy())


def main(folder: Path) -> None:
    """Compute with an honest server, then with one that flips the last outcome."""
    honest = judged(folder / "honest")
    print(honest.verdict)
    cheated = judged(folder / "cheated", **{"bench.attack": "flip"})
    print(cheated.verdict)
    print("caught:", honest.is_accepted and not cheated.is_accepted)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "bqc-out"))
