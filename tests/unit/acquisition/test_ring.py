"""The ring of shared blocks: nothing is lost without a count, and nothing changes its order."""

import itertools
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from faintlink.acquisition.ring import RingEnd, RingProducer, make_ring
from faintlink.acquisition.ring_layout import GAPS_PER_BLOCK
from faintlink.core.errors import RunfileError
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from tests.acquisition_fakes import STEP_PS, numbered

Ring = tuple[RingProducer, RingEnd]


@pytest.fixture
def ring() -> Iterator[Ring]:
    producer, end = make_ring(get_context("spawn"), blocks=4, block_rows=100, wait_s=0.0)
    end.attach()
    yield producer, end
    end.close()
    producer.close()


def take_all(end: RingEnd) -> list[TagBlock]:
    """Take, copy and give back everything that waits."""
    taken = []
    while end.descriptors.poll(0.0):
        number, block = end.take()
        taken.append(TagBlock(block.times_ps.copy(), block.channels.copy(), block.gaps))
        del block
        end.give_back(number)
    return taken


def test_blocks_come_out_as_they_went_in(ring: Ring) -> None:
    producer, end = ring
    gap = GapRecord(5, 6, 7, GapCause.DEVICE_OVERFLOW)
    sent = [numbered(0, 100), numbered(100, 3, (gap,)), TagBlock.empty((gap,))]
    for block in sent:
        assert producer.put(block) is not None
    for before, after in zip(sent, take_all(end), strict=True):
        np.testing.assert_array_equal(before.times_ps, after.times_ps)
        np.testing.assert_array_equal(before.channels, after.channels)
        assert before.gaps == after.gaps


def test_a_full_ring_drops_counts_and_tells_with_the_next_block(ring: Ring) -> None:
    producer, end = ring
    results = [producer.put(numbered(100 * n, 100)) for n in range(7)]
    assert [result is None for result in results] == [False] * 4 + [True] * 3
    take_all(end)
    carried = producer.put(numbered(700, 10))
    assert carried is not None
    assert carried.gaps == (GapRecord(400 * STEP_PS, 699 * STEP_PS, 300, GapCause.BUFFER_FULL),)
    assert take_all(end)[0].gaps == carried.gaps
    assert (producer.passed, producer.dropped, producer.lost) == (410, 300, 300)


def test_losses_at_the_very_end_travel_in_a_block_without_tags(ring: Ring) -> None:
    producer, end = ring
    for n in range(5):
        producer.put(numbered(100 * n, 100))
    take_all(end)
    assert [len(block) for block in producer.flush(wait_s=1.0)] == [0]
    (last,) = take_all(end)
    assert last.lost == 100
    assert not producer.has_pending_gaps


def test_the_gaps_of_a_dropped_block_are_kept_in_order_of_time(ring: Ring) -> None:
    producer, end = ring
    for n in range(4):
        producer.put(numbered(100 * n, 100))
    overflow = GapRecord(450 * STEP_PS, 451 * STEP_PS, -1, GapCause.DEVICE_OVERFLOW)
    producer.put(numbered(400, 100, (overflow,)))
    take_all(end)
    carried = producer.put(numbered(500, 1))
    assert carried is not None
    assert [gap.cause for gap in carried.gaps] == [GapCause.BUFFER_FULL, GapCause.DEVICE_OVERFLOW]


def test_more_gaps_than_fit_wait_for_the_next_block(ring: Ring) -> None:
    producer, end = ring
    gaps = tuple(GapRecord(n, n, 1, GapCause.DEVICE_OVERFLOW) for n in range(GAPS_PER_BLOCK + 5))
    producer.put(TagBlock.empty(gaps))
    assert producer.has_pending_gaps
    producer.flush(wait_s=1.0)
    assert tuple(gap for block in take_all(end) for gap in block.gaps) == gaps


def test_a_block_that_does_not_fit_is_refused(ring: Ring) -> None:
    with pytest.raises(ValueError, match="101 rows does not fit into 100"):
        ring[0].put(numbered(0, 101))


def test_a_reader_that_died_is_an_error_and_not_a_loss(ring: Ring) -> None:
    producer, end = ring
    end.close_pipes()
    with pytest.raises(RunfileError, match="writer process"):
        producer.put(numbered(0, 1))


def test_patience_ends(ring: Ring) -> None:
    producer, _ = ring
    for n in range(4):
        producer.put(numbered(100 * n, 100))
    with pytest.raises(RunfileError, match="took no block"):
        producer.put_patiently(numbered(400, 100), wait_s=0.05)
    assert producer.dropped == 0


def test_closing_leaves_no_shared_memory_behind() -> None:
    producer, end = make_ring(get_context("spawn"), blocks=2, block_rows=16)
    end.attach()
    end.close()
    producer.close()
    producer.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(end.name)


@pytest.mark.parametrize("seed", range(5))
def test_under_a_slow_consumer_present_and_lost_make_up_what_was_sent(seed: int) -> None:
    producer, end = make_ring(get_context("spawn"), blocks=3, block_rows=64, wait_s=0.001)
    end.attach()
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 65, 400)
    received: list[TagBlock] = []
    done = threading.Event()

    def consume() -> None:
        while not done.is_set() or end.descriptors.poll(0.0):
            received.extend(take_all(end))
            time.sleep(float(rng.choice([0.0, 0.0005, 0.004])))

    thread = threading.Thread(target=consume)
    thread.start()
    first = 0
    for size in sizes.tolist():
        producer.put(numbered(first, size))
        first += size
    producer.flush(wait_s=5.0)
    done.set()
    thread.join()
    end.close()
    producer.close()
    times = np.concatenate([block.times_ps for block in received]) // STEP_PS
    lost = sum(block.lost for block in received)
    assert lost == producer.dropped > 0
    assert times.size + lost == int(sizes.sum())
    assert np.all(np.diff(times) > 0)
    missing = np.setdiff1d(np.arange(first), times)
    gaps = [gap for block in received for gap in block.gaps]
    told = [np.arange(gap.start_ps // STEP_PS, gap.end_ps // STEP_PS + 1) for gap in gaps]
    np.testing.assert_array_equal(np.concatenate(told), missing)
    assert all(before.end_ps < after.start_ps for before, after in itertools.pairwise(gaps))
