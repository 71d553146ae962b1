"""Gather what is asked for while the last answer is on its way: one exchange and one commit then serve many."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Batches(Generic[T]):
    """Runs ``work`` on runs of items, one run at a time; ``work`` leaves its results in the items."""

    def __init__(self, work: Callable[[list[T]], Awaitable[None]], *, most: int, weight: Callable[[T], int]) -> None:
        self._work = work
        self._most = most
        self._weight = weight
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, item: T) -> None:
        """Return when ``work`` is done with an item; raises what it raised."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await asyncio.shield(done)

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                await self._work([item for item, _ in batch])
            except Exception as error:  # whatever it is, it is told to whoever waits, who knows what to do with it
                for _, done in batch:
                    done.set_exception(error)
                    # A caller that has gone leaves nobody to look at it.
                    done.exception()
            else:
                for _, done in batch:
                    done.set_result(None)

    def _next(self) -> list[tuple[T, "asyncio.Future[None]"]]:
        count, weight = 0, 0
        for item, _ in self._waiting:
            weight += self._weight(item)
            if count and weight > self._most:
                break
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def finish(self) -> None:
        """Wait until nothing is waiting."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
