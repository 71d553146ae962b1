"""Small files beside a receiver's recording: what a session drew before its first pulse and nobody else may read.

Payments and money keep there what drove the receiver; the analysis of a run needs it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from faintlink.core.errors import SchemaError
from faintlink.core.private import write_private
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party

Kept = TypeVar("Kept")


def write_beside(folder: Path, name: str, kind: str, data: dict[str, Any]) -> None:
    """Write a file of mode 0600 into a run's folder, which may not hold one of that name.

    Raises
    ------
    RunExistsError
        It exists.
    """
    write_private(folder / name, json.dumps({"format": kind, **data}).encode())


def read_beside(
    run: Run, name: str, kind: str, take: Callable[[dict[str, Any]], Kept], *, what: str, hint: str
) -> Kept:
    """Return what ``take`` makes of the file beside the receiver's recording.

    Parameters
    ----------
    run
        With the receiver's files.
    name, kind
        Of the file.
    take
        Makes sense of its entries; a ValueError, KeyError or TypeError says that they make none.
    what, hint
        For the error: what is lacking, and the remedy.

    Raises
    ------
    SchemaError
        There is no such file, or it is damaged. The message never shows what the file holds.
    """
    path = Path(run[Party.BOB].paths[0]).parent / name
    try:
        data = json.loads(path.read_text())
        if data["format"] != kind:
            raise ValueError(f"format is {data['format']!r}")
        return take(data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaError(f"{path} holds no {what} ({type(error).__name__})", hint=hint) from None
