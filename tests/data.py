"""Where the recorded data for tests lie, and a clear skip where they do not."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """Return the path of a recorded file or folder, or skip the test and say what is missing."""
    folder = Path(os.environ.get("FAINTLINK_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"recorded data {name} is not at {folder}; set FAINTLINK_DATA to its folder")
    return path
