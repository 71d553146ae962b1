"""Our client over real mutual TLS."""

import asyncio
import gc
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from faintlink.core.errors import ConfigError, LocalProtocolError, PeerUnavailableError, RemoteProtocolError
from faintlink.delivery.etsi014.client import Client014
from faintlink.delivery.etsi014.service import Api014
from faintlink.delivery.pki.authority import Authority
from tests.unit.delivery.etsi014.extension_cases import offering
from tests.unit.delivery.etsi014.fakes import MemorySupply, material_of
from tests.unit.delivery.etsi014.loopback import Handler, Loopback


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the authorities `ca` and `other`, and files of a server and a client of each."""
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ca", "other"):
        authority = Authority.create(folder, name)
        issued = authority.issue("urn:example:kme", hosts=["127.0.0.1"], is_server=True)
        issued.write(folder, f"{name}-server")
        authority.issue("urn:example:alice").write(folder, f"{name}-client")
    return folder


def load(context: ssl.SSLContext, folder: Path, name: str, authority: str) -> ssl.SSLContext:
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    context.load_verify_locations(folder / f"{authority}.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def ours(folder: Path, *, name: str = "ca-client", authority: str = "ca") -> ssl.SSLContext:
    return load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), folder, name, authority)


@pytest.fixture
def server(folder: Path) -> Iterator[Loopback]:
    context = load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder, "ca-server", "ca")
    with Loopback(Api014(MemorySupply()), caller="alice", context=context) as server:
        yield server


def test_keys_come_over_mutual_tls(server: Loopback, folder: Path) -> None:
    async def run() -> tuple[int, list[bytes], list[str]]:
        async with Client014(server.url, ours(folder)) as client:
            status = await client.status("alice")
            keys = await client.new_keys("alice", number=2, size=512)
            names = [key.key_id for key in keys]
            copies = await client.named_keys("alice", names, size=512)
            assert [bytes(key.material) for key in copies] == [bytes(key.material) for key in keys]
            return status.stored_key_count, [bytes(key.material) for key in copies], names

    stored, keys, names = asyncio.run(run())
    assert (stored, keys) == (25_000, [material_of(name, 512) for name in names])


def test_keys_come_with_where_they_came_from_at_both_ends(folder: Path) -> None:
    context = load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder, "ca-server", "ca")

    async def run(url: str) -> None:
        async with Client014(url, ours(folder)) as client:
            made = await client.new_keys_and_origins("alice", number=2, size=256)
            names = [key.key_id for key, _ in made]
            assert [origin.blocks for _, origin in made] == [(f"block-{name}",) for name in names]
            copies = await client.named_keys_and_origins("alice", names[::-1], size=256)
            assert [origin for _, origin in copies] == [origin for _, origin in made[::-1]]
            assert [bytes(key.material) for key, _ in copies] == [material_of(name, 256) for name in names[::-1]]

    with Loopback(offering(MemorySupply()), caller="alice", context=context) as server:
        asyncio.run(run(server.url))


def test_a_kme_that_does_not_tell_where_keys_came_from_gives_none_to_who_asks(server: Loopback, folder: Path) -> None:
    async def run() -> None:
        async with Client014(server.url, ours(folder)) as client:
            await client.new_keys_and_origins("alice", number=1, size=256)

    with pytest.raises(RemoteProtocolError, match="not all extension_mandatory parameters are supported"):
        asyncio.run(run())


def status_error(url: str, context: ssl.SSLContext, *, timeout_s: float = 10.0) -> PeerUnavailableError:
    async def run() -> None:
        async with Client014(url, context, timeout_s=timeout_s) as client:
            await client.status("bob")

    with pytest.raises(PeerUnavailableError) as caught:
        asyncio.run(run())
    return caught.value


def test_a_kme_of_another_authority_is_told_as_such(server: Loopback, folder: Path) -> None:
    error = status_error(server.url, ours(folder, authority="other"))
    assert "another authority" in error.hint
    assert server.statuses == []


def test_a_kme_under_another_name_is_told_as_such(server: Loopback, folder: Path) -> None:
    error = status_error(server.url.replace("127.0.0.1", "localhost"), ours(folder))
    assert "another host" in error.hint
    assert server.statuses == []


def test_a_certificate_that_the_kme_refuses_is_told_as_such(server: Loopback, folder: Path) -> None:
    error = status_error(server.url, ours(folder, name="other-client"))
    assert "refuse our certificate" in error.hint
    assert server.statuses == []


def test_a_port_where_nobody_listens_is_told_as_such(folder: Path) -> None:
    assert "nothing listens" in status_error("https://127.0.0.1:9", ours(folder)).hint


# aiohttp says good-bye to a silent server for longer than the loop of the test runs.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_kme_that_does_not_answer_is_given_up(folder: Path) -> None:
    async def silent(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")

    context = load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder, "ca-server", "ca")
    with Loopback(Api014(MemorySupply()), context=context, handler=silent) as server:
        assert "in time" in status_error(server.url, ours(folder), timeout_s=0.3).message
    gc.collect()


def test_a_redirection_is_not_followed(folder: Path) -> None:
    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": "https://127.0.0.1:9/"})

    with pytest.raises(RemoteProtocolError, match="answers enc_keys with 307"):
        ask_one_that(elsewhere, folder)


def test_an_answer_without_end_is_cut_off(folder: Path) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(32):
            await response.write(b" " * 2**20)
            await asyncio.sleep(0)
        return response

    with pytest.raises(RemoteProtocolError, match="more than 16777216 bytes"):
        ask_one_that(endless, folder)


def ask_one_that(handler: Handler, folder: Path) -> None:
    """Ask a server that does nothing but what the handler does for a key."""
    context = load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), folder, "ca-server", "ca")

    async def run(url: str) -> None:
        async with Client014(url, ours(folder)) as client:
            await client.new_keys("bob", number=1, size=256)

    with Loopback(Api014(MemorySupply()), context=context, handler=handler) as server:
        asyncio.run(run(server.url))


def test_keys_never_travel_without_tls(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no https URL"):
        Client014("http://127.0.0.1:80", ours(folder))


def test_a_context_that_checks_nothing_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with pytest.raises(ConfigError, match="lets any server pass"):
        Client014("https://127.0.0.1", context)


def test_a_client_is_used_while_it_is_open(folder: Path) -> None:
    with pytest.raises(LocalProtocolError, match="not open"):
        asyncio.run(Client014("https://127.0.0.1:9", ours(folder)).status("bob"))
