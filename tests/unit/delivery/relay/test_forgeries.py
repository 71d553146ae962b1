"""Forged and garbled requests, before, between and after honest ones: none is accepted, none costs an honest one."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from faintlink.core.errors import AuthenticationError, FaintlinkError, KeyUnknownError, PeerUnavailableError
from faintlink.delivery.keystore.model import UNIT_BYTES, Pool, Role, UnitId
from faintlink.delivery.relay.hop import TAGS_EPSILON
from faintlink.delivery.relay.packet import MAX_REQUEST, decode_request
from faintlink.delivery.relay.tagkeys import ATTEMPTS, TagKeys
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.epsilon import forgery_bound
from faintlink.postprocess.channel.onetime import KeyPosition, OneTimeKey
from tests.unit.delivery.relay.sites import Line, folder_of_stores

TEXT = b"what an honest request says"


@dataclass
class Beset(Line):
    """A line on which every frame comes between forgeries that name the same units."""

    refused: int = 0

    async def carry(self, sender: str, receiver: str, frame: bytes) -> bytes:
        for at in (-1, -40):
            with pytest.raises(AuthenticationError):
                await self.services[receiver].receive(sender, flipped(frame, at))
        answer = await super().carry(sender, receiver, frame)
        with pytest.raises(KeyUnknownError):
            await self.services[receiver].receive(sender, flipped(frame, -1))
        self.refused += 3
        return answer


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with folder_of_stores(tmp_path) as folder, Line(folder, ("a", "b", "c")) as sites:
        yield sites


def flipped(frame: bytes, at: int) -> bytes:
    forged = bytearray(frame)
    forged[at] ^= 1 << at % 8
    return bytes(forged)


def receive(line: Line, frame: bytes) -> None:
    """Hand a frame to the middle site as if the first one had sent it."""
    asyncio.run(line.services["b"].receive("a", frame))


def held_back(line: Line, number: int = 2) -> bytes:
    """Return a request that the first site has sent and that has not arrived."""
    line.lost_requests.add(("a", "b"))
    with pytest.raises(PeerUnavailableError):
        line.relay(number)
    line.lost_requests.clear()
    return line.frames[0][2]


def stocked(line: Line, site: str) -> int:
    return sum(stock.units for stock in line.stores[site].stock().values())


def unit_and_tag(line: Line, text: bytes = TEXT) -> tuple[UnitId, bytes]:
    """Return a unit that site a has taken for a tag, and its tag over a text."""
    (unit,), key = line.stores["a"].take("b", Pool.RESERVE_OURS, 1, use="test")
    return unit, OneTimeKey(key, direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, unit.number)).tag([text])


def test_an_honest_request_is_accepted_after_its_frame_came_altered_anywhere(line: Line) -> None:
    frame = held_back(line)
    for at in range(0, len(frame), 3):
        with pytest.raises(FaintlinkError):
            receive(line, flipped(frame, at))
    assert line.stores["c"].waiting("a") == []
    receive(line, frame)
    assert len(line.stores["c"].waiting("a")) == 2


def test_forgeries_before_between_and_after_honest_requests_cost_no_key(tmp_path: Path) -> None:
    with folder_of_stores(tmp_path) as folder, Beset(folder, ("a", "b", "c")) as line:
        keys = line.relay(3) + line.relay(1) + line.relay(2)
        assert line.refused == 3 * 2 * 3
        ours = line.stores["a"].deliver(keys, role=Role.MASTER, sae="app-a")
        theirs = line.stores["c"].deliver(keys, role=Role.SLAVE, sae="app-c")
        assert [key.material for key in ours] == [key.material for key in theirs]
        # What was forged named units of honest requests: nothing but those is gone.
        assert line.stores["a"].ledger("b") == line.stores["b"].ledger("a")
        assert line.stores["b"].ledger("c") == line.stores["c"].ledger("b")


def test_a_forgery_costs_at_most_the_one_unit_that_it_names_first(line: Line) -> None:
    frame = held_back(line)
    before = stocked(line, "b")
    for _ in range(5):
        with pytest.raises(AuthenticationError):
            receive(line, flipped(frame, -1))
    assert before - stocked(line, "b") == 1


def test_a_forgery_that_names_the_pad_or_the_answers_key_as_its_tags_costs_nothing(line: Line) -> None:
    frame = held_back(line)
    request = decode_request(frame)
    for at in range(1, len(request.units)):
        swapped = list(request.units)
        swapped[0], swapped[at] = swapped[at], swapped[0]
        with pytest.raises(AuthenticationError):
            receive(line, replace(request, units=tuple(swapped)).encode())
    receive(line, frame)
    waiting = [record.assignment.key_id for record in line.stores["c"].waiting("a")]
    assert waiting == request.errand.key_ids
    kept = line.stores["a"]
    kept.acknowledge(waiting)
    ours = kept.deliver(waiting, role=Role.MASTER, sae="app-a")
    theirs = line.stores["c"].deliver(waiting, role=Role.SLAVE, sae="app-c")
    assert [key.material for key in ours] == [key.material for key in theirs]


def test_an_honest_request_is_accepted_once(line: Line) -> None:
    frame = held_back(line)
    receive(line, frame)
    with pytest.raises(KeyUnknownError):
        receive(line, frame)


def test_after_the_last_attempt_the_key_is_given_up_and_the_error_says_so(line: Line) -> None:
    unit, tag = unit_and_tag(line)
    keys = TagKeys(line.stores["b"], attempts=3)
    for said in ("its key is kept", "its key is kept", "is given up: 3 requests"):
        with pytest.raises(AuthenticationError, match=said):
            keys.verify("a", unit, [TEXT], bytes(16))
    with pytest.raises(KeyUnknownError):
        keys.verify("a", unit, [TEXT], tag)


def test_the_honest_request_may_be_the_last_attempt(line: Line) -> None:
    unit, tag = unit_and_tag(line)
    keys = TagKeys(line.stores["b"], attempts=3)
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            keys.verify("a", unit, [TEXT], flipped(tag, 0))
    keys.verify("a", unit, [TEXT], tag)


def test_no_forgery_is_accepted_in_as_many_attempts_as_a_key_allows(line: Line) -> None:
    unit, tag = unit_and_tag(line)
    keys, accepted = TagKeys(line.stores["b"]), 0
    assert ATTEMPTS == 65_536
    for number in range(ATTEMPTS - 1):
        try:
            keys.verify("a", unit, [b"forged"], number.to_bytes(4, "big") + tag[4:])
        except AuthenticationError:
            continue
        accepted += 1
    assert accepted == 0
    keys.verify("a", unit, [TEXT], tag)


def test_a_start_anew_gives_no_new_attempts(line: Line) -> None:
    unit, tag = unit_and_tag(line)
    with pytest.raises(AuthenticationError):
        TagKeys(line.stores["b"]).verify("a", unit, [TEXT], bytes(16))
    line.start("b")
    with pytest.raises(KeyUnknownError):
        TagKeys(line.stores["b"]).verify("a", unit, [TEXT], tag)


def test_beyond_the_most_keys_the_one_named_first_is_given_up(line: Line) -> None:
    named = [unit_and_tag(line) for _ in range(3)]
    keys = TagKeys(line.stores["b"], most=2)
    for unit, _ in named:
        with pytest.raises(AuthenticationError):
            keys.verify("a", unit, [TEXT], bytes(16))
    for unit, tag in named[1:]:
        keys.verify("a", unit, [TEXT], tag)
    with pytest.raises(KeyUnknownError):
        keys.verify("a", named[0][0], [TEXT], named[0][1])


def test_units_kept_and_units_in_store_come_in_the_order_they_are_named(line: Line) -> None:
    units, material = line.stores["a"].take("b", Pool.RESERVE_OURS, 4, use="test")
    keys = TagKeys(line.stores["b"])
    for unit in (units[1], units[3]):
        with pytest.raises(AuthenticationError):
            keys.verify("a", unit, [TEXT], bytes(16))
    assert keys.take("a", units, use="test") == material
    assert len(material) == 4 * UNIT_BYTES
    with pytest.raises(KeyUnknownError):
        keys.take("a", units[1:2], use="test")


def test_a_unit_that_is_nowhere_leaves_the_kept_ones_where_they_are(line: Line) -> None:
    unit, tag = unit_and_tag(line)
    keys = TagKeys(line.stores["b"])
    with pytest.raises(AuthenticationError):
        keys.verify("a", unit, [TEXT], bytes(16))
    with pytest.raises(KeyUnknownError):
        keys.take("a", [unit, UnitId("no block", 0)], use="test")
    keys.verify("a", unit, [TEXT], tag)


def test_kept_keys_are_overwritten_and_show_nowhere(line: Line) -> None:
    unit, _ = unit_and_tag(line)
    keys = TagKeys(line.stores["b"])
    with pytest.raises(AuthenticationError) as refused:
        keys.verify("a", unit, [TEXT], bytes(16))
    (kept,) = keys._kept.values()
    key = kept.key
    shown = repr(keys) + repr(kept) + str(refused.value)
    assert key.hex() not in shown
    assert repr(bytes(key)) not in shown
    keys.wipe()
    assert key == bytes(UNIT_BYTES)


def test_the_epsilon_of_a_hop_counts_every_attempt_and_stays_far_below_that_of_a_block() -> None:
    one = Fraction(8 * (MAX_REQUEST // 16), 2**106)
    assert forgery_bound(MAX_REQUEST) == one
    assert ATTEMPTS * one < TAGS_EPSILON < (ATTEMPTS + 2) * one
    assert float(TAGS_EPSILON) < 2.0**-72
