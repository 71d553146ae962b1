"""Watch the error rate of a run without a window, and end the run when it stays too high.

Run as ``python examples/watch_qber.py [FOLDER]``; the run goes into the folder, ``watch-out`` by default. After a
second an eavesdropper appears, which on the mock bench is a knob; the run is ended early, and what was recorded until
then is sealed and can be analysed.
"""

import sys
from pathlib import Path

from faintlink.acquisition.scripting import Station

LIMIT = 0.05


def main(folder: Path) -> None:
    """Print a line each quarter of a second until the run ends."""
    with Station("demo") as lab, lab.run(duration_s=60.0, out=folder) as run:
        for status in run.every(0.25):
            recent = status.live.recent_key
            errors = f"QBER {recent.rate:.2%} of the last {recent.bits} bits" if recent.bits else "no bits yet"
            print(f"{run.progress:4.0%}  {errors}  {status.live.state}")
            if status.elapsed_s > 1.0:
                lab.bench.attack("intercept-resend")
                lab.bench.attack_fraction(0.5)
            if recent.bits > 10_000 and recent.rate > LIMIT:
                print(f"more than {LIMIT:.0%} errors: ending the run")
                run.stop()
    print(run.report)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "watch-out"))
