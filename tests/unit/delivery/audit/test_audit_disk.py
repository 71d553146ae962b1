"""The audit log on disks that are full or fail: nothing is acknowledged that is not there, and what is stays sound."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faintlink.core.errors import AuditError
from faintlink.delivery.audit import files
from faintlink.delivery.audit.files import lines, segments
from faintlink.delivery.audit.limits import AuditLimits
from faintlink.delivery.audit.records import LogEvent, decode
from faintlink.delivery.audit.verify import acknowledged
from faintlink.delivery.witness import Event, Fact
from tests.unit.delivery.audit.logs import Home, fact


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.make(tmp_path)


def written(home: Home) -> list[str]:
    return [decode(line.data).event for path in segments(home.folder) for line in lines(path)]


class FullDisk:
    """Lets some bytes through and then says that the disk is full."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write = os.write

    def __call__(self, handle: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._write(handle, bytes(data)[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_stops_the_release_and_leaves_no_half_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    log = home.open()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FullDisk(room))
        with pytest.raises(AuditError, match="No space left"):
            log.note(fact(1))
    assert home.verified().unacknowledged_bytes == 0
    log.note(fact(2))
    log.close()
    assert home.verified().is_sound
    assert home.verified().records == 2


def test_destroying_all_keys_is_noted_on_a_full_disk_in_the_room_kept_for_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = home.open()
    room = home.folder / files.LAST_ROOM
    assert room.stat().st_size == files.LAST_ROOM_BYTES

    def write(handle: int, data: bytes) -> int:
        if room.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(AuditError):
            log.note(fact(1))
        assert room.exists()
        log.note(Fact(Event.ZEROIZED, "user:alice"))
    log.close()
    assert written(home)[-1] == Event.ZEROIZED
    home.open().close()
    assert room.stat().st_size == files.LAST_ROOM_BYTES


def test_a_log_can_be_opened_on_a_full_disk_to_note_that_keys_are_destroyed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.filled(1)
    room = home.folder / files.LAST_ROOM
    real = os.write

    def write(handle: int, data: bytes) -> int:
        if room.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        log = home.open()
        log.note(Fact(Event.ZEROIZED, "user:alice"))
        log.close()
    assert written(home)[-2:] == [LogEvent.OPENED, Event.ZEROIZED]


def test_a_file_size_limit_of_the_system_stops_releases_and_leaves_the_log_sound(home: Home) -> None:
    log = home.open()
    path = segments(home.folder)[0]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, before[1]))
    try:
        with pytest.raises(AuditError, match="File too large"):
            log.note(fact(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.note(fact(2))
    log.close()
    assert home.verified().is_sound
    assert home.verified().records == 2


def test_after_a_failed_synchronisation_nothing_is_noted_until_reopened(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = home.open()

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(AuditError, match="Input/output error"):
            log.note(fact(1))
    with pytest.raises(AuditError, match="takes no facts"):
        log.note(fact(2))
    log.close()
    home.filled(1)
    assert home.verified().is_sound


def failing(name: str, at: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    real = getattr(os, name)
    calls = [0]

    def call(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            raise OSError(errno.EIO, "Input/output error")
        return real(*arguments)

    monkeypatch.setattr(os, name, call)
    return lambda: calls[0]


@pytest.mark.parametrize("name", ["write", "pwrite", "fdatasync", "fsync", "ftruncate"])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 8, *(pytest.param(at, marks=pytest.mark.slow) for at in range(9, 40))])
def test_whichever_call_fails_acknowledged_facts_stay_and_others_were_refused(
    tmp_path: Path, name: str, at: int
) -> None:
    home = Home.make(tmp_path)
    noted = 0
    limits = AuditLimits(anchor_records=3, segment_records=4)
    home.filled(1, limits)
    with pytest.MonkeyPatch.context() as patch:
        failing(name, at, patch)
        try:
            log = home.open(limits)
            for number in range(12):
                try:
                    log.note(fact(number))
                    noted += 1
                except AuditError:
                    continue
            log.close()
        except (AuditError, OSError):
            pass
        finally:
            if "log" in locals():
                log._broken = "the process died"
                log.close()
    home.filled(1, limits)
    assert home.verified().is_sound
    delivered = [one for one in acknowledged(home.folder, until=home.verified().records) if "key_ids" in one.about]
    assert len(delivered) >= noted + 2
