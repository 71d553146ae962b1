"""The live analysis counts what the offline analysis counts."""

import functools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from faintlink.core.errors import UnknownChannelError
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from faintlink.core.units import PS_PER_S, Slots
from faintlink.postprocess.qkd.clock import ClockModel, SlottedTags
from faintlink.postprocess.qkd.live import PairLive, PulsedLive, RateMeter, live_analysis
from faintlink.postprocess.qkd.pairs import PairRun
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.pulsed import PulsedRun
from tests.pairs import SEEDS, Pairs, PairTags, pair_link, write_pair_run
from tests.pulses import SQUASH_SEED, PulsedLink, Pulses, cut, small_link, write_pulsed_run

LINK = small_link()


@functools.cache
def pulses() -> Pulses:
    return PulsedLink(early_s=0.005).make()


@functools.cache
def pairs() -> PairTags:
    return Pairs().make()


def watched(made: Pulses, blocks: list[TagBlock]) -> tuple[PulsedLive, Slots]:
    """Return a live analysis that saw these blocks, with a sender that answers at once, and the slots asked."""
    live, asked = PulsedLive(LINK, SQUASH_SEED), []
    for block in [*blocks, None]:
        slots = live.finish() if block is None else live.feed(Party.BOB, block)
        slots = slots[slots < made.codes.size]
        live.account(slots, made.codes[slots])
        asked.append(slots)
    return live, np.concatenate(asked)


def test_the_pieces_handed_on_are_those_of_the_recorded_run(tmp_path: Path) -> None:
    live: list[SiftedPiece] = []
    made = pulses()
    analysis = live_analysis(LINK, {Party.BOB: SQUASH_SEED}, on_piece=live.append)
    asked = []
    for block in [*cut(made.tags, [1, 50_000, 200_000]), None]:
        slots = analysis.finish() if block is None else analysis.feed(Party.BOB, block)
        asked.append(slots[slots < made.codes.size])
        analysis.account(asked[-1], made.codes[asked[-1]])
    folder = write_pulsed_run(tmp_path / "run", made, recorded=np.concatenate(asked))
    offline = list(PulsedRun(open_run([folder]), LINK).pieces())
    assert len(live) == len(offline) > 3
    for ours, theirs in zip(live, offline, strict=True):
        assert (ours.start, ours.reached, ours.time_ps, ours.count) == (
            theirs.start,
            theirs.reached,
            theirs.time_ps,
            theirs.count,
        )
        assert np.array_equal(ours.bits.alice, theirs.bits.alice)
        assert np.array_equal(ours.bits.bob, theirs.bits.bob)
        assert np.array_equal(ours.arrivals[Party.BOB].histogram, theirs.arrivals[Party.BOB].histogram)


def counted(run: PulsedRun | PairRun) -> tuple[ErrorCount, ErrorCount]:
    """Return errors of key and test basis of a recorded run."""
    counts = [piece.bits.counts(1) for piece in run.pieces()]
    return sum((c.key for c in counts), ErrorCount()), sum((c.test for c in counts), ErrorCount())


@pytest.mark.parametrize("places", [[], [1, 2, 50_000], list(range(0, 340_000, 9_999))])
def test_live_counts_equal_those_of_the_recorded_run(places: list[int], tmp_path: Path) -> None:
    live, asked = watched(pulses(), cut(pulses().tags, places))
    assert np.all(np.diff(asked) > 0)
    folder = write_pulsed_run(tmp_path / "run", pulses(), recorded=asked)
    seen = live.summary()
    assert (seen.qber_key, seen.qber_test) == counted(PulsedRun(open_run([folder]), LINK))
    assert seen.qber_key.bits > 50_000


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 340_000), max_size=6))
def test_live_counts_do_not_depend_on_the_blocks(places: list[int]) -> None:
    cut_up, asked = watched(pulses(), cut(pulses().tags, places))
    whole, all_asked = watched(pulses(), [pulses().tags])
    assert np.array_equal(asked, all_asked)
    assert (cut_up.summary().qber_key, cut_up.summary().qber_test) == (
        whole.summary().qber_key,
        whole.summary().qber_test,
    )


def test_every_slot_with_a_click_is_asked_for_whatever_the_gate() -> None:
    _, asked = watched(pulses(), [pulses().tags])
    after_start = pulses().slots[pulses().slots >= 0]
    assert np.isin(after_start, asked).all()
    assert asked[0] >= 0


def slotted(slot: int, phase_ps: int) -> SlottedTags:
    """Return one click on the Z0 channel."""
    slots, model = np.array([slot]), ClockModel(0, 0, 1e5, float("nan"), 0)
    times = slots * 100_000 + phase_ps
    return SlottedTags(times, np.array([1], np.uint8), slots, np.array([phase_ps], np.int32), model, False)


def test_a_slot_cut_by_two_intervals_is_asked_for_once_and_counted(mocker: MockerFixture) -> None:
    # The dark outside the gate asks for the slot, the click in the gate comes with the next interval.
    live = PulsedLive(LINK, SQUASH_SEED)
    pieces = [[slotted(10, -20_000)], [slotted(10, 0)]]
    mocker.patch.object(live._receiver.counter, "feed", side_effect=pieces)
    first = live.feed(Party.BOB, TagBlock.empty())
    live.account(first, np.array([1], np.uint8))
    second = live.feed(Party.BOB, TagBlock.empty())
    live.account(second, np.empty(0, np.uint8))
    assert (first.tolist(), second.tolist()) == ([10], [])
    assert live.summary().qber_key == ErrorCount(1, 1)


def test_the_state_is_told_in_words_from_search_to_lock() -> None:
    live = PulsedLive(LINK, SQUASH_SEED)
    assert live.summary().state == "searching the clock"
    assert live.summary().clock_ppm is None
    live.feed(Party.BOB, pulses().tags)
    seen = live.summary()
    assert seen.state == "locked"
    assert seen.clock_ppm == pytest.approx(-7.0, abs=0.1)
    assert seen.tags == len(pulses().tags)
    # The receiver starts 5 ms before the light.
    assert seen.elapsed_s == pytest.approx(0.355, abs=0.001)


def test_a_lost_clock_is_shown_and_raises_nothing() -> None:
    live = PulsedLive(LINK, SQUASH_SEED)
    darks = PulsedLink(gain=0.0, dark_hz=2e5).make().tags
    live.feed(Party.BOB, darks)
    assert live.finish().size == 0
    assert live.summary().state.startswith("clock lost: ")
    assert live.feed(Party.BOB, TagBlock(darks.times_ps + PS_PER_S, darks.channels)).size == 0
    assert live.summary().tags == 2 * len(darks)


def test_a_clock_lost_on_the_way_keeps_the_counts_so_far() -> None:
    made = PulsedLink(holes_s=((0.15, 0.34),), dark_hz=0.0).make()
    live, _ = watched(made, cut(made.tags, [100_000]))
    assert live.summary().state.startswith("clock lost")
    assert live.summary().qber_key.bits > 30_000


def test_an_unknown_channel_is_no_lost_clock() -> None:
    tags = pulses().tags
    channels = tags.channels.copy()
    channels[5_000] = 200
    with pytest.raises(UnknownChannelError):
        PulsedLive(LINK, SQUASH_SEED).feed(Party.BOB, TagBlock(tags.times_ps, channels))


def test_only_the_receiver_is_listened_to() -> None:
    live = PulsedLive(LINK, SQUASH_SEED)
    assert live.feed(Party.ALICE, pulses().tags).size == 0
    assert live.summary().tags == 0


def test_recent_errors_cover_the_last_stretch_only() -> None:
    live, _ = watched(pulses(), [pulses().tags])
    seen = live.summary()
    assert 0 < seen.recent_key.bits <= seen.qber_key.bits


def test_rates_are_those_of_the_last_half_second_by_channel() -> None:
    meter = RateMeter()
    times = np.arange(1, 2_001, dtype=np.int64) * (PS_PER_S // 1_000)
    for first in range(0, 2_000, 100):
        block = times[first : first + 100]
        channels = np.where(block < PS_PER_S, 1, 2).astype(np.uint8)
        meter.feed(
            TagBlock.checked(block, channels, [GapRecord(int(block[0]), int(block[0]), 3, GapCause.BUFFER_FULL)])
        )
    seen = meter.summary()
    assert (seen.tags, seen.lost) == (2_000, 60)
    assert set(seen.rate_hz) == {2}
    assert seen.rate_hz[2] == pytest.approx(1_000.0, rel=0.01)
    assert seen.elapsed_s == pytest.approx(1.999)


def test_nothing_fed_gives_an_empty_summary() -> None:
    meter = RateMeter()
    meter.feed(TagBlock.empty())
    assert (meter.summary().elapsed_s, meter.summary().tags) == (0.0, 0)


def test_pairs_are_counted_live_as_in_the_recorded_run(tmp_path: Path) -> None:
    live = PairLive(pair_link(), SEEDS)
    for number in range(30):
        for party, tags in pairs().tags.items():
            size = len(tags)
            part = slice(size * number // 30, size * (number + 1) // 30)
            assert live.feed(party, TagBlock(tags.times_ps[part], tags.channels[part])).size == 0
    assert live.summary().state == "locked"
    live.finish()
    live.account(np.empty(0, np.int64), np.empty(0, np.uint8))
    run = PairRun(open_run([write_pair_run(tmp_path / "run", pairs())]), pair_link())
    seen = live.summary()
    assert (seen.qber_key, seen.qber_test) == counted(run)
    assert seen.qber_key.bits > 5_000
    # The last chunk is the newest.
    assert 0 < seen.recent_key.bits < seen.qber_key.bits
    assert seen.clock_ppm == pytest.approx(4.0, abs=0.3)
    assert seen.tags == sum(len(tags) for tags in pairs().tags.values())


def test_pairs_that_are_lost_in_the_middle_of_a_block_keep_what_came_before() -> None:
    made = Pairs(seconds=6.0, dark_from_s=3.3, dark_hz=2e4).make()
    live = PairLive(pair_link(), SEEDS)
    for party, tags in made.tags.items():
        live.feed(party, tags)
    seen = live.summary()
    assert seen.state.startswith("clock lost: ")
    assert seen.qber_key.bits > 5_000
    live.feed(Party.BOB, TagBlock.empty())
    live.finish()
    assert live.summary().qber_key == seen.qber_key


def test_unrelated_receivers_are_shown_as_a_lost_clock() -> None:
    one, other = Pairs(seed=8, seconds=2.5).make(), Pairs(seed=9, seconds=2.5).make()
    live = PairLive(pair_link(), SEEDS)
    live.feed(Party.ALICE, one.tags[Party.ALICE])
    live.feed(Party.BOB, other.tags[Party.BOB])
    live.finish()
    assert live.summary().state.startswith("clock lost: no coincidence peak")
    assert live.summary().clock_ppm is None


def test_the_link_decides_which_analysis_watches() -> None:
    assert isinstance(live_analysis(LINK, {Party.BOB: SQUASH_SEED}), PulsedLive)
    assert isinstance(live_analysis(pair_link(), SEEDS), PairLive)
