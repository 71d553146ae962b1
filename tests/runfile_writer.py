"""A writer process that tells each committed block on standard output; tests kill it at random moments.

Block n holds `ROWS` tags that follow from n alone, so that a reader can tell whether they are right.
Run as ``python runfile_writer.py FILE BLOCKS PAUSE_S leave|seal``, or with ``rotate`` to write a run folder whose
file is rotated at every commit.
"""

import sys
import time
from pathlib import Path

import numpy as np

from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.runfile.schema import RunHeader, StreamSpec
from faintlink.core.runfile.writer import RunFileWriter
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock

ROWS = 3000
STEP_PS = 10_000_000


def expected_block(number: int) -> TagBlock:
    """Return block ``number``."""
    rng = np.random.default_rng(number)
    times_ps = number * STEP_PS + np.sort(rng.integers(0, STEP_PS, ROWS))
    return TagBlock(times_ps, rng.integers(0, 4, ROWS, dtype=np.uint8))


def main(path: Path, blocks: int, pause_s: float, seal: bool) -> None:
    """Write ``blocks`` blocks and tell each once it is committed."""
    header = RunHeader("crash", "bob", "2026-01-02T03:04:05+00:00", "0.1.0")
    writer = RunFileWriter(path, header=header, streams=[StreamSpec("tags", "tags")], context={"link": "x"})
    for number in range(blocks):
        writer.append_tags("tags", expected_block(number))
        writer.commit()
        print(number, flush=True)
        time.sleep(pause_s)
    if seal:
        writer.seal()
        print("sealed", flush=True)


def rotate(folder: Path, blocks: int) -> None:
    """Write ``blocks`` blocks into a run folder, one a file, and tell each once it is committed."""
    streams = [StreamSpec("tags", "tags")]
    writer = PartyWriter(folder, create_run(folder), Party.BOB, streams=streams, context={}, rotate_bytes=1)
    for number in range(blocks):
        writer.append_tags("tags", expected_block(number))
        writer.commit()
        print(number, flush=True)


if __name__ == "__main__" and sys.argv[4] == "rotate":
    rotate(Path(sys.argv[1]), int(sys.argv[2]))
elif __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "seal")
