"""No key shows in anything that is printed, logged or raised."""

import logging
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from faintlink.core.errors import (
    CorruptBlockError,
    FaintlinkError,
)
from faintlink.postprocess.channel.onetime import KeyPosition
from faintlink.postprocess.channel.reserve import KeyReserve
from tests.channel import AB, BA, align

CANARY = bytes.fromhex("ca11ab1ec0ffee15deadbeefba5eba11")


def test_no_key_shows_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    shared = CANARY * (2 + 4 * 4)
    pair = [KeyReserve.create(tmp_path / n, link_id="x", shared_key=shared, floor=1) for n in "ab"]
    align(*pair)
    alice, bob = pair
    shown += [repr(alice), str(alice), repr(alice.link), repr(alice.state()), repr(alice._ledger), repr(alice._file)]
    key = alice.take(AB)
    shown += [repr(key), str(key), f"{key}", repr(bob.claim(AB, key.position))]
    refused: list[Callable[[], object]] = [
        lambda: bob.claim(AB, key.position),
        lambda: bob.claim(BA, KeyPosition(0, 3)),
        lambda: [alice.take(AB) for _ in range(9)],
        lambda: alice.refill(0, CANARY * 4),
        lambda: alice.refill(1, CANARY * 3),
        lambda: KeyReserve.create(tmp_path / "c", link_id="", shared_key=shared),
        lambda: KeyReserve.create(tmp_path / "c", link_id="x", shared_key=CANARY * 3),
        lambda: KeyReserve.create(tmp_path / "a", link_id="x", shared_key=shared),
        lambda: pickle.dumps(alice),
        lambda: pickle.dumps(key),
        lambda: (key.tag([b""]), key.tag([b""])),
    ]
    for use in refused:
        with pytest.raises(FaintlinkError) as caught:
            use()
        shown += [str(caught.value), repr(caught.value), repr(caught.value.fields)]
    damaged = tmp_path / "a"
    alice.close()
    data = bytearray(damaged.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(CorruptBlockError) as corrupt:
        KeyReserve.open(damaged)
    shown += [str(corrupt.value), caplog.text]
    text = "\n".join(shown).lower()
    for form in (CANARY.hex(), repr(CANARY)[2:-1], str(list(CANARY))[1:-1], CANARY[:4].hex(), CANARY[-4:].hex()):
        assert form.lower() not in text
