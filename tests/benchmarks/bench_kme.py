"""Keys for applications from two sites over TLS: pairs of requests per second, and bits per second in batches.

Two processes of ``faintlink kme serve`` with their SQLite stores and audit logs, and the applications in a third, all
on this machine. A pair is one ``enc_keys`` at one site and one ``dec_keys`` of the same key at the other.
"""

import asyncio
import tempfile
import time
from math import nan
from pathlib import Path

from tests.benchmarks.harness import Row
from tests.kme_load import History
from tests.kme_processes import Processes
from tests.unit.delivery.kme.sites import SITES

SECONDS = 10.0
_KEYS = 100


def run() -> list[Row]:
    """Measure 16 applications with single keys, one application, and 8 applications with 100 keys at a time."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Processes.make(Path(folder) / "sites", timing={"agree_within_s": 5.0, "answer_within_s": 2.0})
        pair.distil(1, 150_000)
        for site in SITES:
            pair.start(site)
        try:
            pair.await_up(within_s=120.0)
            _measure(pair, 16, 1, 2.0)  # connections are made and pages are warm before anything counts
            single, one, batched = (
                _measure(pair, *shape) for shape in ((16, 1, SECONDS), (1, 1, 3.0), (8, _KEYS, SECONDS))
            )
        finally:
            pair.stop()
    return [
        _row("KME pair, 16 applications, single 256-bit keys", single, ">= 200 pairs/s, p99 <= 300 ms"),
        _row("KME pair, 1 application, single 256-bit keys", one, "none"),
        Row(
            f"KME pair, 8 applications, {_KEYS} keys of 256 bits at a time",
            _KEYS * 256 * _rate(batched) / 1e6,
            nan,
            "Mbit/s",
            "none",
            ">= 1 Mbit/s",
            _times(batched),
        ),
    ]


def _measure(pair: Processes, clients: int, number: int, seconds: float) -> tuple[History, float]:
    load = pair.load(number=number)
    start = time.monotonic()
    asyncio.run(load.run(clients, seconds))
    load.history.check()
    return load.history, time.monotonic() - start


def _rate(measured: tuple[History, float]) -> float:
    history, seconds = measured
    return len(history.pair_s) / seconds


def _times(measured: tuple[History, float]) -> str:
    times = sorted(measured[0].pair_s)
    p50, p99 = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, 0 twice, 0 unequal"


def _row(name: str, measured: tuple[History, float], asked: str) -> Row:
    return Row(name, _rate(measured), nan, "pairs/s", "none", asked, _times(measured))
