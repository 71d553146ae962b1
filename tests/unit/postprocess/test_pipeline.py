"""From the files of a run to its blocks."""

import functools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import (
    ClockLostError,
    CorruptBlockError,
    MonitorVetoError,
    NotEnoughSignalsError,
    QberTooHighError,
    SchemaError,
    UnknownChannelError,
)
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis, block_length, process
from tests import pairs as pair_runs
from tests.pairs import Pairs, pair_link, write_pair_run
from tests.pulses import PulsedLink, Pulses, link_text, small_link, write_pulsed_run
from tests.runs import chunk_offset, flip

BLOCK_SLOTS = 1_000_000
"""0.1 s at 10 MHz."""


@functools.cache
def pulses() -> Pulses:
    return PulsedLink().make()


def analysed(folder: Path, link: LinkConfig | None = None, *, seed: int = 1) -> Analysis:
    return process(open_run([folder]), link or small_link(), SeededEntropy(seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pulsed_run(tmp_path_factory.mktemp("pulsed") / "run", pulses())


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return analysed(folder)


def keys(analysis: Analysis) -> list[bytes]:
    return [block.keys[Party.BOB].data for block in analysis.blocks if block.keys]


def test_a_run_gives_one_key_for_each_whole_block(analysis: Analysis) -> None:
    # 0.35 s of light in blocks of 0.1 s.
    assert [block.number for block in analysis.blocks] == [0, 1, 2]
    assert all(block.key_bits > 10_000 for block in analysis.blocks)
    assert all(block.keys[Party.ALICE].data == block.keys[Party.BOB].data for block in analysis.blocks)
    assert analysis.key_bits == sum(block.key_bits for block in analysis.blocks)
    assert analysis.run_id == "run-1"
    assert analysis.ended_early == ""


def test_blocks_are_stretches_of_slots_whatever_was_detected_in_them(analysis: Analysis) -> None:
    assert [block.start for block in analysis.blocks] == [0, BLOCK_SLOTS, 2 * BLOCK_SLOTS]
    half = pulses().slots.copy()
    sizes = [block.counts.key.bits + block.counts.test.bits for block in analysis.blocks]
    for start, size in zip([0, BLOCK_SLOTS, 2 * BLOCK_SLOTS], sizes, strict=True):
        inside = (half >= max(start, 32_768)) & (half < start + BLOCK_SLOTS)
        # Alice and Bob choose alike in 0.6**2 + 0.4**2 = 52 % of all slots.
        assert size == pytest.approx(0.52 * np.unique(half[inside]).size, rel=0.02)


def test_a_run_with_fewer_clicks_has_the_same_boundaries(tmp_path: Path) -> None:
    faint = PulsedLink(gain=0.1, seed=4).make()
    seen = analysed(write_pulsed_run(tmp_path / "run", faint))
    assert [block.start for block in seen.blocks] == [0, BLOCK_SLOTS, 2 * BLOCK_SLOTS]


def test_what_is_left_over_is_counted_and_makes_no_key(analysis: Analysis) -> None:
    sifted = sum(block.counts.key.bits + block.counts.test.bits for block in analysis.blocks)
    assert analysis.left_over > 20_000
    assert sifted + analysis.left_over == analysis.series.count.sifted


def test_errors_are_those_of_the_channel(analysis: Analysis) -> None:
    for block in analysis.blocks:
        # 2 % of the channel, half of 0.2 % doubles, and darks.
        assert block.qber_key.rate == pytest.approx(0.0212, abs=0.004)
        assert block.refusal is None
        assert not any(reading.objects for reading in block.monitors)


def test_monitors_read_every_block(analysis: Analysis) -> None:
    names = {reading.name for reading in analysis.blocks[1].monitors}
    assert {"bit bias of alice in Z", "imbalance of bob's X detectors", "share of multi-click slots"} <= names


def test_the_clock_and_the_losses_are_reported(analysis: Analysis) -> None:
    assert float(str(analysis.clock["first_ppm"])) == pytest.approx(-7.0, abs=0.05)
    assert analysis.losses[Party.BOB].tags == len(pulses().tags)
    assert analysis.series.arrivals[Party.BOB].tags == len(pulses().tags)


def test_the_same_files_and_random_bits_give_the_same_keys(folder: Path, analysis: Analysis) -> None:
    assert keys(analysed(folder)) == keys(analysis)
    assert keys(analysed(folder, seed=2)) != keys(analysis)


def test_the_cut_of_the_files_does_not_change_the_keys(tmp_path: Path, analysis: Analysis) -> None:
    assert keys(analysed(write_pulsed_run(tmp_path / "run", pulses(), blocks=41))) == keys(analysis)


def test_each_block_is_handed_on_as_soon_as_it_is_finished(folder: Path) -> None:
    seen: list[BlockResult] = []
    result = process(open_run([folder]), small_link(), SeededEntropy(1), on_block=seen.append)
    assert seen == result.blocks


def test_a_run_shorter_than_a_block_is_refused_with_what_is_left(folder: Path) -> None:
    with pytest.raises(NotEnoughSignalsError, match=r"no whole block of 10\.0 s") as caught:
        analysed(folder, small_link(link_text(block_s=10.0)))
    assert "record longer" in caught.value.hint
    assert "sifted bits are left" in str(caught.value)


def test_a_refused_block_is_a_result_like_any_other(folder: Path) -> None:
    seen = analysed(folder, small_link(link_text(max_qber=0.01)))
    assert [type(block.refusal) for block in seen.blocks] == [QberTooHighError] * 3
    assert seen.key_bits == 0


def test_detections_without_a_setting_are_counted(tmp_path: Path, analysis: Analysis) -> None:
    clicked = np.unique(pulses().nearest)
    clicked = clicked[(clicked >= 0) & (clicked < pulses().codes.size)]
    missing = (clicked > 1_200_000) & (clicked < 1_300_000)
    seen = analysed(write_pulsed_run(tmp_path / "run", pulses(), recorded=clicked[~missing]))
    lost = seen.series.count.without_setting
    # All but the darks outside the gate are detections.
    assert 0.97 * missing.sum() < lost <= missing.sum()
    assert seen.series.count.detections == analysis.series.count.detections
    before, after = (one.blocks[1].counts.key.bits for one in (analysis, seen))
    assert after == pytest.approx(0.9 * before, rel=0.02)


def test_a_corrupt_block_of_the_file_is_refused(tmp_path: Path) -> None:
    folder = write_pulsed_run(tmp_path / "run", pulses())
    path = folder / "bob-0000.h5"
    flip(path, chunk_offset(path, "streams/tags/time_ps") + 5_000)
    with pytest.raises(CorruptBlockError, match="checksum"):
        analysed(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(SchemaError, match="no file of alice"):
        process(open_run([folder / "bob-0000.h5"]), small_link(), SeededEntropy(1))


def test_a_channel_that_the_link_does_not_know_stops_the_analysis(tmp_path: Path) -> None:
    made = pulses()
    channels = made.tags.channels.copy()
    channels[-5_000] = 99
    odd = Pulses(TagBlock(made.tags.times_ps, channels), made.slots, made.nearest, made.codes, made.is_wrong)
    with pytest.raises(UnknownChannelError, match="channel 99"):
        analysed(write_pulsed_run(tmp_path / "run", odd))


def test_a_run_without_light_has_no_clock(tmp_path: Path) -> None:
    dark = PulsedLink(gain=0.0, dark_hz=2e5).make()
    with pytest.raises(ClockLostError):
        analysed(write_pulsed_run(tmp_path / "run", dark))


def test_a_clock_lost_after_a_whole_block_keeps_that_block_and_says_so(tmp_path: Path) -> None:
    broken = PulsedLink(holes_s=((0.15, 0.34),), dark_hz=0.0).make()
    seen = analysed(write_pulsed_run(tmp_path / "run", broken))
    assert len(seen.blocks) == 1
    assert seen.blocks[0].key_bits > 10_000
    assert "clock was lost" in seen.ended_early


def test_a_clock_lost_before_the_first_block_ends_is_an_error(tmp_path: Path) -> None:
    broken = PulsedLink(holes_s=((0.05, 0.34),), dark_hz=0.0).make()
    with pytest.raises(ClockLostError, match="clock was lost"):
        analysed(write_pulsed_run(tmp_path / "run", broken))


def test_a_dead_stretch_does_not_stretch_the_time_axis(tmp_path: Path) -> None:
    # Intervals without a single tag have no first tag to take the time from.
    holed = PulsedLink(holes_s=((0.15, 0.19),), dark_hz=0.0).make()
    seen = analysed(write_pulsed_run(tmp_path / "run", holed))
    assert int(str(seen.clock["coasted"])) >= 2
    assert all(0.0 <= point.time_s < 0.35 for point in seen.series.points())


def test_a_dead_detector_vetoes_the_key(tmp_path: Path) -> None:
    made = pulses()
    alive = made.tags.channels != 2
    tags = TagBlock(made.tags.times_ps[alive], made.tags.channels[alive])
    dead = Pulses(tags, made.slots[alive], made.nearest[alive], made.codes, made.is_wrong[alive])
    seen = analysed(write_pulsed_run(tmp_path / "run", dead))
    assert [type(block.refusal) for block in seen.blocks] == [MonitorVetoError] * 3
    assert "imbalance of bob's Z detectors" in str(seen.blocks[0].refusal)


def test_a_link_with_decoys_counts_each_intensity(tmp_path: Path) -> None:
    text = link_text(decoy=True)
    made = PulsedLink(link=small_link(text)).make()
    seen = analysed(write_pulsed_run(tmp_path / "run", made, text=text), small_link(text))
    bright, dim = (sum(block.counts.n_key[k] for block in seen.blocks) for k in (0, 1))
    # Gains follow p (1 - exp(-mu gain)).
    expected = 0.7 * (1 - np.exp(-0.1)) / (0.3 * (1 - np.exp(-0.03)))
    assert bright / dim == pytest.approx(expected, rel=0.03)
    assert all(len(block.counts.m_key) == 2 for block in seen.blocks)


def test_the_memory_stays_within_a_few_blocks(folder: Path) -> None:
    run = open_run([folder])
    tracemalloc.start()
    process(run, small_link(), SeededEntropy(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 5e4 sifted bits of a block take 0.6 MB, the correlation for the preamble 100 MB whatever the run.
    assert peak < 250e6


def test_the_length_of_a_block_is_in_slots_or_in_time() -> None:
    assert block_length(small_link()) == BLOCK_SLOTS
    assert block_length(pair_link()) == PS_PER_S


def test_the_hash_of_the_configuration_tells_configurations_apart() -> None:
    assert config_sha256(small_link()) == config_sha256(small_link(link_text()))
    assert config_sha256(small_link()) != config_sha256(small_link(link_text(block_s=0.2)))


@pytest.fixture(scope="module")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pair_run(tmp_path_factory.mktemp("pairs") / "run", Pairs().make())


def test_a_run_of_pairs_gives_keys_block_by_block(pair_folder: Path) -> None:
    seen = analysed(pair_folder, pair_link())
    starts = [block.start for block in seen.blocks]
    assert len(starts) == 3
    assert np.diff(starts).tolist() == [PS_PER_S, PS_PER_S]
    assert all(block.key_bits > 500 for block in seen.blocks)
    assert seen.left_over > 0
    assert set(seen.losses) == set(seen.series.arrivals) == {Party.ALICE, Party.BOB}
    assert keys(analysed(pair_folder, pair_link())) == keys(seen)


def test_a_block_of_pairs_that_the_run_does_not_fill_makes_no_key(pair_folder: Path) -> None:
    # 3.3 s were recorded: the fourth second was begun and is no block.
    link = pair_link(pair_runs.link_text(block_s=3.5))
    with pytest.raises(NotEnoughSignalsError, match="no whole block"):
        analysed(pair_folder, link)


def test_pairs_lost_after_whole_blocks_keep_those_blocks(tmp_path: Path) -> None:
    folder = write_pair_run(tmp_path / "run", Pairs(seconds=6.0, dark_from_s=3.3, dark_hz=2e4).make(), blocks=1)
    seen = analysed(folder, pair_link())
    assert len(seen.blocks) >= 2
    assert seen.blocks[0].key_bits > 500
    assert "pair clock was lost" in seen.ended_early
