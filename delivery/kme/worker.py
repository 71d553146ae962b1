"""The one thread in which a site touches its store, and conversations between it and another site."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from faintlink.core.errors import PeerUnavailableError
from faintlink.delivery.ledger.messages import Answer, Request
from faintlink.delivery.ledger.terms import Program

T = TypeVar("T")


class StoreThread:
    """Runs what blocks, one after the other, beside the event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="key-store")

    async def run(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; it is carried through even if the caller is cancelled meanwhile."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._pool, work))

    def close(self) -> None:
        """Wait for what is under way and end the thread."""
        self._pool.shutdown(wait=True)

    async def converse(self, program: Program[T], ask: Callable[[Request], Awaitable[Answer]]) -> T:
        """Run a program: its steps in the thread, its requests through ``ask``."""
        answer: Answer | PeerUnavailableError | None = None
        while True:
            step = await self.run(partial(_step, program, answer))
            if isinstance(step, _Ends):
                return step.result
            try:
                answer = await ask(step.request)
            except PeerUnavailableError as error:
                answer = error


@dataclass(frozen=True, slots=True)
class _Asks:
    request: Request


@dataclass(frozen=True, slots=True)
class _Ends(Generic[T]):
    result: T


def _step(program: Program[T], answer: Answer | PeerUnavailableError | None) -> "_Asks | _Ends[T]":
    # StopIteration cannot pass through a future.
    try:
        if answer is None:
            return _Asks(next(program))
        if isinstance(answer, PeerUnavailableError):
            return _Asks(program.throw(answer))
        return _Asks(program.send(answer))
    except StopIteration as done:
        return _Ends(done.value)
