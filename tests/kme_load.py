"""Applications that load two sites, and the history of what was handed out to them."""

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

OTHER = {"site-a": "site-b", "site-b": "site-a"}


@dataclass
class History:
    """Who was handed what: the checker of whole runs."""

    master: dict[str, list[str]] = field(default_factory=dict)
    """Keys by name, as the masters' applications got them."""
    slave: dict[str, list[str]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    pair_s: list[float] = field(default_factory=list)
    """Time of each pair of requests that both succeeded."""
    broken: int = 0
    """Requests that were sent and ended without an answer: their keys may be burnt."""
    refused: int = 0
    """Requests that could not be sent."""

    def keep(self, whose: dict[str, list[str]], container: Any) -> list[str]:
        """Note an answer and return the names in it."""
        for key in container["keys"]:
            whose.setdefault(key["key_ID"], []).append(key["key"])
        return [key["key_ID"] for key in container["keys"]]

    def check(self) -> None:
        """Assert that no key was handed out twice to one side, and that both sides got the same bits."""
        twice = [name for side in (self.master, self.slave) for name, keys in side.items() if len(keys) > 1]
        assert twice == []
        different = [name for name, keys in self.slave.items() if self.master.get(name, keys) != keys]
        assert different == []
        bits = [keys[0] for keys in self.master.values()]
        assert len(set(bits)) == len(bits), "the same bits under two names"

    def told(self, lost: int, away: list[float]) -> str:
        """Return the history of applications whose sites were away for so long, s, in one line."""
        return (
            f"{len(self.master)} keys to masters, {len(self.slave)} to slaves, {lost} lost, {self.broken} requests "
            f"without an answer, away {sorted(away)[len(away) // 2]:.1f} s, at most {max(away):.1f} s"
        )


@dataclass
class Load:
    """Applications at both sites that ask for keys and fetch the other halves, until told to end."""

    contexts: dict[str, ssl.SSLContext]
    """Of the application at each site."""
    urls: dict[str, str]
    """Where each asks for keys with the other."""
    number: int = 1
    size: int = 256
    history: History = field(default_factory=History)
    is_over: bool = False

    async def run(self, clients: int, seconds: float, *, sites: tuple[str, ...] = ("site-a",)) -> None:
        """Load the sites with ``clients`` applications, masters at ``sites`` in turns."""
        sessions = {site: self._session(context, clients) for site, context in self.contexts.items()}
        end = time.monotonic() + seconds
        try:
            await asyncio.gather(
                *(self._client(sites[number % len(sites)], sessions, end) for number in range(clients))
            )
        finally:
            for session in sessions.values():
                await session.close()

    def _session(self, context: ssl.SSLContext, clients: int) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=20)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=clients), timeout=timeout)

    async def _client(self, site: str, sessions: dict[str, aiohttp.ClientSession], end: float) -> None:
        body = {"number": self.number, "size": self.size}
        while time.monotonic() < end and not self.is_over:
            start = time.monotonic()
            made = await self._ask(sessions[site], f"{self.urls[site]}/enc_keys", body)
            if made is None:
                await asyncio.sleep(0.1)
                continue
            names = self.history.keep(self.history.master, made)
            if await self.fetch(sessions[OTHER[site]], self.urls[OTHER[site]], names):
                self.history.pair_s.append(time.monotonic() - start)

    async def fetch(self, session: aiohttp.ClientSession, url: str, names: list[str]) -> bool:
        """Fetch the other halves, asking again while the site is away."""
        for _ in range(100):
            before = self._in_vain()
            fetched = await self._ask(session, f"{url}/dec_keys", {"key_IDs": [{"key_ID": name} for name in names]})
            if fetched is not None:
                self.history.keep(self.history.slave, fetched)
                return True
            if self._in_vain() == before:
                return False
            await asyncio.sleep(0.1)
        return False

    def _in_vain(self) -> int:
        """Return how many requests may succeed when they are made again."""
        return self.history.broken + self.history.refused + self.history.answers["dec_keys 503"]

    async def _ask(self, session: aiohttp.ClientSession, url: str, body: Any) -> Any:
        try:
            async with session.post(url, json=body) as response:
                data = await response.read()
                self.history.answers[f"{url.rpartition('/')[2]} {response.status}"] += 1
                return json.loads(data) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Where there was no connection, nothing was asked.
            is_refused = isinstance(error, aiohttp.ClientConnectorError)
            self.history.answers[f"{url.rpartition('/')[2]} {'refused' if is_refused else 'broken'}"] += 1
            self.history.refused += is_refused
            self.history.broken += not is_refused
            return None


async def disturbed(
    load: Load,
    clients: int,
    times: int,
    disturb: Callable[[int], Awaitable[None]],
    *,
    pause: Callable[[], Awaitable[object]],
    sites: tuple[str, ...],
) -> list[float]:
    """Disturb sites again and again while applications ask, and return how long each time took, s."""
    running = asyncio.create_task(load.run(clients, 3600.0, sites=sites))
    away = []
    for number in range(times):
        await pause()
        start = time.monotonic()
        await disturb(number)
        away.append(time.monotonic() - start)
    await asyncio.sleep(0.5)
    load.is_over = True
    await running
    return away
