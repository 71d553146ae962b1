"""Wait for the disk."""

import os
from pathlib import Path


def fsync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder: what was made, renamed and removed in it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
