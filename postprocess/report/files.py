"""Write a report's file, never over another."""

from pathlib import Path

from faintlink.core.errors import RunExistsError


def write_new(path: Path, data: bytes) -> Path:
    """Write a file that must not exist and return its path.

    Raises
    ------
    RunExistsError
        The file exists; nothing was overwritten.
    """
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        raise RunExistsError(
            f"{path} exists; nothing was overwritten",
            hint="choose another name, or move the old report away",
            path=str(path),
        ) from None
    return path
