"""Run the pooling of a foreign link at both sites, over the way on which the sites talk anyway.

`PoolReceiver` is what the slave's site answers with: one of the ``receivers`` of `faintlink.delivery.kme.site.Parts`,
under `POOL_PATH`. `keep_pooling` is the task of the master's site; it sends by a function such as
`faintlink.delivery.kme.calling.SiteClient.post`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from faintlink.core.errors import (
    AccessDeniedError,
    DeliveryError,
    PeerUnavailableError,
    ProtocolError,
    RemoteProtocolError,
)
from faintlink.delivery.etsi014.pooling import PoolOffer, PoolVerdict
from faintlink.delivery.etsi014.source import PoolMaster, PoolSlave

logger = logging.getLogger(__name__)

POOL_PATH = "/pool/v1"
Send = Callable[[bytes], Awaitable[bytes]]
"""Carries a frame to the other site and returns its answer; raises `PeerUnavailableError` where there is none."""
_ATTEMPTS = 3


class PoolReceiver:
    """Answers the offers of other sites."""

    def __init__(self, slaves: Mapping[tuple[str, str], PoolSlave]) -> None:
        """Know the foreign links by the other site and the link's name."""
        self._slaves = dict(slaves)

    async def __call__(self, site: str, frame: bytes) -> bytes:
        """Return the verdict about an offer, as bytes.

        Raises
        ------
        RemoteProtocolError
            The frame is no offer.
        AccessDeniedError
            No link of that name is shared with the site.
        DeliveryError
            The block cannot be stored.
        """
        offer = PoolOffer.decode(frame)
        slave = self._slaves.get((site, offer.link))
        if slave is None:
            raise AccessDeniedError(
                f"site {site} offers keys of link {offer.link}, which is not shared with it",
                hint="compare the agreements of both sites",
            )
        return (await slave.answer(offer)).encode()


async def pool_once(master: PoolMaster, send: Send) -> int:
    """Carry one block through and return the number of units; keys for which no verdict comes are forgotten.

    Raises
    ------
    KeyExhaustedError
        The device holds too few keys; none was taken.
    DeliveryError, RemoteProtocolError
        The device or the other site fails.
    """
    offer = await master.pull()
    try:
        verdict = PoolVerdict.decode(await _send(send, offer.encode()))
        if verdict.block != offer.block:
            raise RemoteProtocolError(f"a verdict about {verdict.block} where {offer.block} was offered")
        return await master.settle(verdict)
    finally:
        master.give_up(offer.block)


async def keep_pooling(
    master: PoolMaster,
    send: Send,
    *,
    is_wanted: Callable[[], Awaitable[bool]],
    pause_s: float = 10.0,
    longest_pause_s: float = 300.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Pool blocks until cancelled.

    Parameters
    ----------
    master
        Our side of the link.
    send
        To the other site.
    is_wanted
        Whether the stock takes more.
    pause_s, longest_pause_s
        Pause while nothing is wanted or after a failure; it doubles with each failure in a row.
    sleep
        For tests.
    """
    after_failure_s = pause_s
    while True:
        try:
            units = await pool_once(master, send) if await is_wanted() else 0
            wait_s, after_failure_s = 0.0 if units else pause_s, pause_s
        except (DeliveryError, ProtocolError) as error:
            wait_s, after_failure_s = after_failure_s, min(2 * after_failure_s, longest_pause_s)
            logger.warning("no keys are pooled for %g s: %s: %s", wait_s, type(error).__name__, error.message)
        await sleep(wait_s)


async def _send(send: Send, frame: bytes) -> bytes:
    # The slave answers a repeated offer as it did before, so that a lost answer costs nothing.
    for _ in range(_ATTEMPTS - 1):
        try:
            return await send(frame)
        except PeerUnavailableError as error:
            logger.info("an offer is sent again: %s", error.message)
    return await send(frame)
