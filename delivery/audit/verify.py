"""Verify an audit log against its chain, its head and its anchors, and say exactly where it is broken.

Used by `faintlink audit verify`, the evidence pack, and the log itself when it opens. It changes nothing.

What is found: any changed, inserted, missing or moved byte, line or file up to the last acknowledged record; records
cut off at the end; a chain that was written anew from some record on. What cannot be found: an older copy of the
*whole* folder, if the anchors were replaced by their older copy as well. Keep the anchors where the site cannot write.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from faintlink.core.errors import AuditError, FormatError
from faintlink.delivery.audit.files import HEAD, Line, lines, read_anchors, read_head, segments
from faintlink.delivery.audit.records import GENESIS, Record, decode, sealed
from faintlink.delivery.audit.signing import AuditPublicKey, Checkpoint

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a log is broken."""

    record: int | None
    """Number of the first record that is not what it was; None where a head or an anchor is broken."""
    place: str
    """File and line."""
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found."""

    records: int
    """Sound ones, from the first without gap."""
    segments: int
    anchors: int
    unacknowledged_bytes: int
    """Bytes beyond the last acknowledged record: a crash left them, or the log is being written just now."""
    faults: tuple[Fault, ...]
    """The first broken record first."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is broken."""
        return not self.faults


class Chain:
    """Follows records in their order; says where one does not join."""

    def __init__(self, n: int = 0, prev: str = GENESIS) -> None:
        self.n = n
        """Number of the record that is due."""
        self.hash = prev
        """Hash of the record before it."""

    def follow(self, line: bytes) -> Record:
        """Return the record of a line that joins on.

        Raises
        ------
        FormatError
            It does not.
        """
        record = decode(line)
        if record.n != self.n:
            raise FormatError(f"record {self.n} is due, found {record.n}", hint="records are missing or were moved")
        if record.prev != self.hash:
            raise FormatError(f"record {self.n} does not join on to the one before", hint="one of them was replaced")
        self.n, self.hash = record.n + 1, record.hash
        return record

    def follow_sealed(self, line: Line, key: AuditPublicKey) -> bool:
        """Go on by a line that joins on and that the site sealed; return whether it is one."""
        start = self.n, self.hash
        try:
            self.follow(line.data)
        except FormatError:
            return False
        if line.is_whole and key.has_sealed(*sealed(line.data)):
            return True
        self.n, self.hash = start
        return False


def verify(folder: Path, *, anchors: Path, key: AuditPublicKey) -> Verification:
    """Verify a log.

    Parameters
    ----------
    folder
        Of the log.
    anchors
        File of the anchors; best the auditor's own copy.
    key
        Of the site; best the auditor's own copy.
    """
    faults: list[Fault] = []
    head = _or_fault(lambda: read_head(folder / HEAD, key), faults)
    read = _or_fault(lambda: read_anchors(anchors, key)[0], faults)
    kept = read or []
    if head is not None and read is not None and len(kept) < head.anchors:
        faults.append(Fault(None, str(anchors), f"{head.anchors} anchors were made, {len(kept)} are there"))
    checkpoints = [*kept, *([head] if head is not None else [])]
    walk = Walk(checkpoints, key)
    paths = segments(folder)
    fault = walk.through(line for path in paths for line in lines(path))
    return Verification(
        records=walk.chain.n,
        segments=len(paths),
        anchors=len(kept),
        unacknowledged_bytes=walk.beyond,
        faults=(*([fault] if fault else []), *faults),
    )


def acknowledged(folder: Path, *, until: int) -> Iterator[Record]:
    """Yield the records of a log up to number ``until``, each followed along the chain.

    Raises
    ------
    AuditError
        The chain breaks before.
    """
    chain = Chain()
    for path in segments(folder):
        for line in lines(path):
            if chain.n >= until:
                return
            try:
                yield chain.follow(line.data)
            except FormatError as error:
                raise AuditError(f"{_place(line)}: {error.message}", hint="run `faintlink audit verify`") from error


class Walk:
    """Goes through the lines of a log once.

    Parameters
    ----------
    checkpoints
        All there are. Behind the one with most records, only lines that the site sealed count.
    key
        Of the site.
    chain
        Where to begin; at the first record if left out.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint], key: AuditPublicKey, chain: Chain | None = None) -> None:
        self.chain = chain or Chain()
        """Where the walk is."""
        self.beyond = 0
        """Bytes behind the last acknowledged record."""
        self._key = key
        self._marks = sorted(checkpoints, key=lambda one: one.records)
        self._end = self._marks[-1].records if self._marks else 0
        self._good = self.chain.n

    def through(self, log: Iterable[Line]) -> Fault | None:
        """Return the first fault, or None."""
        place = "the start"
        for line in log:
            place = _place(line)
            if self.chain.n >= self._end:
                if self.beyond or not self.chain.follow_sealed(line, self._key):
                    self.beyond += len(line.data) + line.is_whole
            elif (fault := self._step(line)) is not None:
                return fault
        if self.chain.n < self._end:
            missing = f"records {self.chain.n} to {self._end - 1} were acknowledged and are missing"
            return Fault(self.chain.n, f"after {place}", missing)
        return None

    def _step(self, line: Line) -> Fault | None:
        due = self.chain.n
        if not line.is_whole:
            return Fault(due, _place(line), f"record {due} was acknowledged and is cut off")
        try:
            self.chain.follow(line.data)
        except FormatError as error:
            return Fault(due, _place(line), error.message)
        return self._mark(line)

    def _mark(self, line: Line) -> Fault | None:
        while self._marks and self._marks[0].records <= self.chain.n:
            mark = self._marks.pop(0)
            if mark.records == self.chain.n and mark.hash != self.chain.hash:
                what = f"records {self._good} to {self.chain.n - 1} are not those that were signed: written anew"
                self.chain.n = self._good
                return Fault(self._good, _place(line), what)
            self._good = max(self._good, mark.records)
        return None


def _place(line: Line) -> str:
    return f"{line.path}, line {line.number}"


def _or_fault(read: Callable[[], T], faults: list[Fault]) -> T | None:
    try:
        return read()
    except AuditError as error:
        place, _, what = error.message.partition(": ")
        faults.append(Fault(None, place, what))
        return None
