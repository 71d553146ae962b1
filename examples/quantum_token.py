"""Issue, present and verify a quantum token, and try to spend it at two points.

Run as ``python examples/quantum_token.py [FOLDER]``; run and records go into the folder, ``token-out`` by default.
"""

import sys
from pathlib import Path

from faintlink.acquisition.scripting import Station


def main(folder: Path) -> None:
    """Record a run once and judge it twice: with an honest user and with a dishonest one."""
    with Station("token") as lab, lab.run(out=folder / "run") as run:
        pass
    honest = run.judge(folder / "honest")
    print(honest.verdict)
    forged = run.judge(folder / "forged", attack="breidbart")
    print(forged.verdict)
    for name in ("eps_unf", "eps_rob", "eps_cor"):
        print(name, honest.facts.get(name))
    for statement in honest.statements:
        print("-", statement)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "token-out"))
