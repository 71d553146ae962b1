"""Two sites whose line is cut, goes silent, or loses answers: no key twice, none lost, ledgers the same in the end."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from faintlink.core.errors import FaintlinkError
from tests.kme_load import OTHER, Load
from tests.unit.delivery.kme.proxy import Mode, Proxy, proxy
from tests.unit.delivery.kme.sites import (
    FAST,
    SITES,
    Running,
    change,
    filled,
    free_ports,
    make_pair,
    running,
    set_ports,
)
from tests.unit.delivery.ledger.sites import Pair

QUICK = {**FAST, "answer_within_s": 0.3, "agree_within_s": 0.8}


@asynccontextmanager
async def between(folder: Path) -> AsyncIterator[tuple[Running, dict[str, Proxy]]]:
    """Run two sites with a proxy in front of each one's port for sites."""
    folders = make_pair(folder)
    numbers = free_ports(6)
    ports = {"site-a": (numbers[0], numbers[1]), "site-b": (numbers[2], numbers[3])}
    seen = dict(zip(SITES, numbers[4:], strict=True))
    set_ports(folders, ports, seen)
    for one in folders:
        change(one, timing=QUICK)
    async with proxy(seen["site-a"]) as to_a, proxy(seen["site-b"]) as to_b:
        to_a.target, to_b.target = ports["site-a"][1], ports["site-b"][1]
        async with running(folders, filled(4, 2500)) as pair:
            yield pair, {"site-a": to_a, "site-b": to_b}


async def compare_until_equal(pair: Running) -> None:
    """Let both sites compare their ledgers until neither finds a difference."""
    for _ in range(50):
        try:
            found = [await pair.sites[site].lines[OTHER[site]].compare() for site in (*SITES, *SITES)]
        except FaintlinkError:
            await asyncio.sleep(0.05)
            continue
        if not any(one.divergence for one in found[2:]):
            return
    raise AssertionError("the ledgers do not come together")


def check(pair: Running, load: Load, *, may_lose: int) -> None:
    """Assert what must hold after any disturbance of the line."""
    load.history.check()
    Pair({site: one.parts.store for site, one in pair.sites.items()}).check_agreement()
    # Applications reached their sites all the time: nothing was in flight that could be lost.
    assert load.history.broken <= may_lose
    assert set(load.history.master) == set(load.history.slave)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_partitions_leave_nothing_behind(tmp_path: Path, times: int) -> None:
    chance = random.Random(20)

    async def scene() -> None:
        async with between(tmp_path / "sites") as (pair, lines):
            load = pair.load()
            asking = asyncio.create_task(load.run(6, 3600.0, sites=SITES))
            for number in range(times):
                await asyncio.sleep(chance.uniform(0.1, 0.3))
                mode: Mode = ("cut", "silent", "deaf")[number % 3]
                cut = chance.choice([list(lines.values()), [lines["site-a"]], [lines["site-b"]]])
                for line in cut:
                    line.set(mode)
                await asyncio.sleep(chance.uniform(0.1, 0.7))
                for line in cut:
                    line.set("open")
            before = len(load.history.slave)
            for _ in range(400):
                if len(load.history.slave) > before + 20:
                    break
                await asyncio.sleep(0.025)
            assert len(load.history.slave) > before + 20, "no keys after the last partition"
            load.is_over = True
            await asking
            await compare_until_equal(pair)
            check(pair, load, may_lose=0)
            # Of three short partitions each may fall between two requests; of fifty some do not.
            assert times < 50 or load.history.answers["enc_keys 503"] > 0
            print(f"{times} partitions: {len(load.history.master)} keys, {dict(load.history.answers)}")

    asyncio.run(scene())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_lost_answers_are_asked_for_again(tmp_path: Path, times: int) -> None:
    async def scene() -> None:
        async with between(tmp_path / "sites") as (pair, lines):
            load = pair.load()
            for _ in range(times):
                lines["site-b"].set("deaf")
                asking = asyncio.create_task(load.run(2, 0.3))
                # Let the assignment reach the other site, and its answer be lost.
                for _ in range(100):
                    if pair.sites["site-b"].parts.store.waiting("site-a"):
                        break
                    await asyncio.sleep(0.005)
                lines["site-b"].set("open")
                await asking
            for _ in range(40):
                if len(load.history.slave) >= times:
                    break
                await load.run(2, 0.25)
            await compare_until_equal(pair)
            check(pair, load, may_lose=0)
            assert len(load.history.slave) >= times, "no keys after the last lost answer"
            print(f"{times} lost answers: {len(load.history.master)} keys, {dict(load.history.answers)}")

    asyncio.run(scene())
