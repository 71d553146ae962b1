"""Carry requests to another site over HTTPS with certificates on both sides."""

import asyncio
import ssl

import aiohttp

from faintlink.core.errors import PeerUnavailableError, RemoteProtocolError
from faintlink.delivery.kme.config import PeerSite
from faintlink.delivery.ledger.messages import MOST_BYTES, Answer, Request, decode_answer, encode

LEDGER_PATH = "/ledger/v1"
RELAY_PATH = "/relay/v1"
_BYTES = "application/octet-stream"


class SiteClient:
    """One keep-alive client for all that this site asks another; made inside the event loop."""

    def __init__(self, peer: PeerSite, context: ssl.SSLContext) -> None:
        self._peer = peer
        # No cookies and no redirects: the other site is this address or nobody. Idle connections are closed here, long
        # before they are closed there, so that no request meets one that is just going.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=16, keepalive_timeout=15.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    async def __call__(self, request: Request, *, within_s: float) -> Answer:
        """Return the answer to a request of the ledger; raises as `Caller`."""
        frame = await self.post(LEDGER_PATH, encode(request), within_s=within_s)
        try:
            return decode_answer(frame)
        except RemoteProtocolError as error:
            raise PeerUnavailableError(f"{self._peer.name} answers: {error.message}", hint=error.hint) from None

    async def post(self, path: str, frame: bytes, *, within_s: float) -> bytes:
        """Send a frame and return the frame that answers it.

        Raises
        ------
        PeerUnavailableError
            There is no answer in time, or it is not one of success; the other site may have acted all the same.
        """
        try:
            async with (
                asyncio.timeout(within_s),
                self._session.post(
                    self._peer.url + path,
                    data=frame,
                    headers={"Content-Type": _BYTES},
                    allow_redirects=False,
                    server_hostname=self._peer.tls_name,
                ) as response,
            ):
                if response.status != 200:
                    raise PeerUnavailableError(
                        f"{self._peer.name} answers with status {response.status}", hint="look at its log"
                    )
                return await _read(response)
        except TimeoutError:
            raise PeerUnavailableError(
                f"{self._peer.name} does not answer within {within_s:g} s", hint="is it up, and is the way open?"
            ) from None
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            raise PeerUnavailableError(
                f"{self._peer.name} cannot be reached: {type(error).__name__}: {error}",
                hint="is it up, and do both sites' certificates come from the same authority?",
            ) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_chunked(1 << 16):
        body += part
        if len(body) > MOST_BYTES:
            raise PeerUnavailableError(
                f"an answer is longer than {MOST_BYTES} bytes", hint="do both sites run the same version?"
            )
    return bytes(body)
