"""Batches, the line to the service manager, the folder of a node, and what is read again while a site runs."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from faintlink.core.errors import StoreError
from faintlink.core.records import SecretKey
from faintlink.delivery.kme.batches import Batches
from faintlink.delivery.kme.config import load_kme
from faintlink.delivery.kme.node_folder import NodeFolder
from faintlink.delivery.kme.provision import enroll
from faintlink.delivery.kme.running import read_again
from faintlink.delivery.kme.site import Parts, Site
from faintlink.delivery.witness import SilentWitness
from faintlink.postprocess.keystore import FileKeyStore
from tests.unit.delivery.kme.sites import change, make_pair
from tests.unit.delivery.ledger.fakes import CUT, MemoryStore, block


def test_what_is_asked_for_meanwhile_is_done_together() -> None:
    seen: list[list[int]] = []

    async def scene() -> None:
        gate = asyncio.Event()

        async def work(items: list[int]) -> None:
            seen.append(items)
            await gate.wait()

        batches = Batches(work, most=6, weight=lambda item: item)
        waiting = [asyncio.create_task(batches.add(1))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting += [asyncio.create_task(batches.add(item)) for item in (2, 3, 4, 9)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*waiting)

    asyncio.run(scene())
    assert seen == [[1], [2, 3], [4], [9]]


def test_an_error_is_told_to_everybody_in_the_batch_and_the_next_one_goes_on() -> None:
    async def scene() -> None:
        async def work(items: list[int]) -> None:
            if 0 in items:
                raise StoreError("the disk is full")

        batches = Batches(work, most=10, weight=lambda item: 1)
        told = await asyncio.gather(*(batches.add(item) for item in (0, 1)), return_exceptions=True)
        assert [type(one) for one in told] == [StoreError, StoreError]
        await batches.add(2)

    asyncio.run(scene())


def test_a_caller_that_goes_away_does_not_stop_the_others() -> None:
    async def scene() -> list[int]:
        done: list[int] = []

        async def work(items: list[int]) -> None:
            await asyncio.sleep(0)
            done.extend(items)

        batches = Batches(work, most=10, weight=lambda item: 1)
        gone, stays = asyncio.create_task(batches.add(1)), asyncio.create_task(batches.add(2))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        await batches.finish()
        return done

    assert asyncio.run(scene()) == [1, 2]


def put(folder: Path, number: int, **about: object) -> str:
    made = block(number, 10)
    FileKeyStore(folder).put(SecretKey(made.block_id, 2560, made.material, 1e-10), about)
    return made.block_id


def test_only_keys_that_may_be_used_are_at_hand_and_only_named_ones_are_taken_in(tmp_path: Path) -> None:
    store = MemoryStore("site-a")
    folder = NodeFolder(tmp_path, store, "site-b", CUT, SilentWitness())
    good, other, _ = put(tmp_path, 1, usable=True), put(tmp_path, 2, usable=True), put(tmp_path, 3, usable=False)
    assert folder.blocks() == [good, other]
    folder.take_in([other, "00000000-0000-4000-8000-00000000beef"])
    assert [ledger.block for ledger in store.ledger("site-b")] == [other]
    assert folder.blocks() == [good]
    assert (tmp_path / f"{other}.key").read_bytes() == b""


def test_simulated_keys_are_taken_where_it_is_allowed(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path, MemoryStore("site-a"), "site-b", CUT, SilentWitness(), allow_simulated=True)
    name = put(tmp_path, 3, usable=False)
    assert folder.blocks() == [name]
    folder.take_in([name])
    assert folder.blocks() == []


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path / "none", MemoryStore("site-a"), "site-b", CUT, SilentWitness())
    assert folder.blocks() == []
    folder.take_in(["x"])


def test_a_new_application_is_taken_over_while_the_site_runs(tmp_path: Path) -> None:
    folders = make_pair(tmp_path / "sites")
    site = Site(folders[0], load_kme(folders[0]), Parts(MemoryStore("site-a"), SilentWitness()))
    enroll(folders[0], "vpn")
    enroll(folders[1], "far")
    assert "vpn" not in site.config.own
    asyncio.run(read_again(site))
    assert "vpn" in site.config.own
    assert "far" in site.terms("site-b").theirs
    (folders[0] / "kme.yaml").write_text("nonsense")
    asyncio.run(read_again(site))
    assert "vpn" in site.config.own


def test_releases_stop_when_a_self_test_has_failed() -> None:
    from faintlink.core.errors import SelfTestError
    from faintlink.delivery.kme.running import GatedWitness
    from faintlink.delivery.witness import Event, Fact

    kept: list[Fact] = []

    def shut() -> None:
        raise SelfTestError("a test failed")

    witness = GatedWitness(SimpleNamespace(note=kept.append), SimpleNamespace(require_open=shut))  # type: ignore[arg-type]
    witness.note(Fact(Event.STARTED, "site-a"))
    with pytest.raises(SelfTestError):
        witness.note(Fact(Event.KEYS_DELIVERED, "alice"))
    assert [fact.event for fact in kept] == [Event.STARTED]


def test_a_site_with_a_network_file_relays(tmp_path: Path) -> None:
    from faintlink.delivery.kme.running import opened_site
    from faintlink.delivery.relay.site import RelayingSite

    folder = make_pair(tmp_path / "sites")[0]
    (tmp_path / "sites" / "network.yaml").write_text(
        "format: faintlink.network/1\nname: test\nmax_epsilon: 1.0e-8\nlinks: [{between: [site-a, site-b]}]\n"
        "sites: {site-a: {applications: [sae-site-a]}, site-b: {applications: [sae-site-b]}}\n"
    )
    for network, kind in ((None, Site), ("../network.yaml", RelayingSite)):
        change(folder, network=network)
        with opened_site(folder) as opened:
            assert type(opened.site) is kind
            assert b"peer_up" in opened.monitor.monitoring.reply("GET", "/metrics").body
            opened.site.thread.close()
