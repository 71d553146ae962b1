"""The line to another site: asks again, gives up, waits longer and longer, and is awake at once when the other is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from faintlink.core.errors import PeerUnavailableError, StoreError
from faintlink.delivery.keystore.model import Assignment, KeyState
from faintlink.delivery.kme.config import Timing
from faintlink.delivery.kme.peers import PeerLine
from faintlink.delivery.kme.worker import StoreThread
from faintlink.delivery.ledger.answering import AtHand
from faintlink.delivery.ledger.messages import Answer, Request, Void, decode_answer
from faintlink.delivery.ledger.promising import Outcome
from tests.unit.delivery.ledger.sites import SILENT, Pair, order, terms

TIMING = Timing(answer_within_s=0.05, agree_within_s=0.3, first_retry_s=1.0, longest_retry_s=60.0)


@dataclass
class Caller:
    """Site B, or the silence in its place."""

    pair: Pair
    losses: int = 0
    """Number of answers that get lost from now on."""
    asked: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request, *, within_s: float) -> Answer:
        self.asked.append(request)
        answer = self.pair.hear("site-a", request)
        if self.losses:
            self.losses -= 1
            raise PeerUnavailableError("no answer")
        return decode_answer(answer)


def scene(play: Callable[[PeerLine, Caller], Awaitable[None]]) -> None:
    """Play with a line from site A to site B that is up."""

    async def run() -> None:
        pair = Pair()
        pair.fill(1, 100)
        caller, thread = Caller(pair), StoreThread()
        here = terms("site-a")
        line = PeerLine(
            lambda: here,
            caller,
            store=pair.stores["site-a"],
            thread=thread,
            notary=SILENT,
            timing=TIMING,
            at_hand=AtHand(),
        )
        with pytest.raises(PeerUnavailableError, match="not called yet"):
            line.require_up()
        await line.compare()
        line.require_up()
        caller.asked.clear()
        await play(line, caller)
        thread.close()

    asyncio.run(run())


async def promise(line: PeerLine, caller: Caller) -> Outcome:
    outcomes = await line._thread.converse(caller.pair.promise("site-a", [order("site-a")]), line.agree)
    caller.pair.keep(outcomes)
    return outcomes[0]


def test_a_lost_answer_is_asked_for_again_by_the_same_name() -> None:
    async def play(line: PeerLine, caller: Caller) -> None:
        caller.losses = 2
        outcome = await promise(line, caller)
        assert outcome.failure is None
        assert len(caller.asked) == 3
        assert caller.asked[0] == caller.asked[1] == caller.asked[2]
        assert len(caller.pair.fetch("site-b", list(outcome.order.key_ids)).keys) == 1
        caller.pair.check_history()

    scene(play)


def test_after_silence_the_line_is_down_and_the_other_site_is_told_when_it_is_back() -> None:
    async def play(line: PeerLine, caller: Caller) -> None:
        caller.losses = 1000
        outcome = await promise(line, caller)
        assert isinstance(outcome.failure, PeerUnavailableError)
        with pytest.raises(PeerUnavailableError):
            line.require_up()
        assert not any(isinstance(request, Void) for request in caller.asked)
        (waiting,) = caller.pair.stores["site-b"].waiting("site-a")
        caller.losses = 0
        await line.compare()
        assert caller.pair.stores["site-b"].record(waiting.assignment.key_id).state is KeyState.VOID
        caller.pair.check_agreement()

    scene(play)


def test_the_pause_doubles_up_to_a_minute_and_is_never_the_same() -> None:
    async def play(line: PeerLine, caller: Caller) -> None:
        seen = []
        for _ in range(10):
            line.down(PeerUnavailableError("no answer"))
            seen.append([line._pause_s() for _ in range(50)])
        for number, pauses in enumerate(seen):
            middle = min(60.0, 2.0**number)
            assert 0.5 * middle <= min(pauses) < max(pauses) <= 1.5 * middle
        assert line.state.is_up is False

    scene(play)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_site_that_greets_is_called_at_once(is_restarted: bool) -> None:
    async def play(line: PeerLine, caller: Caller) -> None:
        assert line.state.last is not None
        known = line.state.last.instance
        line.heard(known)
        assert not line._soon.is_set(), "nothing is new"
        if is_restarted:
            line.heard("00000000-0000-4000-8000-000000000000")
        else:
            line.down(PeerUnavailableError("no answer"))
            line.heard(known)
        assert line._soon.is_set()

    scene(play)


async def until(line: PeerLine, *, is_up: bool) -> None:
    for _ in range(400):
        if line.state.is_up is is_up:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"the line does not become {is_up}")


def test_the_keeper_of_a_line_brings_it_back() -> None:
    async def play(line: PeerLine, caller: Caller) -> None:
        caller.losses = 1
        keeper = asyncio.create_task(line.keep())
        await until(line, is_up=False)
        line.heard("00000000-0000-4000-8000-000000000000")
        await until(line, is_up=True)
        keeper.cancel()

    scene(play)


def test_a_fault_of_this_sites_own_store_does_not_speak_against_the_other_site(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(_peer: str) -> list[Assignment]:
        raise StoreError("the database is gone")

    async def play(line: PeerLine, caller: Caller) -> None:
        monkeypatch.setattr(caller.pair.stores["site-a"], "unsettled", gone)
        keeper = asyncio.create_task(line.keep())
        while "the database is gone" not in caplog.text:
            await asyncio.sleep(0.005)
        line.require_up()
        monkeypatch.undo()
        line.compare_soon()
        before = line.state.comparisons
        while line.state.comparisons == before:
            await asyncio.sleep(0.005)
        keeper.cancel()

    scene(play)
