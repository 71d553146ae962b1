"""Open an audit log after whatever happened: check its end, and set aside what was never acknowledged.

Used by `faintlink.delivery.audit.log` alone. It never drops a byte: what lies behind the head is copied to a file of
its own, durably, before it is cut off.
"""

import hashlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.errors import AuditError, FormatError
from faintlink.core.private import write_private
from faintlink.delivery.audit import files
from faintlink.delivery.audit.signing import AuditPublicKey, Checkpoint
from faintlink.delivery.audit.verify import Chain

_log = logging.getLogger(__name__)
_BROKEN = "run `faintlink audit verify`, keep all files, and begin a new log in another folder"


@dataclass(frozen=True, slots=True)
class Found:
    """Where a log goes on."""

    end: Checkpoint
    anchored: int
    """Records at the last anchor."""
    first: int
    """First record of the segment that is being written."""
    segment: int
    """Handle of that segment."""
    set_aside: dict[str, str | int]
    """What was set aside, as a fact; empty where nothing was."""


def recover(folder: Path, *, anchors: Path, key: AuditPublicKey) -> Found:
    """Return where a log goes on.

    Raises
    ------
    AuditError
        Head, anchors and the last segment do not fit together.
    """
    head = files.read_head(folder / files.HEAD, key)
    kept, torn = files.read_anchors(anchors, key)
    if torn:
        os.truncate(anchors, anchors.stat().st_size - torn)
    if len(kept) < head.anchors:
        raise AuditError(
            f"{head.anchors} anchors were made, {anchors} holds {len(kept)}",
            hint="the anchors are an older copy, or others: keep all files and compare",
        )
    # After a crash of the machine the head may be older than the last anchor, and the log goes on behind both.
    mark = max([head, *kept[-1:]], key=lambda one: one.records)
    chain, beyond = _follow_all(folder, mark, key)
    end = Checkpoint(chain.n, chain.hash, len(kept), mark.utc)
    aside = _set_aside(folder, beyond)
    path, first = _last_segment(folder, end)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
    segment = os.open(path, flags) if path.exists() else files.create(path)
    return Found(end, kept[-1].records if kept else 0, first, segment, aside)


def _last_segment(folder: Path, end: Checkpoint) -> tuple[Path, int]:
    there = files.segments(folder)
    path = there[-1] if there else files.segment_path(folder, end.records)
    return path, _first_of(path)


def _first_of(path: Path) -> int:
    try:
        return int(path.stem.rpartition("-")[2])
    except ValueError:
        raise AuditError(f"{path} is no segment of an audit log", hint="move it out of the folder") from None


def _follow_all(folder: Path, mark: Checkpoint, key: AuditPublicKey) -> tuple[Chain, list[files.Line]]:
    """Return where the site's own lines end, and the lines behind that; begins in the last segment before the mark."""
    there = files.segments(folder)
    starting = [path for path in there if _first_of(path) < mark.records]
    chain = None if mark.records else Chain()
    beyond: list[files.Line] = []
    for path in [*starting[-1:], *there[len(starting) :]]:
        for line in files.lines(path):
            chain = chain or Chain(_first_of(path), _prev_of(line))
            if chain.n < mark.records:
                _follow(chain, line)
                _require_mark(chain, mark, folder)
            elif beyond or not chain.follow_sealed(line, key):
                beyond.append(line)
    if chain is None or chain.n < mark.records:
        raise _not_as_acknowledged(folder, mark)
    return chain, beyond


def _require_mark(chain: Chain, mark: Checkpoint, folder: Path) -> None:
    if chain.n == mark.records and chain.hash != mark.hash:
        raise _not_as_acknowledged(folder, mark)


def _not_as_acknowledged(folder: Path, mark: Checkpoint) -> AuditError:
    return AuditError(f"{folder} was acknowledged up to record {mark.records - 1}, it does not end so", hint=_BROKEN)


def _prev_of(line: files.Line) -> str:
    _, _, rest = line.data.rpartition(b'"prev": "')
    return rest[:64].decode("ascii", "replace")


def _follow(chain: Chain, line: files.Line) -> None:
    try:
        chain.follow(line.data)
    except FormatError as error:
        raise AuditError(f"{line.path}, line {line.number}: {error.message}", hint=_BROKEN) from error


def _set_aside(folder: Path, beyond: Iterable[files.Line]) -> dict[str, str | int]:
    lines = list(beyond)
    if not lines:
        return {}
    data = b"".join(line.data + (b"\n" if line.is_whole else b"") for line in lines)
    digest = hashlib.sha256(data).hexdigest()
    path = folder / f"aside-{digest[:16]}"
    # A copy that is there already was cut off by a crash, or is whole and was made right before one.
    path.unlink(missing_ok=True)
    write_private(path, data)
    for at in sorted({line.path for line in lines}, reverse=True):
        start = min(line.start for line in lines if line.path == at)
        if start or at == files.segments(folder)[0]:
            os.truncate(at, start)
        else:
            at.unlink()
    _log.warning("%d bytes behind the last acknowledged record were set aside in %s", len(data), path)
    return {"file": path.name, "bytes": len(data), "sha256": digest}
