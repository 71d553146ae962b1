"""The mock tagger's stream: order, pace, and honest counting of what is lost."""

import itertools
from typing import Any

import numpy as np
import pytest
from qcodes.instrument import Instrument

from faintlink.core.errors import LocalProtocolError
from faintlink.core.tags import GapCause, concatenate
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.pattern import MockPatternGenerator
from faintlink.instruments.mocks.receivers import MockTimeTagger
from faintlink.instruments.mocks.stream import Pace, Pacer, TagQueue


def _bench(**settings: Any) -> MockBench:
    bench = MockBench("bench", record_truth=True, **settings)
    if bench.engine.is_pulsed:
        MockPatternGenerator("pattern", "bench").start()
    return bench


def test_the_blocks_of_a_stream_follow_each_other() -> None:
    bench = _bench(chunk_ms=1.0)
    stream = MockTimeTagger("tagger", "bench").stream()
    stream.start()
    blocks = [stream.read(0.1) for _ in range(10)]
    whole = concatenate(blocks)
    assert len(whole) > 1000
    assert not whole.gaps
    assert np.array_equal(bench.truth().time_ps, whole.times_ps)


def test_each_fast_read_lets_one_chunk_pass() -> None:
    bench = _bench(chunk_ms=2.0)
    stream = MockTimeTagger("tagger", "bench").stream()
    stream.start()
    for _ in range(5):
        stream.read(0.1)
    assert bench.bench_time() == pytest.approx(0.010)


def test_an_overflow_is_counted_to_the_last_tag() -> None:
    """Present plus lost is what the detectors gave."""
    bench = _bench()
    tagger = MockTimeTagger("tagger", "bench")
    tagger.fifo_tags(5000)
    stream = tagger.stream()
    stream.start()
    for _ in range(20):
        bench.advance(0.001)
    block = stream.read(0.1)
    truth = bench.truth()
    assert len(block) == 5000
    assert len(block) + block.lost == len(truth) > 10_000
    (gap,) = block.gaps
    assert gap.cause is GapCause.DEVICE_OVERFLOW
    assert gap.start_ps == block.times_ps[-1]
    assert gap.end_ps >= truth.time_ps[-1]


def test_after_an_overflow_the_stream_is_whole_again() -> None:
    bench = _bench()
    tagger = MockTimeTagger("tagger", "bench")
    tagger.fifo_tags(5000)
    stream = tagger.stream()
    stream.start()
    bench.advance(0.02)
    gap = stream.read(0.1).gaps[0]
    bench.truth()
    bench.advance(0.001)
    block = stream.read(0.1)
    assert not block.gaps
    assert np.array_equal(block.times_ps, bench.truth().time_ps)
    assert block.times_ps[0] >= gap.end_ps


def test_two_overflows_in_a_row_are_one_gap_per_read() -> None:
    queue = TagQueue("bob", room=2)
    for start in (0, 10):
        queue.push(np.arange(start, start + 5, dtype=np.int64), np.ones(5, np.uint8), start + 5)
    block = queue.take()
    assert (len(block), block.lost) == (2, 8)
    assert (block.gaps[0].start_ps, block.gaps[0].end_ps) == (1, 15)


def test_a_loss_with_nothing_kept_starts_where_the_stream_was_whole() -> None:
    queue = TagQueue("bob", room=1)
    queue.push(np.array([3], np.int64), np.ones(1, np.uint8), 8)
    queue.push(np.array([9], np.int64), np.ones(1, np.uint8), 12)
    assert queue.take().gaps[0].start_ps == 8


def test_two_taggers_read_in_turn_stay_in_step() -> None:
    bench = _bench(model="bbm92", chunk_ms=5.0)
    streams = [MockTimeTagger(who, "bench", receiver=who).stream() for who in ("alice", "bob")]
    for stream in streams:
        stream.start()
    got = {who: [] for who in ("alice", "bob")}  # type: dict[str, list[Any]]
    for _ in range(6):
        for who, stream in zip(got, streams, strict=True):
            got[who].append(stream.read(0.1))
    assert bench.bench_time() == pytest.approx(0.030)
    for who, blocks in got.items():
        assert np.array_equal(concatenate(blocks).times_ps, bench.truth(who).time_ps)


def test_realtime_follows_the_wall_clock_and_loses_what_a_slow_reader_leaves() -> None:
    bench = _bench()
    ticks = itertools.count()
    pacer = Pacer(bench.engine, pace=Pace.REALTIME, chunk_s=0.0, clock=lambda: 0.01 * next(ticks))
    queue = TagQueue("bob", room=1000)
    pacer.attach(queue)
    pacer.step(queue, 0.0)
    pacer.step(queue, 0.0)
    assert bench.bench_time() == pytest.approx(0.02)
    block = queue.take()
    assert len(block) == 1000
    assert len(block) + block.lost == len(bench.truth())


def test_counting_in_realtime_starts_when_it_is_asked_for() -> None:
    """Idle wall time before a measurement is not played."""
    bench = _bench()
    ticks = iter([0.0, 1000.0, 1000.5])
    pacer = Pacer(bench.engine, pace=Pace.REALTIME, chunk_s=0.0, clock=lambda: next(ticks))
    pacer.wait(0.0)
    assert bench.bench_time() == pytest.approx(0.5)


def test_a_stopped_stream_still_gives_what_it_holds_and_then_nothing() -> None:
    bench = _bench()
    stream = MockTimeTagger("tagger", "bench").stream()
    stream.start()
    bench.advance(0.002)
    stream.stop()
    bench.advance(0.002)
    assert len(stream.read(0.1)) > 0
    assert len(stream.read(0.1)) == 0


def test_a_stream_cannot_be_started_twice() -> None:
    bench = _bench()
    stream = MockTimeTagger("tagger", bench.name).stream()
    stream.start()
    with pytest.raises(LocalProtocolError, match="runs already"):
        stream.start()


def test_a_stream_that_nobody_reads_does_not_stop_the_others() -> None:
    bench = _bench(chunk_ms=5.0)
    taggers = [MockTimeTagger(name, "bench") for name in ("lazy", "busy")]
    taggers[0].fifo_tags(100)
    lazy, busy = (tagger.stream() for tagger in taggers)
    lazy.start()
    busy.start()
    got = concatenate([busy.read(0.01) for _ in range(3)])
    assert len(got) == len(bench.truth())
    left = lazy.read(0.01)
    assert len(left) + left.lost == len(got)


def test_the_safe_state_stops_all_streams_of_a_tagger() -> None:
    bench = _bench()
    tagger = MockTimeTagger("tagger", "bench")
    tagger.stream().start()
    tagger.safe_state()
    assert not bench.pacer.queues
    Instrument.close_all()


def test_queued_tags_do_not_change_when_the_bench_moves_on() -> None:
    """A single tag once shared its memory with the simulation while it waited to be read."""
    bench = _bench(model="bbm92")
    queue = TagQueue("bob", room=100_000)
    seen: list[int] = []
    bench.engine.receivers["bob"].listeners.append(lambda _times, channels, _whole: seen.extend(channels.tolist()))
    bench.pacer.attach(queue)
    for _ in range(2000):
        bench.advance(1e-6)
    assert len(seen) > 50
    assert queue.take().channels.tolist() == seen
