"""Pooling over a way that loses messages."""

import asyncio

import pytest

from faintlink.core.errors import AccessDeniedError, PeerUnavailableError, RemoteProtocolError
from faintlink.delivery.etsi014.pool_link import PoolReceiver, keep_pooling, pool_once
from faintlink.delivery.etsi014.pooling import PoolVerdict
from tests.unit.delivery.etsi014.fakes import name_of
from tests.unit.delivery.etsi014.test_source import Pair

AWAY = PeerUnavailableError("no answer")


class Way:
    """From the master's site to the slave's; ``losses`` has an ``r`` for a lost request, an ``a`` for a lost answer."""

    def __init__(self, pair: Pair, losses: str = "") -> None:
        self.receiver = PoolReceiver({("site-a", "box-7"): pair.slave})
        self.losses = losses
        self.sent = 0

    async def __call__(self, frame: bytes) -> bytes:
        loss = self.losses[self.sent : self.sent + 1]
        self.sent += 1
        if loss == "r":
            raise AWAY
        answer = await self.receiver("site-a", frame)
        if loss == "a":
            raise AWAY
        return answer


def blocks(pair: Pair) -> tuple[int, int]:
    return len(pair.stores[0]), len(pair.stores[1])


def test_a_block_comes_through() -> None:
    pair = Pair()
    assert asyncio.run(pool_once(pair.master, Way(pair))) == 4
    assert blocks(pair) == (1, 1)


@pytest.mark.parametrize("losses", ["r", "a", "ra", "aa"])
def test_lost_messages_cost_nothing(losses: str) -> None:
    pair = Pair()
    assert asyncio.run(pool_once(pair.master, Way(pair, losses))) == 4
    assert blocks(pair) == (1, 1)
    assert pair.supply.made == 5


def test_keys_are_forgotten_when_no_answer_comes() -> None:
    pair = Pair()

    async def run() -> int:
        with pytest.raises(PeerUnavailableError):
            await pool_once(pair.master, Way(pair, "aaa"))
        return await pair.master.settle(PoolVerdict(pair.stores[1][0].block_id, accepted=True))

    assert asyncio.run(run()) == 0
    assert blocks(pair) == (0, 1)


def test_a_verdict_about_another_block_is_refused() -> None:
    pair = Pair()

    async def send(frame: bytes) -> bytes:
        return PoolVerdict(name_of(9), accepted=True).encode()

    with pytest.raises(RemoteProtocolError, match=r"where .* was offered"):
        asyncio.run(pool_once(pair.master, send))
    assert blocks(pair) == (0, 0)


def test_a_site_that_does_not_share_the_link_is_refused() -> None:
    pair = Pair()

    async def run() -> None:
        await Way(pair).receiver("site-c", (await pair.master.pull()).encode())

    with pytest.raises(AccessDeniedError, match="box-7, which is not shared"):
        asyncio.run(run())
    assert pair.stores[1] == []


def test_pooling_goes_on_without_a_pause_until_the_device_is_empty_and_then_more_and_more_seldom() -> None:
    pair, pauses = Pair(stored=10), list[float]()

    async def wanted() -> bool:
        return True

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 7:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(
            keep_pooling(pair.master, Way(pair), is_wanted=wanted, pause_s=1.0, longest_pause_s=5.0, sleep=sleep)
        )
    assert pauses == [0.0, 0.0, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert blocks(pair) == (2, 2)


def test_nothing_is_pulled_that_is_not_wanted() -> None:
    pair = Pair()

    async def unwanted() -> bool:
        return False

    async def sleep(pause_s: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_pooling(pair.master, Way(pair), is_wanted=unwanted, sleep=sleep))
    assert pair.supply.made == 0
