"""Open the raw data of a run as xarray and pandas, and make its key again with a narrower gate.

Run as ``python examples/reanalyse.py [RUNFOLDER]``; without a run one is recorded first, into ``reanalyse-out``.
Keys of a changed analysis are never usable: the policy is fixed before the first pulse.
"""

import sys
from pathlib import Path

from faintlink.acquisition.scripting import Station
from faintlink.core.entropy import OsEntropy
from faintlink.core.exports.frames import open_pandas, open_xarray
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.campaign.variant import varied
from faintlink.postprocess.pipeline import process
from faintlink.postprocess.results import link_of


def recorded(folder: Path) -> Path:
    """Return the folder of a new run."""
    with Station("polarization_1ghz") as lab:
        return lab.run(settings={"fibre.length": 80.0}, out=folder).wait().folder


def main(folder: Path) -> None:
    """Look at the tags, then compare two gates."""
    tags = open_xarray(folder, party="bob", stop_s=0.1)
    print(tags)
    frame = open_pandas(folder, party="bob", stop_s=0.1)
    print(frame.groupby("channel")["time_ps"].agg(["size", "min", "max"]))

    run = open_run([folder])
    link = link_of(run)
    for half_width_ps in (link.gate.half_width_ps, 100):
        changed, _ = varied(link, {"gate.half_width_ps": half_width_ps})
        analysis = process(run, changed, OsEntropy())
        print(f"gate of ±{half_width_ps} ps:", *analysis.blocks)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else recorded(Path("reanalyse-out")))
