"""Swabian Time Tagger: the maker's event types as gaps, faults, and names of the maker's package where installed."""

import numpy as np
import pytest

from faintlink.core.errors import ConnectionLostError, HardwareError, UnsupportedFeatureError
from faintlink.core.tags import GapCause, TagBlock
from faintlink.drivers.timetaggers import swabian
from faintlink.drivers.timetaggers.swabian import EventType, SwabianTimeTagger, delivered_channel
from faintlink.instruments.conformance.suites import TimeTaggerTests
from faintlink.instruments.emulators.swabian import FakeSwabian
from tests.taggers import assert_same, bench_source, played, random_tags, read_until, recorded


class TestConformance(TimeTaggerTests):
    @pytest.fixture
    def instrument(self) -> object:
        return SwabianTimeTagger("tagger", library=FakeSwabian(bench_source()))


def test_every_tag_of_the_wanted_channels_arrives() -> None:
    truth = random_tags(50_000, step_ps=1)
    tagger = SwabianTimeTagger("tagger", library=FakeSwabian(played(truth)), channels=[1, 3])
    wanted = np.isin(truth.channels, [1, 3])
    got = recorded(tagger.stream(), int(wanted.sum()))
    assert_same(got, TagBlock(truth.times_ps[wanted], truth.channels[wanted]))
    assert got.gaps == ()


@pytest.mark.parametrize(("channel", "delivered"), [(1, 1), (18, 18), (-1, 129), (-18, 146)])
def test_falling_edges_have_numbers_above_128(channel: int, delivered: int) -> None:
    assert delivered_channel(channel) == delivered


@pytest.mark.parametrize("channel", [0, 1001, -200])
def test_virtual_channels_are_refused(channel: int) -> None:
    with pytest.raises(UnsupportedFeatureError, match=str(channel)):
        SwabianTimeTagger("tagger", library=FakeSwabian(played(TagBlock.empty())), channels=[channel])


def test_an_overflow_with_its_missed_events_is_a_gap_from_its_begin_to_its_end() -> None:
    truth = random_tags(3000, step_ps=1000)
    fake = FakeSwabian(played(truth, piece=1000))
    fake.tagger.special.extend(
        [(EventType.OVERFLOW_BEGIN, 0), (EventType.MISSED_EVENTS, 120), (EventType.OVERFLOW_END, 0)]
    )
    got = recorded(SwabianTimeTagger("tagger", library=fake).stream(), 3000)
    assert [gap.cause for gap in got.gaps] == [GapCause.DEVICE_OVERFLOW] * 2
    assert got.lost == 120
    last = int(truth.times_ps[999])
    assert {(gap.start_ps, gap.end_ps) for gap in got.gaps} == {(last, last + 2000), (last, last + 3000)}


def test_an_overflow_across_two_reads_is_one_gap() -> None:
    truth = random_tags(3000, step_ps=10_000)
    fake = FakeSwabian(played(truth, piece=1000))
    fake.tagger.special.append((EventType.OVERFLOW_BEGIN, 0))
    stream = SwabianTimeTagger("tagger", library=fake).stream()
    stream.start()
    first = read_until(stream, lambda block: len(block) >= 1000)
    assert first.gaps == ()
    fake.tagger.special.append((EventType.OVERFLOW_END, 0))
    [gap] = read_until(stream, lambda block: bool(block.gaps)).gaps
    assert (gap.start_ps, gap.end_ps) == (truth.times_ps[999], truth.times_ps[1999] + 1000)


def test_an_overflow_that_never_ends_is_reported_when_the_stream_stops() -> None:
    fake = FakeSwabian(played(random_tags(1000, step_ps=1000)))
    fake.tagger.special.append((EventType.OVERFLOW_BEGIN, 0))
    assert len(recorded(SwabianTimeTagger("tagger", library=fake).stream(), 1000).gaps) == 1


def test_an_error_event_breaks_the_time_base() -> None:
    fake = FakeSwabian(played(random_tags(1000, step_ps=1000)))
    fake.tagger.special.append((EventType.ERROR, 0))
    [gap] = recorded(SwabianTimeTagger("tagger", library=fake).stream(), 1000).gaps
    assert gap.cause is GapCause.REFERENCE_LOST


def test_a_buffer_that_comes_back_full_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swabian, "BUFFER_EVENTS", 500)
    truth = random_tags(2000, step_ps=1000)
    got = recorded(SwabianTimeTagger("tagger", library=FakeSwabian(played(truth, piece=1000))).stream(), 1000)
    assert got.gaps[0].cause is GapCause.BUFFER_FULL
    assert (got.gaps[0].start_ps, got.gaps[0].end_ps) == (truth.times_ps[499], truth.times_ps[1000])


def test_a_pulled_cable_raises() -> None:
    fake = FakeSwabian(played(random_tags(2000, step_ps=1000), piece=1000))
    tagger = SwabianTimeTagger("tagger", library=fake)
    stream = tagger.stream()
    stream.start()
    stream.read(0.1)
    fake.tagger.is_plugged = False
    with pytest.raises(ConnectionLostError, match="getData failed"):
        stream.read(0.1)
    with pytest.raises(HardwareError, match="setTriggerLevel"):
        tagger.ch1.trigger_level(0.2)
    with pytest.raises(ConnectionLostError):
        SwabianTimeTagger("other", library=fake)


def test_settings_reach_the_library() -> None:
    fake = FakeSwabian(played(TagBlock.empty()))
    tagger = SwabianTimeTagger("tagger", library=fake)
    tagger.ch3.delay(-250)
    assert tagger.ch3.delay.get() == -250
    tagger.ch3.trigger_level(0.25)
    assert tagger.ch3.trigger_level.get() == 0.25
    tagger.reference_input(8)
    assert fake.tagger.reference == 8
    tagger.reference_input(0)
    assert fake.tagger.reference is None


def test_a_missing_package_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swabian, "PACKAGE", "nowhere.TimeTagger")
    with pytest.raises(HardwareError, match="cannot be imported") as caught:
        SwabianTimeTagger("tagger")
    assert "pip install Swabian-TimeTagger" in caught.value.hint


def test_the_makers_package_has_every_name_that_the_driver_uses() -> None:
    package = pytest.importorskip("Swabian.TimeTagger")
    names = "getModel getSerial getFirmwareVersion getChannelList getTriggerLevel setTriggerLevel getInputDelay"
    names += " setInputDelay getDeadtime setDeadtime getEventDivider setEventDivider"
    names += " setReferenceClock disableReferenceClock"
    for name in names.split():
        assert callable(getattr(package.TimeTagger, name)), name
    for name in ("getData", "isRunning", "stop"):
        assert callable(getattr(package.TimeTagStream, name)), name
    assert {kind.value for kind in package.TagType} == set(EventType)
