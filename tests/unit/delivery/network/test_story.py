"""Three sites over real TLS: applications at the ends get keys that are relayed over the one between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from faintlink.delivery.network.sites import client, make_network, running
from faintlink.delivery.network.story import tell_story
from tests.unit.delivery.network.distilled import distilled


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    folder = tmp_path_factory.mktemp("story")
    links = [distilled(folder / name, tuple(name.split("-"))) for name in ("site1-site2", "site2-site3")]  # type: ignore[arg-type]
    said: list[str] = []
    return asyncio.run(tell_story(folder / "sites", links, say=said.append)), said, folder


def test_the_message_arrives_and_every_key_is_delivered_at_both_ends(
    story: tuple[dict[str, Any], list[str], Path],
) -> None:
    told, said, _ = story
    assert any("sae-site3 reads: Meet me" in line for line in said)
    keys = 1 + 3 + told["batch"]["keys"]
    assert {name: site["delivered"] for name, site in told["sites"].items()} == {
        "site1": keys,
        "site2": 0,
        "site3": keys,
    }
    assert {site["relayed"] for site in told["sites"].values()} == {keys}
    assert {site["voided"] for site in told["sites"].values()} == {0}


def test_the_ends_sign_the_exchange_and_pin_each_other_past_the_site_between(
    story: tuple[dict[str, Any], list[str], Path],
) -> None:
    told, _, folder = story
    assert told["messages"]["hybrid"]["signed_by"] == ["urn:faintlink:kme:site1", "urn:faintlink:kme:site3"]
    for here, other in (("site1", "site3"), ("site3", "site1")):
        pinned = folder / "sites" / here / "tls" / f"pinned-{other}.crt"
        assert pinned.read_bytes() == (folder / "sites" / other / "tls" / "peers.crt").read_bytes()


def test_the_reserve_pays_for_the_keys_and_nothing_else_does(
    story: tuple[dict[str, Any], list[str], Path],
) -> None:
    sites = story[0]["sites"]
    price = 256 * (4 + 6 + 3 + story[0]["batch"]["keys"])
    for here, there in (("site1", "site2"), ("site2", "site3")):
        stock = sites[here]["stock_bits"]
        assert stock[f"{there} reserve_theirs"] - stock[f"{there} reserve_ours"] in (price, price - 256, price + 256)
        assert stock[f"{there} reserve_ours"] == sites[there]["stock_bits"][f"{here} reserve_theirs"]
        assert stock[f"{there} ours"] == sites[there]["stock_bits"][f"{here} theirs"]


def test_the_nodes_files_are_emptied(story: tuple[dict[str, Any], list[str], Path]) -> None:
    for link in ("site1-site2", "site2-site3"):
        for party in ("alice", "bob"):
            files = [*(story[2] / link / "keys" / party).glob("*.key")]
            assert [path.stat().st_size for path in files] == [0]


def test_neighbours_still_get_keys_of_their_own_stock(tmp_path: Path) -> None:
    links = [distilled(tmp_path / "l", ("site1", "site2"))]

    async def scene() -> tuple[bytes, bytes, dict[str, int]]:
        network = make_network(tmp_path / "sites", links)
        async with running(tmp_path / "sites", network) as sites:
            before = {pool: stock.units for (_, pool), stock in sites["site1"].site.parts.store.stock().items()}
            async with client(sites["site1"]) as here, client(sites["site2"]) as there:
                assert (await here.status("sae-site2")).target_kme == "site2"
                (key,) = await here.new_keys("sae-site2", number=1, size=256)
                (copy,) = await there.named_keys("sae-site1", [key.key_id], size=256)
            after = {pool: stock.units for (_, pool), stock in sites["site1"].site.parts.store.stock().items()}
            return bytes(key.material), bytes(copy.material), {pool: before[pool] - after[pool] for pool in before}

    ours, theirs, used = asyncio.run(scene())
    assert ours == theirs
    assert used == {"ours": 1, "theirs": 0, "reserve_ours": 0, "reserve_theirs": 0}
