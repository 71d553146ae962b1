"""Whoever is not one of a site's applications gets no key: certificates of every wrong kind, over real TLS."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from faintlink.core.errors import PeerUnavailableError
from faintlink.delivery.keystore.model import Pool
from faintlink.delivery.kme.calling import LEDGER_PATH, SiteClient
from faintlink.delivery.kme.config import load_kme
from faintlink.delivery.kme.provision import enroll, revoke, site_urn
from faintlink.delivery.kme.tls import client_context
from faintlink.delivery.ledger.messages import AskStates, encode
from faintlink.delivery.pki.authority import Authority
from tests.unit.delivery.kme.sites import (
    Running,
    application_context,
    ask,
    change,
    client,
    filled,
    make_pair,
    running,
)

SAE = "urn:faintlink:sae:sae-site-a"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_pair(tmp_path_factory.mktemp("kme") / "sites")


def issue(folder: Path, name: str, authority: Authority, urn: str = SAE, **settings: object) -> ssl.SSLContext:
    """Return the TLS of somebody with a certificate of ``authority``."""
    issued = authority.issue(urn, **settings)  # type: ignore[arg-type]
    bundle = folder / name
    bundle.mkdir()
    issued.write(bundle, "client")
    return context(bundle, folder)


def context(bundle: Path, folder: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(folder.parent / "ca" / "applications.crt"))
    made.load_verify_locations(str(folder.parent / "ca" / "peers.crt"))
    made.load_cert_chain(bundle / "client.crt", bundle / "client.key")
    return made


async def status_of(pair: Running, tls: ssl.SSLContext) -> int | None:
    """Return what a request for a key is answered with, or None where there is no connection."""
    async with client(tls) as session:
        try:
            status, body = await ask(session, f"{pair.url('site-a')}/enc_keys", {"number": 1})
        except (aiohttp.ClientError, OSError):
            return None
    if status == 401:
        assert body is None
    return status


def left(pair: Running) -> int:
    return pair.sites["site-a"].parts.store.stock()["site-b", Pool.OURS].units


def test_no_certificate_but_the_applications_own_gets_a_key(folders: list[Path], tmp_path: Path) -> None:
    here = tmp_path / "site"
    here.mkdir()
    applications = Authority(folders[0].parent / "ca", "applications")
    stranger = Authority.create(tmp_path / "ca", "applications")
    nobody = ssl.create_default_context(cafile=str(applications.certificate_file))
    (tmp_path / "ca" / "peers.crt").write_bytes(applications.certificate_file.read_bytes())
    trusted = folders[0]
    wrong: dict[str, tuple[ssl.SSLContext, int | None]] = {"no certificate": (nobody, None)}
    for name, authority, settings, expected in [
        ("another authority", stranger, {}, None),
        ("expired", applications, {"days": -1}, None),
        ("a site's certificate", Authority(folders[0].parent / "ca", "peers"), {}, None),
        ("for servers only", applications, {"is_client": False, "is_server": True}, None),
        ("for no use", applications, {"is_client": False}, 401),
        ("unknown", applications, {"urn": "urn:faintlink:sae:mallory"}, 401),
        ("other letters", applications, {"urn": SAE.upper()}, 401),
        ("longer", applications, {"urn": SAE + "a"}, 401),
        ("of the other site", applications, {"urn": "urn:faintlink:sae:sae-site-b"}, 401),
    ]:
        wrong[name] = issue(trusted, name, authority, **settings), expected  # type: ignore[arg-type]

    async def scene() -> None:
        async with running(folders, filled(1, 100)) as pair:
            before = left(pair)
            seen = {name: await status_of(pair, tls) for name, (tls, _) in wrong.items()}
            assert seen == {name: expected for name, (_, expected) in wrong.items()}
            assert left(pair) == before
            assert await status_of(pair, application_context(folders[0])) == 200

    asyncio.run(scene())


def test_a_revoked_application_is_turned_away_in_the_middle_of_its_connection(folders: list[Path]) -> None:
    async def scene() -> None:
        enroll(folders[0], "soon-gone")
        async with (
            running(folders, filled(1, 100)) as pair,
            client(application_context(folders[0], "soon-gone")) as session,
        ):
            url = f"{pair.url('site-a')}/enc_keys"
            assert (await ask(session, url, {}))[0] == 200
            revoke(folders[0], "soon-gone")
            assert await ask(session, url, {}) == (401, None)
            assert await status_of(pair, application_context(folders[0])) == 200

    asyncio.run(scene())


def test_a_certificate_that_ends_during_its_connection_is_not_taken_any_more(folders: list[Path]) -> None:
    from datetime import UTC, datetime, timedelta

    async def scene() -> None:
        async with running(folders, filled(1, 100)) as pair, client(application_context(folders[0])) as session:
            url = f"{pair.url('site-a')}/enc_keys"
            assert (await ask(session, url, {}))[0] == 200
            gate = pair.sites["site-a"].gates["applications"]
            object.__setattr__(gate, "clock", lambda: datetime.now(UTC) + timedelta(days=91))
            assert await ask(session, url, {}) == (401, None)

    asyncio.run(scene())


def test_the_port_for_sites_hears_sites_only(folders: list[Path], tmp_path: Path) -> None:
    peers = Authority(folders[0].parent / "ca", "peers")
    frame = encode(AskStates(key_ids=()))

    async def scene() -> None:
        async with running(folders, filled(1, 100)) as pair:
            url = f"https://127.0.0.1:{pair.sites['site-a'].ports['sites']}{LEDGER_PATH}"

            async def post(tls: ssl.SSLContext, path: str = "") -> int | None:
                async with client(tls) as session:
                    try:
                        async with session.post(url + path, data=frame) as response:
                            return response.status
                    except (aiohttp.ClientError, OSError):
                        return None

            tls = client_context(folders[1], load_kme(folders[1]).sites)
            tls.check_hostname = False
            assert await post(tls) == 200
            assert await post(tls, "/x") == 404
            stranger = issue(folders[0], "site-c", peers, urn=site_urn("site-c"))
            assert await post(stranger) == 401
            bundle = folders[0] / "applications" / "sae-site-a"
            assert await post(context(bundle, folders[0])) is None

    asyncio.run(scene())


def test_a_site_does_not_speak_to_another_that_answers_at_its_peers_address(folders: list[Path]) -> None:
    async def scene() -> None:
        async with running(folders, filled(1, 100)) as pair:
            here = pair.sites["site-a"]
            peer = here.config.peers[0].model_copy(update={"url": f"https://127.0.0.1:{here.ports['sites']}"})
            caller = SiteClient(peer, client_context(folders[0], here.config.sites))
            try:
                with pytest.raises(PeerUnavailableError, match=r"Hostname mismatch|not valid for"):
                    await caller(AskStates(key_ids=()), within_s=2.0)
            finally:
                await caller.close()

    asyncio.run(scene())


def test_tls_1_2_is_spoken_only_where_it_is_allowed(tmp_path: Path) -> None:
    folders = make_pair(tmp_path / "sites")

    async def scene() -> int | None:
        async with running(folders, filled(1, 100)) as pair:
            tls = application_context(folders[0])
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            return await status_of(pair, tls)

    assert asyncio.run(scene()) is None
    old = load_kme(folders[0]).applications.model_dump() | {"oldest_tls": "1.2"}
    change(folders[0], applications=old)
    assert asyncio.run(scene()) == 200
