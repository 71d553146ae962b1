"""Sites killed at random under load: no key twice, no key different, and both ledgers the same in the end."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.kme_load import Load, disturbed
from tests.kme_processes import Processes
from tests.unit.delivery.kme.sites import SITES

CLIENTS = 6


async def kill_under_load(pair: Processes, load: Load, kills: int) -> list[float]:
    """Kill a site again and again while applications ask, and return how long each was away, s."""
    chance = random.Random(14)

    async def kill(_number: int) -> None:
        site = chance.choice(SITES)
        await asyncio.to_thread(pair.kill, site)
        pair.start(site)
        await asyncio.to_thread(pair.await_up)

    return await disturbed(
        load, CLIENTS, kills, kill, pause=lambda: asyncio.sleep(chance.uniform(0.2, 0.8)), sites=SITES
    )


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [2, pytest.param(300, marks=pytest.mark.slow)])
def test_killed_sites_never_hand_out_twice_and_agree_in_the_end(tmp_path: Path, kills: int) -> None:
    pair = Processes.make(tmp_path / "sites")
    pair.distil(1, 20_000 + 200 * kills)
    with pair.serving():
        load = pair.load()
        away = asyncio.run(kill_under_load(pair, load, kills))
        for _ in range(2):
            for site in SITES:
                seen = pair.status(site, compare=True)
        assert next(iter(seen["peers"].values()))["last_differences"] == 0
    history = load.history
    history.check()
    waiting = pair.check_stores()
    lost = waiting + len(set(history.master) - set(history.slave))
    print(f"{kills} kills: {history.told(lost, away)}")
    # A request in flight when a site is killed burns its keys; no other key is lost.
    assert lost <= min(history.broken, CLIENTS * kills)
    assert len(history.slave) > 2 * kills
