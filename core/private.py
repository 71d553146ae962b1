"""Make files that nobody but their owner may read: keys, secrets, and what is as secret as these.

The mode is right from the first byte on: a file that is opened up first and closed off later can be read in between.
"""

import os
from pathlib import Path

from faintlink.core.errors import RunExistsError


def write_private(path: Path, data: bytes, *, hint: str = "choose another name") -> Path:
    """Write a new file of mode 0600, wait until it is on the disk, and return its path.

    Raises
    ------
    RunExistsError
        It exists; nothing was overwritten.
    """
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise RunExistsError(f"{path} exists; nothing was overwritten", hint=hint, path=str(path)) from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return path
