"""Ledgers come together again after anything was lost between two sites."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest

from faintlink.core.errors import ConfigError
from faintlink.delivery.keystore.model import Cut, KeyState, Pool, UnitId
from faintlink.delivery.ledger.answering import AtHand
from faintlink.delivery.ledger.comparing import Suspicions, reconcile
from faintlink.delivery.ledger.messages import (
    Answer,
    Assign,
    AssignedKey,
    Hello,
    Refused,
    Request,
    decode_answer,
)
from tests.unit.delivery.ledger.fakes import CUT, MemoryStore, block
from tests.unit.delivery.ledger.sites import OTHER, SILENT, Pair, order, terms


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.fill(3, 100)
    return made


def test_ledgers_that_agree_need_two_questions(pair: Pair) -> None:
    asked: list[str] = []

    def hear(request: Request) -> Answer:
        asked.append(request.kind)
        return decode_answer(pair.hear("site-a", request))

    assert pair.run("site-a", pair.reconcile("site-a"), hear).divergence == 0
    assert asked == ["hello", "ask_blocks"]


def test_a_process_that_died_before_the_answer_gives_its_keys_up(pair: Pair) -> None:
    program = pair.promise("site-a", [order("site-a", 3)])
    pair.hear("site-a", next(program))
    program.close()
    assert pair.run("site-a", pair.reconcile("site-a")).given_up == 3
    pair.check_agreement()


def test_a_process_that_died_before_the_question_gives_its_units_up_on_both_sides(pair: Pair) -> None:
    program = pair.promise("site-a", [order("site-a", 3)])
    next(program)
    program.close()
    pair.run("site-a", pair.reconcile("site-a"))
    found = pair.run("site-b", pair.reconcile("site-b"))
    assert (found.retired, found.suspected, found.divergence) == (3, 0, 3)
    pair.check_agreement()


def test_keys_that_are_being_agreed_to_are_left_alone(pair: Pair) -> None:
    mine = order("site-a", 2)
    program = pair.promise("site-a", [mine])
    request = next(program)
    for site in OTHER:
        pair.run(site, pair.reconcile(site, frozenset(mine.key_ids)))
    with pytest.raises(StopIteration) as done:
        program.send(decode_answer(pair.hear("site-a", request)))
    names = pair.keep(done.value.value)
    assert len(pair.fetch("site-b", names).keys) == 2


def test_a_delivered_key_waits_for_its_other_half_through_any_comparison(pair: Pair) -> None:
    names = pair.keep(pair.run("site-a", pair.promise("site-a", [order("site-a", 2)])))
    for site in ("site-b", "site-a", "site-b"):
        assert pair.run(site, pair.reconcile(site)).divergence == 0
    assert len(pair.fetch("site-b", names).keys) == 2
    pair.check_history()


def test_an_assignment_that_arrives_after_all_is_given_up_when_ledgers_are_compared(pair: Pair) -> None:
    program = pair.promise("site-a", [order("site-a")])
    late = next(program)
    program.close()
    pair.run("site-a", pair.reconcile("site-a"))
    pair.hear("site-a", late)
    assert pair.run("site-b", pair.reconcile("site-b")).voided == 1
    pair.check_agreement()


def test_stock_is_destroyed_only_when_it_stays_missing(pair: Pair) -> None:
    now = 0.0
    pair.suspicions["site-b"] = Suspicions(10.0, lambda: now)
    pair.stores["site-a"].take("site-b", Pool.RESERVE_OURS, 2, use="relay")
    first = pair.run("site-b", pair.reconcile("site-b"))
    assert (first.retired, first.suspected) == (0, 2)
    now = 10.0
    assert pair.run("site-b", pair.reconcile("site-b")).retired == 2
    pair.check_agreement()


def test_stock_that_turns_up_again_is_no_longer_suspected() -> None:
    now = 0.0
    suspicions = Suspicions(10.0, lambda: now)
    unit = UnitId("block", 1)
    assert suspicions.ripe({unit}) == []
    assert suspicions.ripe(()) == []
    now = 20.0
    assert suspicions.ripe({unit}) == []


def test_sites_that_cut_blocks_in_another_way_share_nothing(pair: Pair) -> None:
    other = replace(terms("site-a"), cut=Cut("site-a", share_first=40))
    program = reconcile(pair.stores["site-a"], other, busy=(), suspicions=Suspicions(0.0), notary=SILENT)
    answer = decode_answer(pair.hear("site-a", next(program)))
    assert isinstance(answer, Refused)
    with pytest.raises(ConfigError, match="first share"):
        terms("site-b").check(other.hello())


def test_a_greeting_in_another_sites_name_is_refused() -> None:
    hello = Hello(site="site-c", instance=str(uuid.uuid4()), first_site="site-a", share_first=50, share_reserve=10)
    with pytest.raises(ConfigError, match="site-c"):
        terms("site-a").check(hello)


def test_a_copy_that_nobody_fetches_for_long_is_given_up(pair: Pair) -> None:
    store = pair.stores["site-b"]
    assert isinstance(store, MemoryStore)
    store.now = "2020-01-01T00:00:00+00:00"
    old = pair.keep(pair.run("site-a", pair.promise("site-a", [order("site-a")])))
    store.now = MemoryStore("site-b").now
    new = pair.keep(pair.run("site-a", pair.promise("site-a", [order("site-a")])))
    assert pair.run("site-b", pair.reconcile("site-b")).divergence == 0
    assert pair.fetch("site-b", old).keys == []
    assert len(pair.fetch("site-b", new).keys) == 1


class Folder(AtHand):
    """Blocks on their way into a store."""

    def __init__(self, store: MemoryStore, numbers: Sequence[int]) -> None:
        self._store = store
        self._blocks = {block(number, 100).block_id: block(number, 100) for number in numbers}

    def blocks(self) -> list[str]:
        return list(self._blocks)

    def take_in(self, blocks: Sequence[str]) -> None:
        for name in blocks:
            if name in self._blocks:
                self._store.ingest(OTHER[self._store.site], self._blocks.pop(name), CUT)


def test_a_block_that_the_other_site_has_at_hand_is_not_lost() -> None:
    pair = Pair()
    pair.stores["site-a"].ingest("site-b", block(7, 100), CUT)
    store = pair.stores["site-b"]
    assert isinstance(store, MemoryStore)
    folder = Folder(store, [7])
    assert pair.run("site-a", pair.reconcile("site-a"), pair.answers("site-b", folder).answer).divergence == 0


def test_an_assignment_out_of_a_block_at_hand_takes_the_block_in_first() -> None:
    pair = Pair()
    pair.stores["site-a"].ingest("site-b", block(7, 100), CUT)
    store = pair.stores["site-b"]
    assert isinstance(store, MemoryStore)
    answers = pair.answers("site-b", Folder(store, [7]))
    keys = pair.stores["site-a"].reserve("site-b", order("site-a").keys, master="app@site-a", slave="app@site-b")
    answers.answer(Assign(keys=tuple(AssignedKey.of(key) for key in keys)))
    assert [record.state for record in store.waiting("site-a")] == [KeyState.READY]
