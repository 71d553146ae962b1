"""New keys between two sites: agreed to by both before either hands one out."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from faintlink.core.errors import (
    AccessDeniedError,
    AuditError,
    KeyExhaustedError,
    KeyUnknownError,
    PeerUnavailableError,
)
from faintlink.delivery.keystore.model import Assignment, KeyState, Pool, Role, UnitId
from faintlink.delivery.ledger.facts import promised
from faintlink.delivery.ledger.fetching import Fetch
from faintlink.delivery.ledger.messages import Assign, Void, decode_answer
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.promising import promise
from faintlink.delivery.witness import Event, Fact
from tests.unit.delivery.ledger.sites import OTHER, Pair, fetch, order, silent


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.fill(2, 100)
    return made


class FullWitness:
    """A log whose disk is full from some event on."""

    def __init__(self, *refused: Event) -> None:
        self.refused = refused
        self.facts: list[Fact] = []

    def note(self, fact: Fact) -> None:
        if fact.event in self.refused:
            raise AuditError("the log cannot be written")
        self.facts.append(fact)


def states(pair: Pair, site: str) -> set[KeyState]:
    return {record.state for record in pair.stores[site].keys.values()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("site", OTHER)
def test_both_applications_get_the_same_key_once(pair: Pair, site: str) -> None:
    names = pair.keep(pair.run(site, pair.promise(site, [order(site, 3, bits=300)])))
    fetched = pair.fetch(OTHER[site], names)
    assert len(fetched.keys) == 3
    assert [key.bits for key in fetched.keys] == [300] * 3
    pair.check_history()
    pair.check_agreement()
    again = pair.fetch(OTHER[site], names)
    assert isinstance(again.failure, KeyUnknownError)


def test_a_key_cannot_be_fetched_before_the_other_site_agreed(pair: Pair) -> None:
    program = pair.promise("site-a", [order("site-a")])
    request = next(program)
    assert isinstance(request, Assign)
    assert states(pair, "site-a") == {KeyState.RESERVED}
    with pytest.raises(KeyUnknownError):
        pair.stores["site-a"].deliver([request.keys[0].key_id], role=Role.MASTER, sae="app@site-a")


def test_without_an_answer_the_key_is_given_up_and_the_other_site_told(pair: Pair) -> None:
    program = pair.promise("site-a", [order("site-a", 2)])
    request = next(program)
    pair.hear("site-a", request)
    told = program.throw(silent())
    assert isinstance(told, Void)
    with pytest.raises(StopIteration) as done:
        program.throw(silent())
    assert isinstance(done.value.value[0].failure, PeerUnavailableError)
    assert states(pair, "site-a") == {KeyState.VOID}
    pair.run("site-b", pair.reconcile("site-b"))
    assert states(pair, "site-b") == {KeyState.VOID}
    pair.check_agreement()


def test_an_order_that_is_too_large_does_not_cost_the_others(pair: Pair) -> None:
    outcomes = pair.run("site-a", pair.promise("site-a", [order("site-a"), order("site-a", 1000), order("site-a")]))
    assert [type(one.failure) for one in outcomes] == [type(None), KeyExhaustedError, type(None)]
    assert [len(one.keys) for one in outcomes] == [1, 0, 1]
    pair.check_agreement()


def test_stock_that_the_other_site_lacks_costs_only_the_orders_made_of_it(pair: Pair) -> None:
    mine = pair.stores["site-a"].ledger("site-b")[0].block
    first = next(
        unit
        for (_, unit), (pool, _) in pair.stores["site-b"].units.items()  # type: ignore[attr-defined]
        if pool is Pool.THEIRS and unit.block == mine
    )
    pair.stores["site-b"].retire("site-a", [first], reason="a test")
    outcomes = pair.run("site-a", pair.promise("site-a", [order("site-a"), order("site-a"), order("site-a")]))
    assert [type(one.failure) for one in outcomes] == [PeerUnavailableError, type(None), type(None)]
    pair.check_agreement()


@pytest.mark.parametrize(
    ("refused", "there"),
    [((Event.KEYS_DELIVERED,), {KeyState.VOID}), ((Event.KEYS_RESERVED, Event.KEYS_DELIVERED), set())],
)
def test_a_log_that_cannot_be_written_keeps_every_key_in(
    pair: Pair, refused: tuple[Event, ...], there: set[KeyState]
) -> None:
    program = promise(pair.stores["site-a"], "site-b", [order("site-a", 2)], Notary(FullWitness(*refused)))
    outcome = pair.run("site-a", program)[0]
    assert outcome.keys == []
    assert isinstance(outcome.failure, AuditError)
    assert states(pair, "site-a") == {KeyState.VOID}
    assert states(pair, "site-b") == there


def test_a_promise_that_a_thread_could_not_note_hands_nothing_out(pair: Pair) -> None:
    with ThreadPoolExecutor(1) as pool:
        notary = Notary(FullWitness(Event.KEYS_RESERVED), pool)
        outcome = pair.run("site-a", promise(pair.stores["site-a"], "site-b", [order("site-a")], notary))[0]
    assert isinstance(outcome.failure, AuditError)
    assert states(pair, "site-a") == states(pair, "site-b") == {KeyState.VOID}


def test_a_promise_is_noted_with_what_its_keys_are_made_of_before_the_keys_leave(pair: Pair) -> None:
    witness = FullWitness()
    store = pair.stores["site-a"]
    outcome = pair.run("site-a", promise(store, "site-b", [order("site-a", 2, bits=300)], Notary(witness)))[0]
    reserved, delivered = witness.facts
    assert (reserved.event, delivered.event) == (Event.KEYS_RESERVED, Event.KEYS_DELIVERED)
    (block,) = {name for key in outcome.keys for name in store.record(key.key_id).blocks}
    assert reserved.subject == "app@site-a"
    assert reserved.about == {
        "peer": "site-b",
        "master": "app@site-a",
        "slave": "app@site-b",
        "bits": 300,
        "blocks": [block],
        "key_ids": [key.key_id for key in outcome.keys],
    }


def test_keys_of_other_blocks_or_lengths_are_noted_apart() -> None:
    keys = [
        Assignment("1", 256, "m", "s", (UnitId("x", 1),)),
        Assignment("2", 512, "m", "s", (UnitId("x", 2), UnitId("x", 3))),
        Assignment("3", 256, "m", "s", (UnitId("x", 4),)),
        Assignment("4", 512, "m", "s", (UnitId("x", 5), UnitId("y", 1))),
    ]
    facts = promised(Event.KEYS_ASSIGNED, "site-b", keys)
    assert [(fact.subject, fact.about["blocks"], fact.about["key_ids"]) for fact in facts] == [
        ("site-b", ["x"], ["1", "3"]),
        ("site-b", ["x"], ["2"]),
        ("site-b", ["x", "y"], ["4"]),
    ]


def test_a_repeated_request_changes_nothing(pair: Pair) -> None:
    program = pair.promise("site-a", [order("site-a")])
    request = next(program)
    assert pair.hear("site-a", request) == pair.hear("site-a", request)
    with pytest.raises(StopIteration):
        program.send(decode_answer(pair.hear("site-a", request)))
    pair.check_agreement()


def test_applications_that_the_sites_do_not_know_get_nothing(pair: Pair) -> None:
    for wrong in (replace(order("site-a"), master="mallory"), replace(order("site-a"), slave="mallory")):
        outcome = pair.run("site-a", pair.promise("site-a", [wrong]))[0]
        assert isinstance(outcome.failure, PeerUnavailableError)
    assert pair.stores["site-b"].waiting("site-a") == []


def test_only_the_pair_that_a_key_was_promised_to_may_fetch_it(pair: Pair) -> None:
    names = pair.keep(pair.run("site-a", pair.promise("site-a", [order("site-a")])))
    for slave, master in (("app@site-b", "mallory"), ("mallory", "app@site-a")):
        request = Fetch(slave, master, names)
        fetch(pair.stores["site-b"], [request])
        assert isinstance(request.failure, AccessDeniedError)
        assert request.keys == []
    assert len(pair.fetch("site-b", names).keys) == 1


def test_two_requests_for_one_key_at_the_same_moment_get_it_once(pair: Pair) -> None:
    names = pair.keep(pair.run("site-a", pair.promise("site-a", [order("site-a", 2)])))
    both = [Fetch("app@site-b", "app@site-a", names) for _ in range(2)]
    fetch(pair.stores["site-b"], both)
    assert sorted(len(one.keys) for one in both) == [0, 2]


def test_one_unknown_name_does_not_cost_a_neighbours_keys(pair: Pair) -> None:
    names = pair.keep(pair.run("site-a", pair.promise("site-a", [order("site-a", 2)])))
    good, bad = (Fetch("app@site-b", "app@site-a", [name]) for name in (names[0], order("site-a").key_ids[0]))
    fetch(pair.stores["site-b"], [bad, good])
    assert isinstance(bad.failure, KeyUnknownError)
    assert len(good.keys) == 1
