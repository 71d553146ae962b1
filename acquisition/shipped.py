"""Link files that come with the package, and names for the folders of their runs."""

from datetime import UTC, datetime
from pathlib import Path

import faintlink.core
from faintlink.core.errors import ConfigError

_ENDING = ".link.yaml"


def default_folder(name: str) -> Path:
    """Return a folder name made of ``name`` and the time."""
    return Path(f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")


def shipped_link(name: str) -> Path:
    """Return a link file that comes with the package."""
    return _folder() / f"{name}{_ENDING}"


def found_link(link: str | Path) -> Path:
    """Return the link file of that path, or else the one of that name that comes with the package.

    Raises
    ------
    ConfigError
        There is neither.
    """
    for path in (Path(link), shipped_link(str(link))):
        if path.is_file():
            return path
    names = sorted(path.name.removesuffix(_ENDING) for path in _folder().glob(f"*{_ENDING}"))
    raise ConfigError(
        f"there is no link file {str(link)!r} in {Path.cwd()}",
        hint=f"name a file, or one that comes with the package: {', '.join(names)}",
    )


def _folder() -> Path:
    return Path(faintlink.core.__path__[0]).parent / "lab_configs"
