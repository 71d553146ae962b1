"""Sifting of entangled pairs against the truth of a simulated source."""

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ClockLostError, ConfigError, UnknownChannelError
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.qkd.events import EventMaker
from faintlink.postprocess.qkd.pairs import CHUNK_PS, PairRun, PairSifter, pair_source
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.sift import SiftedBits, join
from tests.pairs import SEEDS, Pairs, PairTags, link_text, pair_link, write_pair_run
from tests.pulses import cut, small_link

Feed = tuple[Party, TagBlock]
A, B = Party.ALICE, Party.BOB
SIMULATED = Pairs()


@functools.cache
def made() -> PairTags:
    return SIMULATED.make()


def sifted(feeds: Iterable[Feed], text: str = "") -> list[SiftedPiece]:
    sifter = PairSifter(pair_link(text), SEEDS)
    pieces = [piece for party, block in feeds for piece in sifter.feed(party, block)]
    return pieces + list(sifter.finish())


def whole(pairs: PairTags) -> list[Feed]:
    return list(pairs.tags.items())


def in_turns(pairs: PairTags, count: int) -> list[Feed]:
    parts = {party: cut(tags, [len(tags) * k // count for k in range(1, count)]) for party, tags in pairs.tags.items()}
    return [(party, parts[party][k]) for k in range(count) for party in (A, B)]


def bits_of(pieces: list[SiftedPiece]) -> SiftedBits:
    return join([piece.bits for piece in pieces])


def same(one: SiftedBits, other: SiftedBits) -> bool:
    names = ("positions", "basis", "alice", "bob")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def found_pairs(bits: SiftedBits, pairs: PairTags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return places in the bits and in the truth that belong together, by Alice's time."""
    at = np.minimum(np.searchsorted(pairs.times, bits.positions), pairs.times.size - 1)
    hit = pairs.times[at] == bits.positions
    return np.flatnonzero(hit), at[hit]


def test_the_bits_are_those_of_the_true_pairs() -> None:
    bits = bits_of(sifted(whole(made())))
    mine, true = found_pairs(bits, made())
    # A window of 1000 ps holds delays of 170 ps rms to 5.9 sigma; a dark may come first to a partner now and then.
    assert mine.size > 0.998 * made().times.size
    wrong = np.count_nonzero(bits.bob[mine] != made().bob[true]) + np.count_nonzero(
        bits.basis[mine] != made().basis[true]
    )
    assert wrong < 0.001 * mine.size
    assert np.array_equal(bits.alice[mine], made().alice[true])
    # Extra bits: doubles that the coin put into the other's basis, and accidentals (7e4 * 2e-9 s of each click).
    assert len(bits) - mine.size < 0.015 * len(bits)


def test_the_error_rate_is_the_sources_in_both_bases() -> None:
    pieces = sifted(whole(made()))
    counts = bits_of(pieces).counts(1)
    for count in (counts.key, counts.test):
        # 2 % of the source, and half of 1 % doubles.
        expected = 0.0245
        assert abs(count.rate - expected) < 5.0 * np.sqrt(expected / count.bits)
    assert 0.47 < counts.key.bits / (counts.key.bits + counts.test.bits) < 0.53


def test_a_singlet_gives_opposite_bits_which_are_flipped_back() -> None:
    pairs = Pairs(is_singlet=True).make()
    bits = bits_of(sifted(whole(pairs), link_text(state="psi-")))
    assert bits.counts(1).key.rate < 0.04
    assert bits_of(sifted(whole(pairs))).counts(1).key.rate > 0.96
    mine, true = found_pairs(bits, pairs)
    right = np.count_nonzero(bits.bob[mine] == 1 - pairs.bob[true])
    assert right > 0.999 * mine.size


@functools.cache
def blocks_of(count: int) -> dict[Party, list[TagBlock]]:
    return {party: cut(tags, [len(tags) * k // count for k in range(1, count)]) for party, tags in made().tags.items()}


@functools.cache
def reference() -> SiftedBits:
    return bits_of(sifted(whole(made())))


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([A, B]), max_size=24))
def test_any_interleaving_of_the_two_streams_gives_the_same_bits(order: list[Party]) -> None:
    left = {party: list(blocks) for party, blocks in blocks_of(12).items()}
    feeds = [(party, left[party].pop(0)) for party in order if left[party]]
    feeds += [(party, block) for party in (B, A) for block in left[party]]
    assert same(bits_of(sifted(feeds)), reference())


@settings(deadline=None, max_examples=10)
@given(st.lists(st.integers(0, 76_000), max_size=5), st.lists(st.integers(0, 76_000), max_size=5))
def test_the_blocks_of_the_streams_do_not_matter(cuts_a: list[int], cuts_b: list[int]) -> None:
    feeds = [(A, block) for block in cut(made().tags[A], cuts_a)] + [
        (B, block) for block in cut(made().tags[B], cuts_b)
    ]
    assert same(bits_of(sifted(feeds)), reference())


def test_pieces_come_as_soon_as_both_streams_are_there_and_join_end_to_end() -> None:
    sifter = PairSifter(pair_link(), SEEDS)
    early = [piece for party, block in in_turns(made(), 33) for piece in sifter.feed(party, block)]
    assert sifter.is_locked
    assert len(early) >= 2
    pieces = early + list(sifter.finish())
    for before, after in itertools.pairwise(pieces):
        assert after.start == before.reached == before.start + CHUNK_PS
    positions = bits_of(pieces).positions
    assert np.all(np.diff(positions) >= 0)


def test_the_last_chunk_is_complete_only_as_far_as_both_streams_go() -> None:
    # A block must not count as whole because its chunk was begun.
    pieces = sifted(whole(made()))
    end = SIMULATED.start_ps + round(SIMULATED.seconds * PS_PER_S)
    assert end - PS_PER_S // 100 < pieces[-1].reached <= end
    assert pieces[-1].bits.positions[-1] < pieces[-1].reached
    shorter = dict(made().tags)
    last = int(shorter[B].times_ps[0]) + 3 * PS_PER_S + PS_PER_S // 10
    shorter[B] = shorter[B].between(0, last)
    pieces = sifted(shorter.items())
    assert abs(pieces[-1].reached - (last - SIMULATED.offset_ps)) < PS_PER_S // 1_000


@pytest.mark.parametrize("late", [(0.0, 4.0), (4.0, 0.0)])
def test_a_receiver_that_starts_late_is_waited_for(late: tuple[float, float]) -> None:
    pairs = Pairs(seconds=6.5, late_s=late).make()
    bits = bits_of(sifted(whole(pairs)))
    mine, _ = found_pairs(bits, pairs)
    assert mine.size > 0.998 * pairs.times.size
    assert bits.positions[0] > SIMULATED.start_ps + 3.99 * PS_PER_S


def test_one_stream_far_ahead_of_the_other_does_no_harm() -> None:
    pairs = Pairs(seconds=6.5).make()
    ahead = [(A, pairs.tags[A]), *((B, block) for block in cut(pairs.tags[B], list(range(0, 150_000, 10_000))))]
    assert same(bits_of(sifted(ahead)), bits_of(sifted(in_turns(pairs, 13))))


@pytest.mark.parametrize("party", [A, B])
def test_an_empty_stream_has_nothing_to_correlate(party: Party) -> None:
    with pytest.raises(ClockLostError, match="nothing to correlate") as caught:
        sifted([(party, made().tags[party])])
    assert "taggers recorded" in caught.value.hint


def test_receivers_without_common_pairs_are_refused() -> None:
    other = Pairs(seed=77).make()
    with pytest.raises(ClockLostError, match="no coincidence peak"):
        sifted([(A, made().tags[A]), (B, other.tags[B])])


def test_clocks_further_apart_than_the_link_says_are_refused() -> None:
    pairs = Pairs(offset_ps=300_000_000_000).make()
    with pytest.raises(ClockLostError, match="no coincidence peak"):
        sifted(whole(pairs))


def test_streams_without_any_common_time_are_given_up_before_the_end() -> None:
    # Otherwise a live view of two clocks of different epochs would search, and collect, for ever.
    sifter = PairSifter(pair_link(), SEEDS)
    sparse = np.arange(0, 20 * PS_PER_S, PS_PER_S // 100, dtype=np.int64)
    channels = np.ones(sparse.size, np.uint8)
    list(sifter.feed(A, TagBlock(sparse, channels)))
    with pytest.raises(ClockLostError):
        list(sifter.feed(B, TagBlock(sparse + 10**15, channels)))


def test_pairs_lost_on_the_way_leave_the_chunks_before() -> None:
    pairs = Pairs(seconds=6.0, dark_from_s=3.3, dark_hz=2e4).make()
    sifter = PairSifter(pair_link(), SEEDS)
    assert list(sifter.feed(A, pairs.tags[A])) == []
    pieces = sifter.feed(B, pairs.tags[B])
    next(pieces), next(pieces)
    with pytest.raises(ClockLostError, match="pair clock was lost"):
        list(pieces)


def test_a_tag_of_an_unknown_channel_is_named() -> None:
    tags = made().tags[B]
    channels = tags.channels.copy()
    channels[100] = 42
    with pytest.raises(UnknownChannelError, match="bob_tagger delivered a tag on channel 42"):
        sifted([(B, TagBlock(tags.times_ps, channels))])


def test_the_facts_tell_offset_frequency_and_intervals() -> None:
    sifter = PairSifter(pair_link(), SEEDS)
    assert sifter.clock_facts() == {}
    assert sifter.frequency_ppm is None
    pieces = [piece for party, block in whole(made()) for piece in sifter.feed(party, block)]
    pieces += sifter.finish()
    facts = sifter.clock_facts()
    # Offset at the reference, some 1.3 s into the run at 4 ppm and 5e-8 per s.
    assert int(str(facts["offset_ps"])) == pytest.approx(SIMULATED.offset_ps + 4.5e6, abs=1.5e6)
    assert float(str(facts["first_ppm"])) == pytest.approx(4.05, abs=0.05)
    assert float(str(facts["last_ppm"])) == pytest.approx(4.0 + 0.05 * SIMULATED.seconds, abs=0.05)
    assert facts["coasted"] == 0
    assert int(str(facts["intervals"])) >= 33


def test_the_statistics_of_both_receivers_add_up() -> None:
    pieces = sifted(in_turns(made(), 7))
    for party in (A, B):
        arrivals = [piece.arrivals[party] for piece in pieces]
        assert sum(one.tags for one in arrivals) == len(made().tags[party])
        events = sum(one.events for one in arrivals)
        maker = EventMaker(pair_link().receivers[party], 2_000, SEEDS[party])
        assert events == len(maker.events(made().tags[party])[0]) + len(maker.finish()[0])
        multi = sum(one.multi for one in arrivals)
        # 0.5 % doubles within 300 ps of each other; darks beside a click add little.
        assert multi == pytest.approx(0.005 * events, rel=0.25)
    coincidences = sum(piece.count.detections for piece in pieces)
    assert sum(int(piece.arrivals[B].clicks.sum()) for piece in pieces) == coincidences


def test_a_dead_time_drops_the_click_that_follows_too_soon() -> None:
    text = link_text(dead_time_ps=50_000)
    maker = EventMaker(pair_link(text).receivers[A], 1_000, SEEDS[A])
    times = np.array([0, 40_000, 200_000, 200_400], np.int64)
    events, seen = maker.events(TagBlock.checked(times, np.array([1, 2, 3, 4], np.uint8)))
    last, more = maker.finish()
    assert events.times_ps.tolist() == [0]
    assert last.times_ps.tolist() == [200_000]
    total = seen + more
    assert (total.in_dead_time, total.events, total.multi) == (1, 2, 1)
    assert len(maker.finish()[0]) == 0


@pytest.mark.parametrize("blocks", [1, 9])
def test_a_recorded_run_gives_the_same_bits(tmp_path: Path, blocks: int) -> None:
    run = open_run([write_pair_run(tmp_path / "run", made(), blocks=blocks)])
    assert same(bits_of(list(PairRun(run, pair_link()).pieces())), reference())


def test_a_link_without_pairs_is_refused() -> None:
    with pytest.raises(ConfigError, match="no pair source"):
        pair_source(small_link())
