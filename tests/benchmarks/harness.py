"""Measure ours and a peer in one run, interleaved, and print the ratio.

A benchmark file offers ``run() -> list[Row]``. Figures are ratios of medians of the same process on the same core;
nothing here asserts on time.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the performance page."""

    name: str
    """What was measured, with its size."""
    ours: float
    """Our rate, in ``unit``."""
    peer: float
    """The peer's rate, in ``unit``; nan where there is no peer."""
    unit: str
    """Unit of both rates, bigger is better."""
    peer_name: str
    """Who the peer is, with version."""
    asked: str
    """The figure asked for, in words."""
    note: str = ""
    """Facts that belong beside the figure (f, frame errors, correctness check)."""

    @property
    def ratio(self) -> float:
        """Ours over the peer's."""
        return self.ours / self.peer


def interleaved(ours: Callable[[], object], peer: Callable[[], object], *, repeats: int = 7) -> tuple[float, float]:
    """Return the median seconds of ours and of the peer, run in turns after one warm-up each."""
    ours()
    peer()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for run, kept in zip((ours, peer), times, strict=True):
            start = time.perf_counter()
            run()
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])
