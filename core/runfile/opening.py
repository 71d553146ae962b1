"""Open the HDF5 file below a run file, without ever hanging on a damaged one.

Only the reader uses this. HDF5 reads a file of a SWMR writer with up to a hundred attempts for each piece of
metadata whose checksum is wrong, waiting twice as long each time: on a file that is really damaged that never
ends. So such a file is first looked through without SWMR, where a wrong checksum is an error at once.

Sources: HDF5 File Format Specification version 3.0, section II.A; the retry loop is that of HDF5 2.0.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import h5py

from faintlink.core.errors import RunfileError, SchemaError
from faintlink.core.runfile.superblock import SIGNATURE, RepairedFile, is_marked_for_swmr

RECOVER = "run `faintlink recover FILE`: it copies every whole block into a new file"
HDF5_ERRORS = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
"""What h5py raises, from many places, where a file is damaged."""
_ATTEMPTS = 5
_PAUSE_S = 0.02


def open_hdf5(path: Path, repaired: RepairedFile | None) -> h5py.File:
    """Return the open file, in SWMR mode where a writer has it or left it behind.

    Raises
    ------
    SchemaError
        No file, no HDF5, or damaged.
    """
    if not path.is_file():
        raise SchemaError(f"{path} is not a file", hint="name a run file (*.h5), or a run folder where one is taken")
    try:
        return h5py.File(path if repaired is None else repaired, "r")
    except HDF5_ERRORS as error:
        if repaired is not None or not is_marked_for_swmr(path):
            raise _unusable(path, error) from error
    _look_through(path)
    try:
        return h5py.File(path, "r", swmr=True)
    except HDF5_ERRORS:
        # It may have been sealed a moment ago.
        with damage_as_schema_error(path):
            return h5py.File(path, "r")


def _look_through(path: Path) -> None:
    """Visit all metadata once without SWMR; a writer at work may spoil an attempt, not all of them."""
    for attempt in range(_ATTEMPTS):
        try:
            with RepairedFile(path) as raw, h5py.File(raw, "r") as file:
                file.visititems(_visit)
            return
        except HDF5_ERRORS as error:
            if attempt == _ATTEMPTS - 1:
                raise _unusable(path, error) from error
            time.sleep(_PAUSE_S)


def _visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
    del name
    list(item.attrs.items())
    if isinstance(item, h5py.Dataset) and item.chunks:
        item.id.get_num_chunks()


@contextlib.contextmanager
def damage_as_schema_error(path: Path) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a `SchemaError`."""
    try:
        yield
    except RunfileError:
        raise
    except HDF5_ERRORS as error:
        raise SchemaError(f"{path} is damaged: {first_line(error)}", hint=RECOVER, path=str(path)) from error


def _unusable(path: Path, error: Exception) -> SchemaError:
    with path.open("rb") as raw:
        is_hdf5 = raw.read(len(SIGNATURE)) == SIGNATURE
    what = "is a damaged HDF5 file" if is_hdf5 else "is no HDF5 file"
    hint = RECOVER if is_hdf5 else "other recordings enter with `faintlink import FILE --out RUN`"
    return SchemaError(f"{path} {what}: {first_line(error)}", hint=hint, path=str(path))


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its name."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
