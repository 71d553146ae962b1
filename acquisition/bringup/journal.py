"""What a bring-up did, line by line on the disk, so that the next one knows where it was.

One line of JSON an event, appended in one write and waited for before the next command is carried out: the knobs
are on the disk before a step may turn one. A crash can cut the last line off; it then counts as not written. The
lock on the file keeps two bring-ups off the same table.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.standing import Held
from faintlink.acquisition.bringup.states import State
from faintlink.core.errors import CorruptBlockError, InterlockError

FORMAT = "faintlink.bring-up/1"
FILE = "bring-up.jsonl"


class Event(StrEnum):
    """What a line tells."""

    BEGAN = "began"
    """A bring-up."""
    STEP_BEGAN = "step-began"
    """With the knobs as they were."""
    STEP_PASSED = "step-passed"
    STEP_MISSED = "step-missed"
    """Its routine put its knobs back."""
    PUT_BACK = "put-back"
    """Knobs that a crash left turned have their values again."""
    STATE = "state"
    """Another state is reached."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event."""

    utc: str
    """ISO 8601."""
    event: Event
    state: State
    """At this moment."""
    routine: str = ""
    """The step, where there is one."""
    record_id: str = ""
    """Of the record that the step left."""
    reason: str = ""
    """Why a step did not pass, or a bring-up ended."""
    link_sha256: str = ""
    """Of the link file's content, when a bring-up begins."""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    """By ``instrument.parameter``, as they were before a step."""

    @property
    def when(self) -> datetime:
        """The time."""
        return datetime.fromisoformat(self.utc)


def append_json(path: Path, document: Mapping[str, Any]) -> None:
    """Append a document as one line of JSON, in one write, and wait until it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps(document, separators=(",", ":"))
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # The rest of a line that a crash cut off must not grow together with this one.
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        os.write(handle, (b"\n" if torn else b"") + text.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


class Journal:
    """The journal of one link.

    Parameters
    ----------
    folder
        Where the link's calibration records lie.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def append(self, line: Line) -> None:
        """Write a line and wait until it is on the disk."""
        append_json(self.path, {"format": FORMAT, **asdict(line)})

    def lines(self) -> list[Line]:
        """Return every whole line, oldest first; none if there is no journal.

        Raises
        ------
        CorruptBlockError
            A whole line is not of a bring-up's journal.
        """
        if not self.path.exists():
            return []
        texts = self.path.read_bytes().split(b"\n")
        return [line for at, text in enumerate(texts, 1) if text and (line := self._line(at, text, texts)) is not None]

    def _line(self, at: int, text: bytes, texts: Sequence[bytes]) -> Line | None:
        try:
            fields = json.loads(text)
        except ValueError:
            # Cut off by a crash: it counts as not written, wherever in the file it stands by now.
            return None
        try:
            if fields.pop("format") != FORMAT:
                raise ValueError(FORMAT)
            return Line(**{**fields, "event": Event(fields["event"]), "state": State(fields["state"])})
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptBlockError(
                f"{self.path}, line {at} of {len(texts)}: no line of a bring-up's journal",
                hint="move the file away; the next `faintlink up` then begins a new one and goes by the records alone",
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other bring-up of this link out.

        Raises
        ------
        InterlockError
            One is under way.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle, self.path.parent)
            yield
        finally:
            os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(handle, 64, 0).decode(errors="replace").strip()
        raise InterlockError(
            f"another process ({owner or 'unknown'}) brings this link up or runs it: {folder}",
            hint="wait for it, or stop it with Ctrl-C or `systemctl stop`",
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"pid {os.getpid()}\n".encode(), 0)


def cut_off(lines: Sequence[Line]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the step that the last bring-up began and never ended, with the knobs as they were before it."""
    for line in reversed(lines):
        if line.event is Event.STEP_BEGAN:
            return line.routine, line.knobs
        if line.event in (Event.STEP_PASSED, Event.STEP_MISSED, Event.PUT_BACK):
            return None
    return None


def since(lines: Sequence[Line]) -> tuple[State, datetime | None, str]:
    """Return the state that the journal knows of, since when, and why if it failed."""
    state, when, reason = State.OFF, None, ""
    for line in lines:
        if line.state is not state or when is None:
            state, when = line.state, line.when
        reason = line.reason if line.event is Event.STATE else reason
    return state, when, reason


def believed(held: Mapping[str, Held], lines: Sequence[Line], link_sha256: str) -> dict[str, Held]:
    """Return the records that were taken by the link file as it is now; all if no bring-up saw another one.

    Parameters
    ----------
    held
        Newest passed record by routine.
    lines
        The journal.
    link_sha256
        Of the link file's content now.
    """
    begun = [line for line in lines if line.event is Event.BEGAN]
    others = [at for at, line in enumerate(begun) if line.link_sha256 != link_sha256]
    if not others:
        return dict(held)
    after = begun[others[-1] + 1 :]
    return {name: one for name, one in held.items() if after and one.started >= after[0].when}
