"""Sites killed at random while keys are relayed: no key twice, no key different, nothing left, all ledgers the same."""

import asyncio
import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from faintlink.delivery.keystore.model import KeyState, Role
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.kme_load import OTHER, Load, disturbed
from tests.relay_processes import LINKS, MIDDLE, ROW, Row
from tests.unit.delivery.kme.sites import SITES

CLIENTS = 4
SEED = 37
UNITS_A_KILL = 600
"""Reserve of each link that the applications use up between two kills, at most."""


async def served(load: Load, more_than: int) -> None:
    """Wait until another relayed key has reached both applications."""
    deadline = time.monotonic() + 60.0
    while len(load.history.pair_s) <= more_than:
        assert time.monotonic() < deadline, load.history.answers
        await asyncio.sleep(0.02)


async def kill_under_load(row: Row, load: Load, kills: int) -> list[float]:
    """Kill one of the sites again and again, and return how long no key could be relayed, s."""
    chance = random.Random(SEED)

    async def pause() -> None:
        await served(load, 0)
        await asyncio.sleep(chance.uniform(0.1, 0.6))

    async def kill(number: int) -> None:
        # The one that relays and one that asks at least, whatever the number of kills.
        site = (MIDDLE, SITES[0])[number] if number < 2 else chance.choice(ROW)
        await asyncio.to_thread(row.kill, site)
        row.start(site)
        await asyncio.to_thread(row.await_up)
        await served(load, len(load.history.pair_s))

    return await disturbed(load, CLIENTS, kills, kill, pause=pause, sites=SITES)


def check_stores(row: Row) -> int:
    """Assert that all stores agree, and return how many keys wait for ever because their names were lost."""
    with ExitStack() as stack:
        stores = {
            site: stack.enter_context(
                SqliteKeyStore.open(folder / "store" / "keys.db", site, FileMasterKey(folder / "store" / "master.key"))
            )
            for site, folder in row.folders.items()
        }
        for first, second in LINKS:
            assert stores[first].ledger(second) == stores[second].ledger(first)
        waiting = 0
        for site, other in OTHER.items():
            assert stores[site].unsettled(other) == []
            for record in stores[site].waiting(other):
                assert record.role is Role.SLAVE
                assert stores[other].record(record.assignment.key_id).state is KeyState.DELIVERED
                waiting += 1
        return waiting


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kills", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_relays_never_hand_out_twice_and_agree_in_the_end(tmp_path: Path, kills: int) -> None:
    row = Row.make(tmp_path / "sites")
    row.distil(1, 1000 + UNITS_A_KILL * kills)
    for site in ROW:
        row.start(site)
    try:
        row.await_up()
        load = row.load()
        away = asyncio.run(kill_under_load(row, load, kills))
        row.await_comparisons(4)
    finally:
        row.stop()
    history = load.history
    history.check()
    waiting = check_stores(row)
    lost = waiting + len(set(history.master) - set(history.slave))
    print(f"{kills} kills: {history.told(lost, away)}; {dict(history.answers)}")
    # A request in flight when a site is killed burns its keys; no other key is lost.
    assert lost <= min(history.broken, CLIENTS * kills)
    assert len(history.slave) > kills
