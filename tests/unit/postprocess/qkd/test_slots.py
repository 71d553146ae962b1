"""A receiver's tags get the sender's slot numbers."""

import functools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.config.link import Clock, LinkConfig
from faintlink.core.errors import ClockLostError
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.qkd.clock import SlottedTags
from faintlink.postprocess.qkd.pulsed import pulsed_source
from faintlink.postprocess.qkd.slots import SlotCounter
from tests.pulses import DARK, PulsedLink, Pulses, cut, small_link

LINK = small_link()
LINKS = {
    "fast sender": PulsedLink(),
    "slow sender, drift the other way": PulsedLink(ppm=-93.0, drift_per_s=-1e-7, seed=2),
    "half of the clicks are darks": PulsedLink(gain=0.05, dark_hz=2.4e5, seed=3),
    "20 ms of darks before the light": PulsedLink(early_s=0.02, dark_hz=1e5, seed=4),
    "40 ms without light": PulsedLink(holes_s=((0.15, 0.19),), dark_hz=5e4, seed=5),
}


def counter(link: LinkConfig = LINK, interval_ms: float = 10.0) -> SlotCounter:
    return SlotCounter(pulsed_source(link), Clock(interval_ms=interval_ms))


def numbered(blocks: list[TagBlock]) -> list[SlottedTags]:
    numbers = counter()
    pieces = [piece for block in blocks for piece in numbers.feed(block)]
    return pieces + numbers.finish()


@functools.cache
def made(name: str) -> Pulses:
    return LINKS[name].make()


def slots_of(pieces: list[SlottedTags]) -> npt.NDArray[np.int64]:
    return np.concatenate([piece.slots for piece in pieces])


@pytest.mark.parametrize("name", LINKS)
def test_every_click_of_light_gets_the_slot_it_was_sent_in(name: str) -> None:
    pulses = made(name)
    slots = slots_of(numbered([pulses.tags]))
    truth = pulses.slots[-slots.size :]
    light = truth != DARK
    assert int(light.sum()) == int((pulses.slots != DARK).sum())
    # The jitter is 1/650 of a period: not one click may be in the wrong slot.
    assert np.array_equal(slots[light], truth[light])


def test_tags_and_channels_stay_together() -> None:
    pulses = made("fast sender")
    pieces = numbered([pulses.tags])
    assert np.array_equal(np.concatenate([piece.times_ps for piece in pieces]), pulses.tags.times_ps)
    assert np.array_equal(np.concatenate([piece.channels for piece in pieces]), pulses.tags.channels)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(0, 340_000), max_size=7))
def test_the_slots_do_not_depend_on_how_the_stream_is_cut(places: list[int]) -> None:
    tags = made("fast sender").tags
    got, want = numbered(cut(tags, places)), numbered([tags])
    assert [piece.model.t0_ps for piece in got] == [piece.model.t0_ps for piece in want]
    assert np.array_equal(slots_of(got), slots_of(want))


def test_it_waits_for_the_preamble_and_says_when_it_is_locked() -> None:
    pulses = made("fast sender")
    numbers = counter()
    early, late = pulses.tags.between(0, PulsedLink().start_ps + PS_PER_S // 100), pulses.tags
    assert numbers.feed(early) == []
    assert (numbers.is_locked, numbers.report()) == (False, None)
    assert numbers.feed(TagBlock(late.times_ps[len(early) :], late.channels[len(early) :]))
    assert numbers.is_locked


@pytest.mark.parametrize("name", ["fast sender", "slow sender, drift the other way"])
def test_the_report_tells_frequency_preamble_and_intervals(name: str) -> None:
    link = LINKS[name]
    numbers = counter()
    pieces = numbers.feed(made(name).tags) + numbers.finish()
    report = numbers.report()
    assert report is not None
    # A longer period on the receiver's clock is a lower frequency of the sender; drift is 0.035 ppm in the run.
    assert report.first_ppm == pytest.approx(-link.ppm, abs=0.05)
    assert report.last_ppm == pytest.approx(-link.ppm - link.drift_per_s * link.seconds * 1e6, abs=0.02)
    assert report.significance > 8.0
    assert (report.intervals, report.coasted) == (len(pieces), 0)


def test_coasted_intervals_are_counted() -> None:
    numbers = counter()
    numbers.feed(made("40 ms without light").tags)
    report = numbers.report()
    assert report is not None
    assert 2 <= report.coasted <= 4


def test_darks_alone_lose_the_clock_with_advice() -> None:
    with pytest.raises(ClockLostError, match="no comb") as caught:
        numbered([PulsedLink(gain=0.0, dark_hz=2e5).make().tags])
    assert caught.value.hint


def test_light_without_a_preamble_is_refused_with_advice() -> None:
    with pytest.raises(ClockLostError, match="no preamble") as caught:
        numbered([PulsedLink(has_preamble=False).make().tags])
    assert "seed and length of the preamble" in caught.value.hint


def test_another_preamble_than_the_links_is_refused() -> None:
    text = small_link().model_dump_json().replace('"seed":5', '"seed":6')
    numbers = counter(LinkConfig.model_validate_json(text))
    with pytest.raises(ClockLostError, match="no preamble"):
        numbers.feed(made("fast sender").tags)


def test_a_stream_without_tags_is_refused() -> None:
    numbers = counter()
    assert numbers.feed(TagBlock.empty()) == []
    with pytest.raises(ClockLostError, match="no tags"):
        numbers.finish()


def test_a_long_dark_stretch_ends_the_numbering_after_what_is_sure() -> None:
    pulses = PulsedLink(holes_s=((0.1, 0.3),), dark_hz=0.0).make()
    numbers = counter()
    slots = slots_of(numbers.feed(pulses.tags))
    assert np.array_equal(slots, pulses.slots[: slots.size])
    # 0.1 s of light at 10 MHz came before the hole.
    assert slots[-1] > 900_000
    with pytest.raises(ClockLostError, match="clock was lost"):
        numbers.finish()
