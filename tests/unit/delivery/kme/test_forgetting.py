"""A running site destroys what opens handed-out keys, again and again, whatever one attempt comes to."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from faintlink.core.errors import StoreError
from faintlink.delivery.kme.running import forget_again
from faintlink.delivery.kme.site import Site


class Thread:
    """Runs work on the spot."""

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns."""
        return work()


def test_epochs_are_forgotten_again_after_an_attempt_that_failed() -> None:
    calls: list[int] = []
    enough = asyncio.Event()

    def forget() -> int:
        calls.append(len(calls))
        if len(calls) == 1:
            raise StoreError("the disk is full", hint="free it")
        if len(calls) == 3:
            enough.set()
        return 1

    timing = SimpleNamespace(forget_every_s=0.001)
    parts = SimpleNamespace(store=SimpleNamespace(forget_epochs=forget))
    site = cast("Site", SimpleNamespace(thread=Thread(), parts=parts, config=SimpleNamespace(timing=timing)))

    async def scene() -> None:
        task = asyncio.create_task(forget_again(site))
        await asyncio.wait_for(enough.wait(), timeout=10)
        task.cancel()

    asyncio.run(scene())
    assert calls[:3] == [0, 1, 2]
