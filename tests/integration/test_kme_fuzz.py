"""Arbitrary requests and certificates: the site goes on, and no key leaves it."""

import asyncio
import random
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from faintlink.core.errors import AccessDeniedError
from faintlink.delivery.keystore.model import KeyState
from faintlink.delivery.pki.authority import Authority
from faintlink.delivery.pki.identity import Gate, Revocations
from tests.unit.delivery.kme.sites import Running, application_context, ask, client, filled, make_pair, running
from tests.unit.delivery.ledger.fakes import MemoryStore

VALID = (
    b"POST /api/v1/keys/sae-site-b/enc_keys HTTP/1.1\r\nHost: kme\r\nContent-Type: application/json\r\n"
    b'Content-Length: 25\r\n\r\n{"number": 1,"size": 256}'
)
LEDGER = (
    b"POST /ledger/v1 HTTP/1.1\r\nHost: kme\r\nContent-Length: 52\r\n\r\n"
    b'{"v":1,"kind":"ask_states","key_ids":["0000-00000"]}'
)
PIECES = (b"\r\n", b"\0", b"%00", b"..", b"/", b"\xff\xfe", b"Transfer-Encoding: chunked\r\n", b"9" * 20, b"{" * 50)
CONNECTIONS = 16


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Return ``data`` with a few bytes changed, pieces put in, or cut off."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(made) + 1)
        what = chance.randrange(4)
        if what == 0 and place < len(made):
            made[place] ^= 1 << chance.randrange(8)
        elif what == 1:
            made[place:place] = chance.choice(PIECES)
        elif what == 2:
            del made[place : place + chance.randint(1, 12)]
        else:
            made[place : place + 4] = chance.randbytes(4)
    return bytes(made)


def handed_out(pair: Running) -> int:
    stores = [site.parts.store for site in pair.sites.values()]
    return sum(
        record.state is KeyState.DELIVERED
        for store in stores
        if isinstance(store, MemoryStore)
        for record in store.keys.values()
    )


async def throw(port: int, tls: ssl.SSLContext, name: str, frames: list[bytes]) -> list[bytes]:
    """Send frames on several connections at a time and return the answers."""
    shares = [frames[start::CONNECTIONS] for start in range(CONNECTIONS)]
    answers = await asyncio.gather(*(_throw(port, tls, name, share) for share in shares))
    return [one for some in answers for one in some]


async def _throw(port: int, tls: ssl.SSLContext, name: str, frames: list[bytes]) -> list[bytes]:
    """Send frames one after the other, with a new connection where the old one was closed."""
    answers = []
    writer: asyncio.StreamWriter | None = None
    for frame in frames:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        try:
            writer.write(frame)
            await writer.drain()
            # A request that is cut short has no answer; the next one completes it or breaks it.
            answers.append(await asyncio.wait_for(reader.read(1 << 16), 0.02))
        except TimeoutError:
            continue
        except OSError:
            answers.append(b"")
        if not answers[-1]:
            writer.transport.abort()
            writer = None
    if writer is not None:
        writer.transport.abort()
    return answers


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [400, pytest.param(100_000, marks=pytest.mark.slow)])
def test_arbitrary_bytes_of_an_enrolled_application_do_no_harm(
    tmp_path: Path, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    folders = make_pair(tmp_path / "sites")
    chance = random.Random(6)

    async def scene() -> None:
        async with running(folders, filled(1, 4000)) as pair:
            tls = application_context(folders[0])
            port = pair.sites["site-a"].ports["applications"]
            # Without a slave that is known, no mutation is a request that deserves a key.
            base = VALID.replace(b"sae-site-b", b"sae-nobody")
            frames = [mutated(chance, base) for _ in range(count)]
            answers = await throw(port, tls, "localhost", frames)
            statuses = {answer.split(b" ")[1] for answer in answers if answer.startswith(b"HTTP/")}
            assert statuses <= {b"400", b"404", b"405", b"408", b"413", b"414", b"431", b"503", b"417", b"411"}, (
                statuses
            )
            assert b"500" not in statuses
            assert handed_out(pair) == 0
            assert not any(record.exc_info for record in caplog.records), "a traceback for what somebody sent"
            async with client(tls) as session:
                assert (await ask(session, f"{pair.url('site-a')}/enc_keys", {}))[0] == 200

    asyncio.run(scene())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_arbitrary_bytes_of_another_site_do_no_harm(tmp_path: Path, count: int) -> None:
    folders = make_pair(tmp_path / "sites")
    chance = random.Random(7)

    async def scene() -> None:
        async with running(folders, filled(1, 4000)) as pair:
            tls = ssl.create_default_context(cafile=str(folders[1] / "tls" / "peers-authority.crt"))
            tls.load_cert_chain(folders[1] / "tls" / "peers.crt", folders[1] / "tls" / "peers.key")
            port = pair.sites["site-a"].ports["sites"]
            answers = await throw(port, tls, "site-a.kme.internal", [mutated(chance, LEDGER) for _ in range(count)])
            assert not any(answer.startswith(b"HTTP/1.1 500") for answer in answers)
            assert handed_out(pair) == 0
            async with client(application_context(folders[0])) as session:
                assert (await ask(session, f"{pair.url('site-a')}/enc_keys", {}))[0] == 200

    asyncio.run(scene())


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_arbitrary_certificates_speak_for_nobody_else(tmp_path: Path, count: int) -> None:
    authority = Authority.create(tmp_path, "applications")
    urns = {"urn:faintlink:sae:one": "one", "urn:faintlink:sae:two": "two"}
    gate = Gate(lambda: urns, Revocations(authority.crl_file, authority.certificate_file))
    pem = authority.issue("urn:faintlink:sae:one").certificate
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert gate.name(der) == "one"
    chance = random.Random(8)
    refused = 0
    for _ in range(count):
        try:
            # TLS has refused it before, for its signature; what is left of it must not confuse anybody.
            assert gate.name(mutated(chance, der)) == "one"
        except AccessDeniedError:
            refused += 1
    assert refused > count // 2


@pytest.mark.parametrize("count", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_certificates_with_changed_bytes_get_no_connection(tmp_path: Path, count: int) -> None:
    folders = make_pair(tmp_path / "sites")
    bundle = folders[0] / "applications" / "sae-site-a"
    pem = (bundle / "client.crt").read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    chance = random.Random(9)

    async def scene() -> None:
        async with running(folders, filled(1, 100)) as pair:
            for tls in _changed(tmp_path, bundle, der, chance, count):
                async with client(tls) as session:
                    with pytest.raises((aiohttp.ClientError, OSError)):
                        await ask(session, f"{pair.url('site-a')}/enc_keys", {})
            assert handed_out(pair) == 0

    asyncio.run(scene())


def _changed(folder: Path, bundle: Path, der: bytes, chance: random.Random, count: int) -> "list[ssl.SSLContext]":
    made: list[ssl.SSLContext] = []
    while len(made) < count:
        changed = bytearray(der)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        tls = ssl.create_default_context(cafile=str(bundle / "authority.crt"))
        path = folder / "changed.crt"
        path.write_text(ssl.DER_cert_to_PEM_cert(bytes(changed)))
        try:
            tls.load_cert_chain(path, bundle / "client.key")
        except ssl.SSLError:
            continue  # OpenSSL itself cannot read it any more
        made.append(tls)
    return made
