"""Find the latest fact of a kind in an audit log, from its end on, without reading the whole log."""

import mmap
from pathlib import Path

from faintlink.core.errors import AuditError, FormatError
from faintlink.delivery.audit.files import segments
from faintlink.delivery.audit.records import Record, decode, sealed
from faintlink.delivery.audit.site import LOG_FOLDER, public_key
from faintlink.delivery.witness import Event

_VERIFY = "run `faintlink audit verify`"


def latest(home: Path, event: Event) -> Record | None:
    """Return the latest record of ``event`` in the log of a site, or None if there is none.

    Parameters
    ----------
    home
        Folder of the site's audit.
    event
        The kind.

    Raises
    ------
    AuditError
        The record is not what it was, or not the site's own.
    """
    # Within a string of JSON every quote has a backslash before it: only the member itself looks like this.
    member = f'"event": "{event}"'.encode("ascii")
    for path in reversed(segments(home / LOG_FOLDER)):
        line = _last_line(path, member)
        if line is None:
            continue
        try:
            record = decode(line)
        except FormatError as error:
            raise AuditError(f"{path}: {error.message}", hint=_VERIFY) from error
        if not public_key(home).has_sealed(*sealed(line)):
            raise AuditError(f"{path}: record {record.n} was not sealed by this site", hint=_VERIFY)
        return record
    return None


def _last_line(path: Path, member: bytes) -> bytes | None:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            # What no newline ends is being written, or was never acknowledged.
            whole = data.rfind(b"\n") + 1
            at = data.rfind(member, 0, whole)
            return None if at < 0 else data[data.rfind(b"\n", 0, at) + 1 : data.find(b"\n", at)]
