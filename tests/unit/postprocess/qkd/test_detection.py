"""Gate, dead time, channel map and statistics of a receiver of pulses."""

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.core.config.link import Gate, LinkConfig, Receiver
from faintlink.core.errors import UnknownChannelError
from faintlink.core.symbols import Party
from faintlink.postprocess.qkd.clock import ClockModel, SlottedTags
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS, ArrivalStatistics, Detections, PulsedDetector
from tests.pulses import SQUASH_SEED, link_text, small_link

PERIOD = 100_000
MODEL = ClockModel(0, 0, float(PERIOD), 100.0, 1000)


def receiver(dead_time_ps: int = 0) -> Receiver:
    link: LinkConfig = small_link(link_text(dead_time_ps=dead_time_ps))
    return link.receivers[Party.BOB]


def detector(*, dead_time_ps: int = 0, center_ps: int = 0, half_width_ps: int = 500) -> PulsedDetector:
    gate = Gate(center_ps=center_ps, half_width_ps=half_width_ps)
    return PulsedDetector(receiver(dead_time_ps), gate, period_ps=PERIOD, squash_seed=SQUASH_SEED)


def tags(*clicks: tuple[int, int, int], start: int = 0) -> SlottedTags:
    """Return tags given as (slot, phase in ps, channel)."""
    slots, phases, channels = (np.array(column) for column in zip(*clicks, strict=True)) if clicks else ([], [], [])
    slot = np.array(slots, np.int64)
    phase = np.array(phases, np.int32)
    return SlottedTags(slot * PERIOD + phase + start, np.array(channels, np.uint8), slot, phase, MODEL, False)


def outcomes(found: Detections) -> list[tuple[int, int]]:
    return list(zip(found.slots.tolist(), found.outcomes.tolist(), strict=True))


def test_a_channel_is_read_as_its_basis_and_bit() -> None:
    found, _ = detector().detect(tags((1, 0, 1), (2, 0, 2), (3, 0, 3), (4, 0, 4)))
    assert outcomes(found) == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert found.time_ps == PERIOD


@pytest.mark.parametrize(("phase", "is_in"), [(199, False), (200, True), (400, True), (401, False)])
def test_the_gate_stands_around_its_centre(phase: int, is_in: bool) -> None:
    found, seen = detector(center_ps=300, half_width_ps=100).detect(tags((1, phase, 1)))
    assert bool(outcomes(found)) is is_in
    assert seen.outside == (not is_in)


def test_a_click_soon_after_one_of_the_other_detector_is_dropped() -> None:
    found, seen = detector(dead_time_ps=250_000).detect(tags((1, 0, 1), (3, 0, 2), (6, 0, 4)))
    assert outcomes(found) == [(1, 0), (6, 3)]
    assert seen.in_dead_time == 1


def test_the_dead_time_reaches_over_the_edge_of_two_stretches() -> None:
    blind = detector(dead_time_ps=250_000)
    blind.detect(tags((1, 0, 1)))
    found, seen = blind.detect(tags((3, 0, 2)))
    assert (outcomes(found), seen.in_dead_time) == ([], 1)


def test_a_click_outside_the_gate_starts_a_dead_time_too() -> None:
    found, seen = detector(dead_time_ps=30_000).detect(tags((1, -20_000, 1), (1, 0, 2), (2, 0, 2)))
    assert outcomes(found) == [(2, 1)]
    assert (seen.outside, seen.in_dead_time) == (1, 1)


def test_several_clicks_in_a_slot_are_one_detection_with_a_coin_for_its_bit() -> None:
    clicks = [(slot, phase, channel) for slot in range(200) for phase, channel in ((0, 1), (5, 2))]
    found, seen = detector().detect(tags(*clicks))
    assert found.slots.tolist() == list(range(200))
    assert set(found.outcomes.tolist()) == {0, 1}
    assert (seen.events, seen.multi) == (200, 200)
    assert seen.clicks.tolist() == [200, 200, 0, 0]


def test_ignored_channels_are_counted_and_nothing_more() -> None:
    found, seen = detector().detect(tags((1, 0, 9), (2, 0, 1)))
    assert outcomes(found) == [(2, 0)]
    assert (seen.tags, seen.ignored, int(seen.histogram.sum())) == (2, 1, 1)


def test_an_unknown_channel_is_named_with_the_map_and_the_tagger() -> None:
    with pytest.raises(UnknownChannelError, match="channel 7") as caught:
        detector().detect(tags((1, 0, 1), (2, 0, 7)))
    assert "[1, 2, 3, 4, 9]" in str(caught.value)
    assert "bob_tagger" in str(caught.value)
    assert "ignored_channels" in caught.value.hint
    assert caught.value.fields["channel"] == 7


def test_moments_are_those_of_the_clicks_in_the_gate() -> None:
    rng = np.random.default_rng(4)
    phases = np.rint(rng.normal(40.0, 400.0, 3_000)).astype(int)
    _, seen = detector().detect(tags(*((slot, int(phase), 2) for slot, phase in enumerate(phases))))
    inside = phases[np.abs(phases) <= 500]
    assert seen.moments[1].tolist() == [inside.size, inside.sum(), (inside**2).sum()]
    assert not seen.moments[[0, 2, 3]].any()
    assert seen.outside == phases.size - inside.size


def test_the_histogram_holds_all_clicks_over_one_period() -> None:
    rng = np.random.default_rng(5)
    # Half an eighth off the edges of the bins, which lie 400 ps apart.
    phases = (rng.integers(-125, 125, 2_000) * 400 + 200).astype(int)
    _, seen = detector().detect(tags(*((slot, int(phase), 1) for slot, phase in enumerate(phases))))
    want, _ = np.histogram(phases, HISTOGRAM_BINS, (-PERIOD / 2, PERIOD / 2))
    assert seen.histogram[0].tolist() == want.tolist()


def test_statistics_add() -> None:
    clicks = [(1, 0, 1), (2, 700, 2), (3, 0, 3), (4, 3, 9), (5, 0, 4), (5, 1, 1)]
    whole = detector().detect(tags(*clicks))[1]
    halves = detector()
    total = ArrivalStatistics.zero()
    for part in (clicks[:3], clicks[3:]):
        total = total + halves.detect(tags(*part))[1]
    for name in ("tags", "outside", "in_dead_time", "ignored", "events", "multi"):
        assert getattr(total, name) == getattr(whole, name)
    assert np.array_equal(total.moments, whole.moments)
    assert np.array_equal(total.histogram, whole.histogram)


def test_a_stretch_without_tags_still_knows_its_time() -> None:
    # A run's time axis must not jump to zero where nothing was detected.
    none: npt.NDArray[np.int64] = np.empty(0, np.int64)
    model = ClockModel(7_000, 0, float(PERIOD), float("nan"), 0)
    empty = SlottedTags(none, none.astype(np.uint8), none, none.astype(np.int32), model, True)
    found, seen = detector().detect(empty)
    assert (found.time_ps, found.slots.size, seen.tags) == (7_000, 0, 0)


def test_detections_do_not_show_their_bits() -> None:
    found, _ = detector().detect(tags((1, 0, 2), (2, 0, 2), (3, 0, 2)))
    assert "outcomes" not in repr(found)
