"""Sites killed at random under load: no key twice, no key different, and both ledgers the same in the end."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.kme_load import Load
from tests.kme_processes import Processes
from tests.unit.delivery.kme.sites import SITES

CLIENTS = 6


async def kill_under_load(pair: Processes, load: Load, kills: int) -> list[float]:
    """Kill a site again and again while applications ask, and return how long each was away, s."""
    chance = random.Random(14)
    running = asyncio.create_task(load.run(CLIENTS, 3600.0, sites=SITES))
    away = []
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.2, 0.8))
        site = chance.choice(SITES)
        start = time.monotonic()
        await asyncio.to_thread(pair.kill, site)
        pair.start(site)
        await asyncio.to_thread(pair.await_up)
        away.append(time.monotonic() - start)
    await asyncio.sleep(0.5)
    load.is_over = True
    await running
    return away


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [2, pytest.param(300, marks=pytest.mark.slow)])
def test_killed_sites_never_hand_out_twice_and_agree_in_the_end(tmp_path: Path, kills: int) -> None:
    pair = Processes.make(tmp_path / "sites")
    pair.distil(1, 20_000 + 200 * kills)
    for site in SITES:
        pair.start(site)
    try:
        pair.await_up()
        load = pair.load()
        away = asyncio.run(kill_under_load(pair, load, kills))
        for _ in range(2):
            for site in SITES:
                seen = pair.status(site, compare=True)
        assert next(iter(seen["peers"].values()))["last_differences"] == 0
    finally:
        pair.stop()
    history = load.history
    history.check()
    waiting = pair.check_stores()
    lost = waiting + len(set(history.master) - set(history.slave))
    print(
        f"{kills} kills: {len(history.master)} keys to masters, {len(history.slave)} to slaves, {lost} lost, "
        f"{history.broken} requests without an answer, away {sorted(away)[len(away) // 2]:.1f} s, "
        f"at most {max(away):.1f} s"
    )
    # A request in flight when a site is killed burns its keys; no other key is lost.
    assert lost <= min(history.broken, CLIENTS * kills)
    assert len(history.slave) > 2 * kills
