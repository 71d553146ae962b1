"""A process that notes facts is killed at any moment: what it was told is noted is in the log, and the log is sound."""

import os
import signal
import struct
from pathlib import Path

import numpy as np
import pytest

from faintlink.delivery.audit.limits import AuditLimits
from faintlink.delivery.audit.verify import acknowledged
from tests.unit.delivery.audit.logs import Home, fact

LIMITS = AuditLimits(anchor_records=7, segment_records=11, head_seconds=0.0)
_NUMBER = struct.Struct("<I")


def note_until_killed(home: Home, start: int, told: int) -> None:
    """Note facts in a process of its own and tell each number once it is acknowledged; never returns."""
    try:
        log = home.open(LIMITS)
        number = start
        while True:
            log.note(fact(number))
            os.write(told, _NUMBER.pack(number))
            number += 1
    finally:
        os._exit(1)


def kill_after(home: Home, start: int, acknowledgements: int) -> list[int]:
    """Return the numbers that a process told before it was killed, the last of them while it was at work."""
    listening, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listening)
        note_until_killed(home, start, told)
    os.close(told)
    with os.fdopen(listening, "rb") as pipe:
        heard = pipe.read(_NUMBER.size * acknowledgements)
        os.kill(child, signal.SIGKILL)
        heard += pipe.read()
    os.waitpid(child, 0)
    return [number for (number,) in _NUMBER.iter_unpack(heard[: len(heard) // _NUMBER.size * _NUMBER.size])]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_every_acknowledged_fact_survives_a_kill(tmp_path: Path, kills: int) -> None:
    home = Home.make(tmp_path)
    chance = np.random.default_rng(90)
    told: list[int] = []
    for _ in range(kills):
        heard = kill_after(home, len(told), int(chance.integers(1, 25)))
        assert heard, "the process ended by itself"
        told += [number for number in heard if number >= len(told)]
    home.open(LIMITS).close()
    found = home.verified()
    assert found.is_sound
    kept = {name for one in acknowledged(home.folder, until=found.records) for name in one.about.get("key_ids", ())}
    assert {f"key-{number}" for number in told} <= kept
    assert len(kept) <= len(told) + kills
