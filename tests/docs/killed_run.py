"""Leave a run folder as a kill of its writer does: ``python -m tests.docs.killed_run FOLDER``."""

import sys
from pathlib import Path

from tests.runs import tag_blocks, write_file

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir()
    write_file(folder / "bob-0000.h5", tag_blocks([1000, 2000, 500]), seal=False)
