"""The file of a reserve is its owner's, keeps what was booked, and is refused when damaged."""

import os
import stat
from pathlib import Path

import pytest

from faintlink.core.errors import (
    ConfigError,
    CorruptBlockError,
    LocalProtocolError,
    RunExistsError,
    SchemaError,
)
from faintlink.postprocess.channel import ledger_file
from faintlink.postprocess.channel.reserve import KeyReserve
from tests.channel import AB, BA, align, key_bytes, raw, reopen, reserves


def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    alice.refill(1, bytes(64))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    path = alice._file.path
    alice.close()
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="mode 640"):
        KeyReserve.open(path)


def test_two_owners_at_a_time_are_refused(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    with pytest.raises(LocalProtocolError, match="in use by another process"):
        KeyReserve.open(alice._file.path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    before = alice._file.path.read_bytes()
    path = alice._file.path
    alice.close()
    with pytest.raises(RunExistsError):
        KeyReserve.create(path, link_id="x", shared_key=bytes(96))
    assert path.read_bytes() == before


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no reserve"):
        KeyReserve.open(tmp_path / "nothing")


def test_state_and_keys_survive_reopening(tmp_path: Path) -> None:
    alice, bob = reserves(tmp_path)
    for _ in range(2):
        alice.refill(alice.last_number + 1, key_bytes(alice.last_number, 128))
        bob.refill(bob.last_number + 1, key_bytes(bob.last_number, 128))
        alice.take(AB)
        alice.take(BA)
    state = alice.state()
    alice = reopen(alice)
    assert alice.state() == state
    align(alice, bob)
    for _ in range(alice.available(AB)):
        key = alice.take(AB)
        assert raw(bob.claim(AB, key.position)) == raw(key)


def test_many_bookings_are_folded_into_a_new_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faintlink.postprocess.channel.reserve._COMPACT_AFTER", 4)
    alice, bob = reserves(tmp_path, keys=30)
    for _ in range(30):
        key = alice.take(AB)
        assert raw(bob.claim(AB, key.position)) == raw(key)
    state = alice.state()
    assert alice._file.bookings < 4
    assert reopen(alice).state() == state


def test_used_keys_leave_memory_at_once_and_the_disk_with_a_refill(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    key = raw(alice.take(AB))
    assert all(key not in keys for keys in alice._ledger.segments[0].keys)
    path = alice._file.path
    old = os.open(path, os.O_RDONLY)
    assert key in os.pread(old, 10**6, 0)
    alice.refill(1, bytes(64))
    assert key not in path.read_bytes()
    assert not any(os.pread(old, 10**6, 0))
    os.close(old)


def test_closing_overwrites_the_keys_in_memory(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    keys = alice._ledger.segments[0].keys
    alice.close()
    assert not any(keys[0])
    assert not any(keys[1])
    with pytest.raises(LocalProtocolError, match="closed"):
        alice.take(AB)


@pytest.mark.parametrize("place", range(0, 8 * 64 + 120, 23))
def test_a_damaged_base_is_refused(tmp_path: Path, place: int) -> None:
    alice, _ = reserves(tmp_path)
    path = alice._file.path
    alice.close()
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0x55
    path.write_bytes(data)
    with pytest.raises((CorruptBlockError, SchemaError)) as caught:
        KeyReserve.open(path)
    assert caught.value.message


@pytest.mark.parametrize("size", [0, 3, 28, 29, 100, 500])
def test_a_truncated_base_is_refused(tmp_path: Path, size: int) -> None:
    alice, _ = reserves(tmp_path)
    path = alice._file.path
    alice.close()
    os.truncate(path, size)
    with pytest.raises((CorruptBlockError, SchemaError)):
        KeyReserve.open(path)


@pytest.mark.parametrize("lost", range(1, ledger_file.BOOKING_BYTES + 1))
def test_a_booking_cut_off_by_a_crash_burns_the_key_that_it_may_have_been_for(tmp_path: Path, lost: int) -> None:
    alice, _ = reserves(tmp_path)
    path = alice._file.path
    alice.take(AB)
    alice.take(AB)
    alice.close()
    os.truncate(path, path.stat().st_size - lost)
    alice = KeyReserve.open(path)
    alice.align(alice.state())
    assert alice.state().segments[0].next == ((1, 0) if lost == ledger_file.BOOKING_BYTES else (2, 1))
    state = alice.state()
    assert reopen(alice).state() == state


def test_a_last_booking_that_the_disk_damaged_does_not_bring_its_key_back(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    path = alice._file.path
    used = alice.take(AB).position
    alice.close()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    alice = KeyReserve.open(path)
    alice.align(alice.state())
    assert alice.take(AB).position > used


def test_a_damaged_booking_before_the_last_is_refused(tmp_path: Path) -> None:
    alice, _ = reserves(tmp_path)
    path = alice._file.path
    for _ in range(3):
        alice.take(AB)
    alice.close()
    data = bytearray(path.read_bytes())
    data[-ledger_file.BOOKING_BYTES - 10] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptBlockError, match="bookings"):
        KeyReserve.open(path)
