"""Two sites over real TLS: two applications get equal keys, and nobody else gets any."""

import asyncio
import base64
from pathlib import Path

import pytest

from tests.unit.delivery.kme.sites import (
    application_context,
    ask,
    client,
    filled,
    make_pair,
    running,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_pair(tmp_path_factory.mktemp("kme") / "sites")


def test_two_applications_get_equal_keys_in_both_directions(folders: list[Path]) -> None:
    async def scene() -> None:
        async with (
            running(folders, filled(2, 100)) as pair,
            client(application_context(folders[0])) as alice,
            client(application_context(folders[1])) as bob,
        ):
            for here, there, master, slave in (("site-a", "site-b", alice, bob), ("site-b", "site-a", bob, alice)):
                url = pair.url(here)
                status, state = await ask(master, f"{url}/status")
                assert (status, state["source_KME_ID"], state["target_KME_ID"]) == (200, here, there)
                status, made = await ask(master, f"{url}/enc_keys", {"number": 3, "size": 320})
                assert status == 200, made
                names = [{"key_ID": key["key_ID"]} for key in made["keys"]]
                url = f"{pair.url(there)}/dec_keys"
                status, fetched = await ask(slave, url, {"key_IDs": names})
                assert status == 200, fetched
                assert fetched == made
                assert {len(base64.b64decode(key["key"])) for key in made["keys"]} == {40}
                status, _ = await ask(slave, url, {"key_IDs": names})
                assert status == 400
                _, after = await ask(master, f"{pair.url(here)}/status")
                assert after["stored_key_count"] == state["stored_key_count"] - 6

    asyncio.run(scene())
