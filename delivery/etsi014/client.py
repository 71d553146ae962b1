"""The aiohttp shell around `faintlink.delivery.etsi014.exchange`: an application's connection to a foreign KME.

Both sides show certificates. Nothing is repeated here: who repeats a request for new keys spends more keys.

Sources
-------
ETSI GS QKD 014 V1.1.1 clause 5.1: TLS 1.2 or newer, mutual authentication.
"""

import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp

from faintlink.core.errors import ConfigError, LocalProtocolError, PeerUnavailableError
from faintlink.delivery.etsi014.exchange import (
    MAX_ANSWER_BYTES,
    Call,
    ForeignStatus,
    Reply,
    dec_keys_call,
    enc_keys_call,
    read_named_keys,
    read_new_keys,
    read_origins,
    read_status,
    status_call,
)
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.origins import KeyOrigin

_CONNECT_S = 10.0
_PART_BYTES = 2**16


class Client014:
    """Keys of a foreign KME, in an ``async with`` block.

    Parameters
    ----------
    url
        ``https://host:port``.
    context
        Holds our certificate and the authority of theirs.
    timeout_s
        For a whole request.
    """

    def __init__(self, url: str, context: ssl.SSLContext, *, timeout_s: float = 30.0) -> None:
        if not url.startswith("https://"):
            raise ConfigError(f"{url!r} is no https URL", hint="keys travel under TLS only")
        if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
            raise ConfigError("the TLS context lets any server pass", hint="use one that checks certificate and name")
        self._url = url.rstrip("/")
        self._context = context
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=_CONNECT_S)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # No cookies, no proxies and no compression: nothing between us and the KME, and nothing that swells.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context),
            timeout=self._timeout,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def status(self, slave: str) -> ForeignStatus:
        """Return the status of our keys with ``slave``.

        Raises
        ------
        DeliveryError, RemoteProtocolError
            The KME refuses, or does not keep to the standard.
        """
        return read_status(await self._send(status_call(slave)))

    async def new_keys(self, slave: str, *, number: int, size: int) -> list[DeliveredKey]:
        """Return up to ``number`` new keys of ``size`` bits.

        Raises
        ------
        DeliveryError, RemoteProtocolError
            The KME refuses, or does not keep to the standard.
        """
        return read_new_keys(await self._send(enc_keys_call(slave, number=number, size=size)), number=number, size=size)

    async def named_keys(self, master: str, key_ids: Sequence[str], *, size: int) -> list[DeliveredKey]:
        """Return the copies of keys that ``master`` has named, in that order.

        Raises
        ------
        DeliveryError, RemoteProtocolError
            The KME refuses, or does not keep to the standard.
        """
        return read_named_keys(await self._send(dec_keys_call(master, key_ids)), key_ids=key_ids, size=size)

    async def new_keys_and_origins(self, slave: str, *, number: int, size: int) -> list[tuple[DeliveredKey, KeyOrigin]]:
        """Return new keys as `new_keys`, and where each came from.

        Raises
        ------
        DeliveryError, RemoteProtocolError
            The KME refuses, does not offer `PROVENANCE <faintlink.delivery.etsi014.extensions.PROVENANCE>`, or does not
            keep to the standard.
        """
        reply = await self._send(enc_keys_call(slave, number=number, size=size, with_origins=True))
        keys = read_new_keys(reply, number=number, size=size)
        return list(zip(keys, read_origins(reply, keys), strict=True))

    async def named_keys_and_origins(
        self, master: str, key_ids: Sequence[str], *, size: int
    ) -> list[tuple[DeliveredKey, KeyOrigin]]:
        """Return copies of keys as `named_keys`, and where each came from.

        Raises
        ------
        DeliveryError, RemoteProtocolError
            The KME refuses, does not say where they came from, or does not keep to the standard.
        """
        reply = await self._send(dec_keys_call(master, key_ids, with_origins=True))
        keys = read_named_keys(reply, key_ids=key_ids, size=size)
        return list(zip(keys, read_origins(reply, keys), strict=True))

    async def _send(self, call: Call) -> Reply:
        if self._session is None:
            raise LocalProtocolError("the client is not open", hint="use it in an `async with` block")
        headers = {"Content-Type": "application/json"} if call.body is not None else {}
        try:
            async with self._session.request(
                call.verb, self._url + call.target, data=call.body, headers=headers, allow_redirects=False
            ) as response:
                return Reply(response.status, await _read(response.content))
        except TimeoutError:
            raise PeerUnavailableError(f"{self._url} does not answer in time", hint="is it reachable?") from None
        except aiohttp.ClientError as error:
            raise PeerUnavailableError(f"{self._url}: {error}", hint=_hint(error)) from None


async def _read(content: aiohttp.StreamReader) -> bytes:
    # One byte more than is taken, so that the reader sees that it is too much.
    body = bytearray()
    while len(body) <= MAX_ANSWER_BYTES and (part := await content.read(_PART_BYTES)):
        body += part
    return bytes(body)


def _hint(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is of another authority than ours names, expired, or for another host"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host: look at the URL"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no common TLS version, or the port speaks no TLS"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "nothing listens there, or a firewall is in between"
    # With TLS 1.3 a server refuses a certificate only after the client believes to be connected.
    return "if this is the first request: it may refuse our certificate; see its log"
