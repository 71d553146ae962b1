"""This site's line to another: asks it, notices when it is gone, and compares ledgers whenever it is back."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from faintlink.core.errors import FaintlinkError, PeerUnavailableError, StoreError
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.config import Timing
from faintlink.delivery.kme.worker import StoreThread
from faintlink.delivery.ledger.answering import AtHand
from faintlink.delivery.ledger.comparing import Comparison, Suspicions, reconcile
from faintlink.delivery.ledger.messages import MOST_BLOCKS, Answer, Held, Hello, Offer, Request, Void, pieces
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.terms import Program, Result, Terms, expect

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.05
"""Pause before a request to a site that is up is repeated; it doubles."""


class Caller(Protocol):
    """Carries a request to the other site and brings its answer."""

    async def __call__(self, request: Request, *, within_s: float) -> Answer:
        """Return the answer.

        Raises
        ------
        PeerUnavailableError
            There is none in time; the other site may have acted all the same.
        """
        ...


@dataclass(slots=True)
class LineState:
    """What an operator wants to know of a line."""

    is_up: bool = False
    problem: str = "not called yet"
    last_compared: float | None = None
    """Monotonic time, s."""
    last: Comparison | None = None
    comparisons: int = 0


class PeerLine:
    """Owned by the event loop; the store is touched in its thread only."""

    def __init__(
        self,
        terms: Callable[[], Terms],
        call: Caller,
        *,
        store: KeyStore,
        thread: StoreThread,
        notary: Notary,
        timing: Timing,
        at_hand: AtHand,
    ) -> None:
        self.name = terms().peer
        self.terms = terms
        self.state = LineState()
        self.busy: set[str] = set()
        """Names of keys that are being agreed to."""
        self.at_hand = at_hand
        self._call = call
        self._store = store
        self._thread = thread
        self._notary = notary
        self._timing = timing
        self._suspicions = Suspicions(timing.grace_s)
        self._soon = asyncio.Event()
        self._failures = 0
        self._owed: list[Void] = []
        self._comparing = asyncio.Lock()

    def require_up(self) -> None:
        """Refuse to promise anything while the other site is away.

        Raises
        ------
        PeerUnavailableError
            It is.
        """
        if not self.state.is_up:
            raise PeerUnavailableError(
                f"{self.name} does not answer: {self.state.problem}", hint="it is called again until it answers"
            )

    def compare_soon(self) -> None:
        """Have the ledgers compared now instead of at the next turn."""
        self._soon.set()

    def heard(self, instance: str) -> None:
        """Note that the other site has greeted; one that was away or was restarted is called at once."""
        last = self.state.last
        if not self.state.is_up or last is None or last.instance != instance:
            self._failures = 0
            self.compare_soon()

    async def agree(self, request: Request) -> Answer:
        """Return the answer to a request that changes something, asking again until there is one.

        Raises
        ------
        PeerUnavailableError
            There is none in time; the line is down from now on.
        """
        deadline = time.monotonic() + self._timing.agree_within_s
        pause = _FIRST_PAUSE_S
        if isinstance(request, Void) and not self.state.is_up:
            self._owed.append(request)
            self.require_up()
        while True:
            left = deadline - time.monotonic()
            try:
                return await self._call(request, within_s=max(0.0, min(left, self._timing.answer_within_s)))
            except PeerUnavailableError as error:
                if left <= pause:
                    self.down(error)
                    self.compare_soon()
                    raise
                _log.info("%s is asked again: %s", self.name, error.message)
            await asyncio.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            pause *= 2

    async def keep(self) -> None:
        """Call the other site, compare ledgers, and do so again and again; never returns."""
        while True:
            self._soon.clear()
            try:
                await self.compare()
            except FaintlinkError as error:
                self.down(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), self._pause_s())

    async def compare(self) -> Comparison:
        """Compare ledgers once.

        Raises
        ------
        DeliveryError
            The other site does not answer, or the store fails.
        RemoteProtocolError, ConfigError
            The sites do not speak the same, or cut their blocks in different ways.
        """
        async with self._comparing:
            return await self._compare()

    async def _compare(self) -> Comparison:
        while self._owed:
            await self._call(self._owed[0], within_s=self._timing.answer_within_s)
            self._owed.pop(0)
        program = reconcile(
            self._store,
            self.terms(),
            busy=self.busy,
            suspicions=self._suspicions,
            notary=self._notary,
            keep_waiting=timedelta(days=self._timing.keep_waiting_days),
        )
        found = await self._converse(program)
        await self._converse(self._take_in())
        if not self.state.is_up:
            level = logging.WARNING if self._failures or found.divergence else logging.INFO
            _log.log(level, "%s answers; ledgers compared, %d differences", self.name, found.divergence)
        self._failures = 0
        count = self.state.comparisons + 1
        self.state = LineState(is_up=True, problem="", last_compared=time.monotonic(), last=found, comparisons=count)
        return found

    def _take_in(self) -> Program[None]:
        """Take distilled blocks into the store once the other site has taken them into its own."""
        for some in pieces(self.at_hand.blocks(), MOST_BLOCKS):
            held = expect((yield Offer(blocks=tuple(some))), Held)
            self.at_hand.take_in(held.blocks)

    async def _converse(self, program: Program[Result]) -> Result:
        return await self._thread.converse(program, self._ask)

    async def _ask(self, request: Request) -> Answer:
        # Whether anybody is there shows with the greeting; what follows may take its time.
        timing = self._timing
        within_s = timing.answer_within_s if isinstance(request, Hello) else timing.compare_within_s
        return await self._call(request, within_s=within_s)

    def down(self, error: FaintlinkError) -> None:
        """Note that the other site is not available; nothing is promised until it is."""
        if isinstance(error, StoreError):
            # This site's own: it says nothing of the other, and applications are told what is wrong as they ask.
            _log.error("ledgers are not compared with %s: %s", self.name, error.message)
            return
        if self.state.is_up or error.message != self.state.problem:
            _log.warning("%s is not available: %s", self.name, error.message)
        self._failures += 1
        self.state.is_up = False
        self.state.problem = error.message

    def _pause_s(self) -> float:
        timing = self._timing
        if self.state.is_up:
            is_open = self.state.last is not None and self.state.last.suspected
            return min(timing.grace_s + 1.0, timing.compare_every_s) if is_open else timing.compare_every_s
        pause = min(timing.longest_retry_s, timing.first_retry_s * 2.0 ** min(self._failures - 1, 10))
        return pause * (0.5 + secrets.randbelow(1000) / 1000)
