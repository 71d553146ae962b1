"""The ingest: joins and cuts, keeps order, tells losses, and survives a tagger that fails."""

import itertools
import time
from collections.abc import Iterator
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.acquisition.ingest import Ingest, as_stream_error, pieces
from faintlink.acquisition.ring import RingEnd, make_ring
from faintlink.core.errors import HardwareError, StreamError, TagOrderError
from faintlink.core.symbols import Party
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from tests.acquisition_fakes import STEP_PS, FakeStream, eventually, numbered

ROWS = 1000


class Drain:
    """Empties a ring on demand and keeps what came."""

    def __init__(self, end: RingEnd) -> None:
        self.end = end
        self.blocks: list[TagBlock] = []

    def __call__(self) -> int:
        while self.end.descriptors.poll(0.0):
            number, block = self.end.take()
            self.blocks.append(TagBlock(block.times_ps.copy(), block.channels.copy(), block.gaps))
            del block
            self.end.give_back(number)
        return sum(len(block) for block in self.blocks)


class Bench:
    """An ingest on a ring, with what went to the tap and what came out of the ring."""

    def __init__(self, source: FakeStream, *, commit_s: float = 0.02, blocks: int = 64) -> None:
        self.ring, end = make_ring(get_context("spawn"), blocks=blocks, block_rows=ROWS, wait_s=0.0)
        end.attach()
        self.drain = Drain(end)
        self.tapped: list[TagBlock] = []
        self.ingest = Ingest(
            Party.BOB, source, self.ring, tap=lambda _, block: self.tapped.append(block), commit_s=commit_s
        )

    def start(self) -> None:
        self.ingest.arm()
        self.ingest.start()

    def close(self) -> None:
        self.ingest.abandon()
        self.drain.end.close()
        self.ring.close()


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    made: list[Bench] = []
    yield made
    for bench in made:
        bench.close()


def times(blocks: list[TagBlock]) -> np.ndarray:
    return np.concatenate([block.times_ps for block in blocks])


def test_small_reads_are_joined_into_full_blocks(benches: list[Bench]) -> None:
    bench = Bench(FakeStream(read_tags=300, pause_s=0.001), commit_s=10.0)
    benches.append(bench)
    bench.start()
    assert eventually(lambda: bench.drain() >= 5 * ROWS)
    bench.ingest.stop()
    count = bench.drain()
    assert {len(block) for block in bench.drain.blocks[:-1]} == {ROWS}
    np.testing.assert_array_equal(times(bench.drain.blocks), np.arange(count) * STEP_PS)
    np.testing.assert_array_equal(times(bench.tapped), times(bench.drain.blocks))


def test_large_reads_are_cut(benches: list[Bench]) -> None:
    bench = Bench(FakeStream(read_tags=3500, pause_s=0.01))
    benches.append(bench)
    bench.start()
    assert eventually(lambda: bench.drain() >= 10_000)
    bench.ingest.stop()
    count = bench.drain()
    np.testing.assert_array_equal(times(bench.drain.blocks), np.arange(count) * STEP_PS)


def test_a_few_tags_do_not_wait_for_a_full_block(benches: list[Bench]) -> None:
    bench = Bench(FakeStream(rate_hz=1000.0), commit_s=0.04)
    benches.append(bench)
    bench.start()
    assert eventually(lambda: bench.drain() > 0)
    assert len(bench.drain.blocks[0]) < ROWS


def test_when_the_ring_fills_up_the_tap_sees_exactly_what_the_writer_sees(benches: list[Bench]) -> None:
    bench = Bench(FakeStream(read_tags=ROWS, pause_s=0.001), blocks=4)
    benches.append(bench)
    bench.start()
    assert eventually(lambda: bench.ingest.dropped > 5 * ROWS)
    bench.drain()
    assert eventually(lambda: bench.drain() > 8 * ROWS)
    time.sleep(0.05)
    bench.drain()
    bench.ingest.stop()
    count = bench.drain()
    assert bench.ingest.tags == count
    assert count + bench.ingest.dropped == round(bench.ingest.span_s * 1e6) + 1
    assert sum(block.lost for block in bench.drain.blocks) == bench.ingest.dropped == bench.ingest.lost
    np.testing.assert_array_equal(times(bench.tapped), times(bench.drain.blocks))
    assert [block.gaps for block in bench.tapped] == [block.gaps for block in bench.drain.blocks]


def test_a_tagger_that_fails_leaves_the_tags_read_before(benches: list[Bench]) -> None:
    error = HardwareError("no answer")
    bench = Bench(FakeStream(read_tags=300, fail_at=950, error=error, pause_s=0.001), commit_s=10.0)
    benches.append(bench)
    bench.start()
    assert eventually(lambda: bench.ingest.error is error)
    bench.ingest.stop()
    assert bench.drain() == 900


def test_times_that_run_backwards_are_an_error_that_names_the_party(benches: list[Bench]) -> None:
    class Backwards(FakeStream):
        def read(self, timeout_s: float) -> TagBlock:
            block = super().read(timeout_s)
            return block if self.sent < 500 else TagBlock(block.times_ps[::-1].copy(), block.channels)

    bench = Bench(Backwards(read_tags=100, pause_s=0.001))
    benches.append(bench)
    bench.start()
    assert eventually(lambda: isinstance(bench.ingest.error, TagOrderError))
    assert "bob" in str(bench.ingest.error)
    bench.ingest.stop()
    assert bench.drain() == 400


def test_the_taggers_own_gaps_pass_with_their_tags(benches: list[Bench]) -> None:
    source = FakeStream(read_tags=100, pause_s=0.001)
    gap = GapRecord(250 * STEP_PS, 260 * STEP_PS, 12, GapCause.DEVICE_OVERFLOW)
    source.gaps.append((250, gap))
    bench = Bench(source)
    benches.append(bench)
    bench.start()
    assert eventually(lambda: bench.drain() > 500)
    bench.ingest.stop()
    bench.drain()
    holders = [block for block in bench.drain.blocks if block.gaps]
    assert [block.gaps for block in holders] == [(gap,)]
    assert holders[0].times_ps[0] <= gap.start_ps
    assert bench.ingest.lost == 12
    assert bench.ingest.gaps == 1


def test_what_the_tagger_still_holds_when_stopped_is_read(benches: list[Bench]) -> None:
    class Holding(FakeStream):
        def read(self, timeout_s: float) -> TagBlock:
            if self.running:
                time.sleep(timeout_s)
                return TagBlock.empty()
            first, self.sent = self.sent, 700
            return numbered(first, 700 - first)

    bench = Bench(Holding())
    benches.append(bench)
    bench.start()
    bench.ingest.stop()
    assert bench.drain() == 700


@given(
    sizes=st.integers(0, 50),
    rows=st.integers(1, 20),
    ends=st.lists(st.integers(-5, 60), max_size=6).map(sorted),
)
def test_pieces_lose_nothing_and_place_each_gap_where_it_ends(sizes: int, rows: int, ends: list[int]) -> None:
    gaps = tuple(GapRecord(end * STEP_PS - 1, end * STEP_PS, 1, GapCause.DEVICE_OVERFLOW) for end in ends)
    block = numbered(0, sizes, gaps)
    cut = list(pieces(block, rows))
    np.testing.assert_array_equal(times(cut), block.times_ps)
    assert tuple(gap for piece in cut for gap in piece.gaps) == gaps
    assert all(len(piece) <= rows for piece in cut)
    for before, piece in itertools.pairwise(cut):
        assert all(gap.end_ps > before.times_ps[-1] for gap in piece.gaps)


def test_a_vendors_exception_becomes_an_error_with_a_remedy() -> None:
    error = as_stream_error(Party.BOB, OSError("pipe"))
    assert isinstance(error, StreamError)
    assert "tagger of bob failed: OSError: pipe" in error.message
    assert error.hint
