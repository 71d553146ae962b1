"""Helpers for tests of time-tagger drivers: tags to play, and a stream read to its end."""

import threading
import time
from collections.abc import Callable

import numpy as np

from faintlink.core.tags import TagBlock, concatenate
from faintlink.instruments.emulators.kit.tag_source import PlayedStream, TagSource, played
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.pattern import MockPatternGenerator
from faintlink.instruments.mocks.receivers import MockTimeTagger
from faintlink.instruments.roles import TagStream


def random_tags(count: int, *, step_ps: int, channels: int = 4, seed: int = 5, mean_steps: int = 500) -> TagBlock:
    """Return tags whose times are whole steps, none at the same time."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(1, 2 * mean_steps, count)) * step_ps
    return TagBlock(times, rng.integers(1, channels + 1, count).astype(np.uint8))


def bench_source(*, receiver: str = "bob") -> TagSource:
    """Return a mock tagger's source on a fresh bench whose sender plays."""
    bench = MockBench("bench", chunk_ms=1.0)
    MockPatternGenerator("pattern", bench.name).start()
    # The registry holds instruments weakly: the tagger must exist before ``bench`` goes.
    return MockTimeTagger("mock", bench.name, receiver=receiver).stream


def read_until(stream: TagStream, is_enough: Callable[[TagBlock], bool], *, limit_s: float = 10.0) -> TagBlock:
    """Read a running stream until what came is enough, or fail."""
    blocks: list[TagBlock] = []
    deadline = time.monotonic() + limit_s
    while True:
        blocks.append(stream.read(0.05))
        whole = concatenate(blocks)
        if is_enough(whole):
            return whole
        assert time.monotonic() < deadline, f"only {whole!r} came within {limit_s} s"


def recorded(stream: TagStream, count: int) -> TagBlock:
    """Start a stream, read at least ``count`` tags, stop it and return everything it gave."""
    stream.start()
    first = read_until(stream, lambda block: len(block) >= count)
    stream.stop()
    return concatenate([first, stream.read(0.0)])


def assert_same(got: TagBlock, truth: TagBlock) -> None:
    """Check that times and channels are equal."""
    np.testing.assert_array_equal(got.times_ps, truth.times_ps)
    np.testing.assert_array_equal(got.channels, truth.channels)


class GatedStream:
    """Plays some tags, and the others only when its gate is open."""

    def __init__(self, tags: TagBlock, *, first: int, piece: int, gate: threading.Event) -> None:
        self._parts = [PlayedStream(part, piece=piece) for part in halves(tags, first)]
        self._gate = gate

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def read(self, timeout_s: float) -> TagBlock:
        block = self._parts[0].read(timeout_s)
        return block if len(block) or not self._gate.is_set() else self._parts[1].read(timeout_s)

    def stop(self) -> None:
        for part in self._parts:
            part.stop()


def halves(tags: TagBlock, first: int) -> tuple[TagBlock, TagBlock]:
    """Return the first tags and the others."""
    return (
        TagBlock(tags.times_ps[:first], tags.channels[:first]),
        TagBlock(tags.times_ps[first:], tags.channels[first:]),
    )


__all__ = ["GatedStream", "assert_same", "bench_source", "played", "random_tags", "read_until", "recorded"]
