"""Link files that come with the package, and names for the folders of their runs."""

from datetime import UTC, datetime
from pathlib import Path

import faintlink.core


def default_folder(name: str) -> Path:
    """Return a folder name made of ``name`` and the time."""
    return Path(f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")


def shipped_link(name: str) -> Path:
    """Return a link file that comes with the package."""
    return Path(faintlink.core.__path__[0]).parent / "lab_configs" / f"{name}.link.yaml"
