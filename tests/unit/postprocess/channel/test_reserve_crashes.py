"""No crash at any instant makes a reserve hand out a key twice."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from faintlink.core.errors import (
    LocalProtocolError,
)
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KeyPosition
from faintlink.postprocess.channel.reserve import KeyReserve
from tests.channel import AB, key_bytes, reopen, reserves

BOOKER = Path(__file__).with_name("book_until_killed.py")


class Crash(BaseException):
    """The machine stops here."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(14))
def test_a_crash_around_any_system_call_never_brings_a_key_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int, when: str
) -> None:
    alice, _ = reserves(tmp_path, keys=3)
    left = nth
    used: Counter[tuple[Direction, KeyPosition]] = Counter()

    def fragile(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal left
            left -= 1
            if left == -1 and when == "before":
                raise Crash
            result = real(*args, **kwargs)
            if left == -1:
                raise Crash
            return result

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "write", "replace"):
            patch.setattr(os, name, fragile(getattr(os, name)))
        try:
            for turn in range(6):
                used[AB, alice.take(AB).position] += 1
                if turn == 1:
                    alice.refill(1, key_bytes(1, 64 * 6))
        except Crash:
            pass
    assert left < 0
    with pytest.raises(LocalProtocolError, match="a write failed"):
        alice.take(AB)
    alice = reopen(alice)
    alice.align(alice.state())
    while alice.available(AB):
        used[AB, alice.take(AB).position] += 1
    assert max(used.values()) == 1


def test_a_full_disk_stops_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, _ = reserves(tmp_path)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(LocalProtocolError, match="No space left"):
            alice.take(AB)
    with pytest.raises(LocalProtocolError, match="a write failed"):
        alice.take(AB)


def kill_often(folder: Path, kills: int) -> int:
    """Kill a booking process at random instants and return the bookings that it wrote down."""
    path, out = folder / "killed.reserve", folder / "out.txt"
    KeyReserve.create(path, link_id="x", shared_key=key_bytes(1, 32 + 64 * 40)).close()
    chance = random.Random(kills)
    for kill in range(kills):
        size = out.stat().st_size if out.exists() else 0
        with subprocess.Popen([sys.executable, str(BOOKER), str(path), str(out)], stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 30
            while (not out.exists() or out.stat().st_size == size) and process.poll() is None:
                assert time.monotonic() < deadline, "the process books nothing"
                time.sleep(0.001)
            time.sleep(chance.random() * 0.03)
            process.kill()
            _, errors = process.communicate()
        assert not errors, f"kill {kill}: {errors.decode()}"
    lines = Counter(out.read_text().splitlines())
    assert max(lines.values()) == 1
    return lines.total()


def test_no_key_is_handed_out_twice_over_twenty_kills(tmp_path: Path) -> None:
    assert kill_often(tmp_path, 20) >= 20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_key_is_handed_out_twice_over_two_hundred_kills(tmp_path: Path) -> None:
    assert kill_often(tmp_path, 200) >= 200
