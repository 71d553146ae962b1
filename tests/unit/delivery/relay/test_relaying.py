"""Two sites without a link of their own share keys over sites between them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.core.errors import (
    KeyExhaustedError,
    KeyUnknownError,
    PeerUnavailableError,
    RemoteProtocolError,
)
from faintlink.delivery.keystore.model import KeyState, Pool, Role
from faintlink.delivery.relay.hop import TAGS_EPSILON
from faintlink.delivery.witness import Event
from tests.unit.delivery.relay.sites import EPSILON, Line, folder_of_stores


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    with folder_of_stores(tmp_path) as folder, Line(folder, ("a", "b", "c")) as sites:
        yield sites


@pytest.fixture
def long_line(tmp_path: Path) -> Iterator[Line]:
    with folder_of_stores(tmp_path) as folder, Line(folder, ("a", "b", "c", "d", "e"), units=100) as sites:
        yield sites


def handed_out(line: Line, keys: list[str]) -> tuple[list[bytes], list[bytes]]:
    first, last = line.names[0], line.names[-1]
    ours = line.stores[first].deliver(keys, role=Role.MASTER, sae=f"app-{first}")
    theirs = line.stores[last].deliver(keys, role=Role.SLAVE, sae=f"app-{last}")
    return [bytes(key.material) for key in ours], [bytes(key.material) for key in theirs]


def test_both_ends_hand_out_the_same_key(line: Line) -> None:
    ours, theirs = handed_out(line, line.relay())
    assert ours == theirs
    assert len(ours[0]) == 32


@pytest.mark.parametrize("bits", [8, 64, 264, 1024])
def test_many_keys_of_any_length_travel_together(line: Line, bits: int) -> None:
    ours, theirs = handed_out(line, line.relay(20, bits=bits))
    assert ours == theirs
    assert all(len(key) == bits // 8 for key in ours)
    assert len({key for key in ours if bits >= 64}) == (20 if bits >= 64 else 0)


def test_keys_travel_over_four_hops(long_line: Line) -> None:
    ours, theirs = handed_out(long_line, long_line.relay(3))
    assert ours == theirs


def test_no_key_shows_on_the_wire_or_in_a_repr(line: Line) -> None:
    ours, _ = handed_out(line, line.relay(4))
    assert not any(key in frame for key in ours for _, _, frame in line.frames)
    assert not any(key[:8] in frame for key in ours for _, _, frame in line.frames)


def test_one_key_uses_four_units_of_each_hop_and_a_batch_three_more_than_its_keys(line: Line) -> None:
    before = line.reserve("a", "b"), line.reserve("b", "c")
    line.relay()
    assert (line.reserve("a", "b"), line.reserve("b", "c")) == (before[0] - 4, before[1] - 4)
    line.relay(20)
    assert (line.reserve("a", "b"), line.reserve("b", "c")) == (before[0] - 27, before[1] - 27)


def test_the_pools_of_applications_are_not_touched(line: Line) -> None:
    before = {site: dict(store.stock()) for site, store in line.stores.items()}
    line.relay(5)
    for site, store in line.stores.items():
        now = store.stock()
        for (peer, pool), stock in before[site].items():
            if pool in (Pool.OURS, Pool.THEIRS):
                assert now[peer, pool] == stock


def test_both_stocks_of_a_hop_lose_the_same_units(line: Line) -> None:
    line.relay(5)
    assert line.stores["a"].ledger("b") == line.stores["b"].ledger("a")
    assert line.stores["b"].ledger("c") == line.stores["c"].ledger("b")


def test_the_records_of_both_ends_sum_the_epsilons_of_the_hops(line: Line) -> None:
    (key,) = line.relay()
    record = line.stores["c"].record(key)
    assert record.epsilon == pytest.approx(2 * EPSILON + 2 * float(TAGS_EPSILON))
    assert record.epsilon >= 2 * EPSILON
    assert record.peer == "a"
    assert record.blocks == ("b-c-0",)
    assert line.stores["a"].record(key).epsilon == record.epsilon


def test_the_record_of_a_key_that_is_not_settled_holds_what_was_allowed(line: Line) -> None:
    line.lost_requests.add(("b", "c"))
    with pytest.raises(PeerUnavailableError):
        line.relay(max_epsilon=1e-7)
    (key,) = line.stores["a"].unsettled("c")
    assert line.stores["a"].record(key.key_id).epsilon == 1e-7


def test_each_site_on_the_way_tells_its_witness_before_it_passes_a_key_on(line: Line) -> None:
    (key,) = line.relay()
    told = {site: [fact.about["what"] for fact in witness.facts] for site, witness in line.witnesses.items()}
    assert told == {"a": ["sent", "arrived"], "b": ["passed on"], "c": ["taken in"]}
    facts = [fact for witness in line.witnesses.values() for fact in witness.facts]
    assert [fact.event for fact in facts] == [Event.KEYS_RESERVED, *[Event.KEYS_RELAYED] * 3]
    assert all(fact.about["key_ids"] == [key] for fact in facts)


def test_giving_up_is_told_at_both_ends(line: Line) -> None:
    line.lost_answers.add(("a", "b"))
    with pytest.raises(PeerUnavailableError):
        line.relay()
    line.lost_answers.clear()
    line.settle()
    told = {
        site: [fact.about["what"] for fact in witness.facts if fact.event is Event.KEYS_VOIDED]
        for site, witness in line.witnesses.items()
    }
    expected = ["given up by the master's site"] * 2
    assert told == {"a": ["nobody knew whether they arrived"], "b": [], "c": expected}


def test_a_site_on_the_way_keeps_nothing_of_the_key(line: Line) -> None:
    (key,) = line.relay()
    with pytest.raises(KeyUnknownError):
        line.stores["b"].record(key)


def test_a_limit_of_epsilon_below_what_the_hops_spend_refuses_the_key(line: Line) -> None:
    with pytest.raises(PeerUnavailableError, match="limit"):
        line.relay(max_epsilon=1.5e-9)
    assert line.stores["a"].unsettled("c") == []
    assert line.stores["c"].waiting("a") == []


def test_an_exhausted_hop_gives_the_keys_up_at_once(line: Line) -> None:
    line.stores["b"].take("c", Pool.RESERVE_OURS, line.reserve("b", "c") - 3, use="drain")
    with pytest.raises(KeyExhaustedError, match="too little reserve"):
        line.relay()
    assert line.stores["a"].unsettled("c") == []


def test_an_exhausted_first_hop_reserves_nothing(line: Line) -> None:
    line.stores["a"].take("b", Pool.RESERVE_OURS, line.reserve("a", "b") - 3, use="drain")
    with pytest.raises(KeyExhaustedError):
        line.relay()
    assert line.stores["a"].unsettled("c") == []
    assert line.reserve("a", "b") == 3


def test_a_key_for_an_application_that_is_not_there_is_refused(line: Line) -> None:
    line.services["c"]._node._around.applications = ()  # type: ignore[misc]
    with pytest.raises(PeerUnavailableError, match="refused"):
        line.relay()


def test_a_site_without_a_link_to_the_next_refuses(line: Line) -> None:
    line.services["b"]._node._around.neighbours = ("a",)  # type: ignore[misc]
    with pytest.raises(PeerUnavailableError, match="no way"):
        line.relay()


@pytest.mark.parametrize("hop", [("a", "b"), ("b", "c")])
@pytest.mark.parametrize("what", ["lost_requests", "lost_answers"])
def test_what_nobody_answers_is_given_up_at_both_ends_once_the_line_is_back(
    line: Line, hop: tuple[str, str], what: str
) -> None:
    getattr(line, what).add(hop)
    with pytest.raises(PeerUnavailableError, match="nobody knows"):
        line.relay(2)
    (key, other) = (key.key_id for key in line.stores["a"].unsettled("c"))
    with pytest.raises(KeyUnknownError):
        line.stores["a"].deliver([key, other], role=Role.MASTER, sae="app-a")
    getattr(line, what).clear()
    assert line.settle() == 0
    assert line.stores["a"].record(key).state is KeyState.VOID
    assert line.stores["c"].waiting("a") == []


def test_a_lost_answer_is_settled_at_once_when_only_it_is_lost(line: Line) -> None:
    answers = iter([True, False])
    line.tamper_answer = lambda _from, to, frame: bytes(48) if to == "a" and next(answers) else frame
    with pytest.raises(PeerUnavailableError, match="given up at both ends"):
        line.relay()
    assert line.stores["a"].unsettled("c") == []
    assert line.stores["c"].waiting("a") == []


def test_keys_given_up_are_not_taken_in_when_their_request_comes_late(line: Line) -> None:
    line.lost_requests.add(("b", "c"))
    with pytest.raises(PeerUnavailableError):
        line.relay()
    late = next(frame for sender, _, frame in line.frames if sender == "b")
    line.lost_requests.clear()
    line.settle()
    line.services["c"]._node.accept("b", late)
    assert line.stores["c"].waiting("a") == []


def test_a_master_that_crashes_before_the_answer_settles_after_its_start(line: Line) -> None:
    def end_with_the_answer(_from: str, to: str, frame: bytes) -> bytes:
        line.lost_requests.add(("a", "b"))
        return b"" if to == "a" else frame

    line.tamper_answer = end_with_the_answer
    with pytest.raises(PeerUnavailableError):
        line.relay()
    assert len(line.stores["c"].waiting("a")) == 1
    line.tamper_answer = lambda _from, _to, frame: frame
    line.lost_requests.clear()
    line.start("a")
    assert line.settle() == 0
    assert line.stores["c"].waiting("a") == []


def test_keys_that_were_ready_when_the_masters_site_ended_are_given_up_at_both_ends(line: Line) -> None:
    keys = line.relay(2)
    line.start("a")
    assert line.settle() == 0
    for site in ("a", "c"):
        assert {line.stores[site].record(key).state for key in keys} == {KeyState.VOID}


def test_keys_that_are_about_to_be_handed_out_are_not_given_up(line: Line) -> None:
    keys = line.relay(2)
    assert line.settle() == 0
    ours, theirs = handed_out(line, keys)
    assert ours == theirs


def test_keys_that_are_ready_and_let_go_of_are_given_up(line: Line) -> None:
    keys = line.relay(2)
    line.services["a"].let_go(keys[:1])
    assert line.settle() == 0
    assert [line.stores["c"].record(key).state for key in keys] == [KeyState.VOID, KeyState.READY]


def test_a_repeated_request_is_refused_and_uses_no_unit(line: Line) -> None:
    line.relay()
    before = line.reserve("b", "a", Pool.RESERVE_THEIRS)
    with pytest.raises(KeyUnknownError):
        line.services["b"]._node.accept("a", line.frames[0][2])
    assert line.reserve("b", "a", Pool.RESERVE_THEIRS) == before


@pytest.mark.parametrize("peer", ["c", "x"])
def test_a_request_from_another_site_than_it_says_uses_no_unit(line: Line, peer: str) -> None:
    line.lost_requests.add(("a", "b"))
    with pytest.raises(PeerUnavailableError):
        line.relay()
    before = dict(line.stores["b"].stock())
    with pytest.raises(RemoteProtocolError, match="sent a relay request from a to b"):
        line.services["b"]._node.accept(peer, line.frames[0][2])
    with pytest.raises(RemoteProtocolError, match="sent a relay request from a to b"):
        line.services["c"]._node.accept("a", line.frames[0][2])
    assert line.stores["b"].stock() == before


def test_an_altered_answer_does_not_let_a_key_out(line: Line) -> None:
    def flip(_from: str, _to: str, frame: bytes) -> bytes:
        return frame[:-1] + bytes((frame[-1] ^ 1,))

    line.tamper_answer = flip
    with pytest.raises(PeerUnavailableError, match="nobody knows"):
        line.relay()
    assert len(line.stores["a"].unsettled("c")) == 1
    line.tamper_answer = lambda _from, _to, frame: frame
    assert line.settle() == 0


def test_a_fault_in_the_memory_of_a_site_on_the_way_is_noticed_before_the_key_is_handed_out(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faintlink.delivery.relay import node
    from faintlink.delivery.relay.hop import seal_request

    def faulty(store: object, errand: object, hop: int, payload: bytearray, **rest: object) -> object:
        if payload:
            payload[0] ^= 1
        return seal_request(store, errand, hop, payload, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(node, "seal_request", faulty)
    with pytest.raises(PeerUnavailableError, match="nobody knows"):
        line.relay()
    assert line.stores["c"].waiting("a") == []
