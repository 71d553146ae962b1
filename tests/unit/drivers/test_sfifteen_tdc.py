"""S-Fifteen TDC1 and TDC2: the wire, the stream over a pseudo-terminal, damage, faults, and the bench behind it."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, LocalProtocolError, UnsupportedFeatureError
from faintlink.core.formats.detection import FormatName
from faintlink.core.formats.sfifteen import LAYOUTS, encode_stamps
from faintlink.core.tags import GapCause, TagBlock, concatenate
from faintlink.drivers.timetaggers.sfifteen_stamps import StampStream
from faintlink.drivers.timetaggers.sfifteen_tdc import SFifteenTDC1, SFifteenTDC2, threshold_command
from faintlink.drivers.timetaggers.stream import TagAssembler
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.suites import TimeTaggerTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.sfifteen_tdc import EmulatedTDC
from tests.taggers import assert_same, bench_source, played, random_tags, read_until, recorded

DRIVERS = {"TDC1": (SFifteenTDC1, 2000, FormatName.S15_TDC1), "TDC2": (SFifteenTDC2, 1000, FormatName.S15_A1)}
HELLO = [(b"abort\r\n", b""), (b"*idn?\r\n", b"TDC2 v1\r\n")]


@pytest.fixture(params=sorted(DRIVERS))
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestConformance(TimeTaggerTests):
    @pytest.fixture
    def instrument(self, model: str) -> Iterator[object]:
        with PtyServer(EmulatedTDC(bench_source(), model=model)) as server:
            tagger = DRIVERS[model][0]("tdc", server.address)
            yield tagger
            tagger.close()


def test_the_wire_is_that_of_the_makers_library() -> None:
    script = [
        *HELLO,
        (b"NEG -0.4\r\n", b""),
        (b"level?\r\n", b"-0.4 V\r\n"),
        (b"refclk 1\r\n", b""),
        (b"refclk?\r\n", b"1\r\n"),
        (b"time?\r\n", b"500\r\n"),
        (b"singles;counts?\r\n", b"100 0 25 7\r\n"),
        (b"level?\r\n", b"-0.4 V\r\n"),
        (b"INPKT;NEG -0.4;time 0;timestamp;counts?\r\n", b""),
        (b"abort\r\n", b""),
    ]
    with expected_wire(script) as link:
        tagger = SFifteenTDC2("tdc", "scripted", link=link)
        tagger.threshold(-0.4)
        tagger.reference_clock("external")
        assert tagger.count_rates.get() == (200.0, 0.0, 50.0, 14.0)
        stream = tagger.stream()
        stream.start()
        with pytest.raises(LocalProtocolError, match="is streaming"):
            tagger.threshold.get()
        stream.stop()


@pytest.mark.parametrize(("volts", "command"), [(-0.5, "NEG -0.5"), (1.25, "POS 1.25"), (0.0, "POS 0")])
def test_the_sign_of_the_threshold_chooses_the_edge(volts: float, command: str) -> None:
    assert threshold_command(volts) == command


def test_another_device_at_the_port_is_refused() -> None:
    with (
        expected_wire([(b"abort\r\n", b""), (b"*idn?\r\n", b"Toaster 1\r\n")]) as link,
        pytest.raises(UnsupportedFeatureError, match="Toaster"),
    ):
        SFifteenTDC2("tdc", "scripted", link=link)


def test_a_setting_that_is_not_taken_raises() -> None:
    with (
        expected_wire([*HELLO, (b"NEG -0.4\r\n", b""), (b"level?\r\n", b"-0.5 V\r\n")]) as link,
        pytest.raises(DeviceReportedError, match="not taken"),
    ):
        SFifteenTDC2("tdc", "scripted", link=link).threshold(-0.4)


def test_every_tag_arrives_over_a_pseudo_terminal(model: str) -> None:
    kind, step_ps, _ = DRIVERS[model]
    truth = random_tags(200_000, step_ps=step_ps)
    with PtyServer(EmulatedTDC(played(truth), model=model)) as server:
        tagger = kind("tdc", server.address)
        got = recorded(tagger.stream(), 199_000)
        tagger.close()
    assert got.gaps == ()
    assert np.abs(got.times_ps - truth.times_ps).max() <= 4
    np.testing.assert_array_equal(got.channels, truth.channels)


def test_counts_are_rates_of_the_source() -> None:
    truth = random_tags(20_000, step_ps=2000, mean_steps=5000)
    with PtyServer(EmulatedTDC(played(truth, piece=1000))) as server:
        tagger = SFifteenTDC2("tdc", server.address)
        tagger.counting_time(100)
        assert sum(tagger.count_rates.get()) == pytest.approx(1e5, rel=0.15)
        tagger.close()


@given(cuts=st.lists(st.integers(0, 8 * 300), max_size=8), model=st.sampled_from(sorted(DRIVERS)))
@settings(max_examples=60, deadline=None)
def test_bytes_cut_anywhere_give_the_same_tags(cuts: list[int], model: str) -> None:
    _, _, kind = DRIVERS[model]
    truth = random_tags(300, step_ps=1)
    units = truth.times_ps * 1000
    data = encode_stamps(units, (np.uint8(1) << (truth.channels - 1)).astype(np.uint8), kind)
    whole = decoded(kind, [data])
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    got = decoded(kind, [data[a:b] for a, b in pairwise(edges)])
    assert_same(got, whole)
    assert len(got) == 300
    assert got.gaps == ()


def decoded(kind: FormatName, pieces: list[bytes]) -> TagBlock:
    tags = TagAssembler()
    stamps = StampStream(LAYOUTS[kind], tags)
    blocks = [stamps.feed(piece) for piece in pieces]
    return concatenate([*blocks, stamps.flush(), tags.finish()])


@pytest.mark.parametrize("damage", [b"\xff\x00\x81?garbage\xfe", b"", b"\x00" * 7, bytes(range(64))])
def test_damage_is_a_gap_and_the_tags_around_it_stay_true(model: str, damage: bytes) -> None:
    kind = DRIVERS[model][2]
    layout = LAYOUTS[kind]
    truth = random_tags(4000, step_ps=2000, mean_steps=300)
    units = (truth.times_ps << layout.shift) // layout.multiplier
    data = encode_stamps(units, (np.uint8(1) << (truth.channels - 1)).astype(np.uint8), kind)
    cut = len(data) // 2 + 3
    got = decoded(kind, [data[:cut] + damage, data[cut + 2 :]])
    assert [gap.cause for gap in got.gaps].count(GapCause.RECORD_DAMAGED) == len(got.gaps) >= 1
    assert len(got) > 3800
    before, after = got.gaps[0].start_ps, got.gaps[-1].end_ps
    outside = got.times_ps[(got.times_ps < before) | (got.times_ps > after)]
    assert len(outside) > 3800
    assert np.isin(outside, decoded(kind, [data]).times_ps).all()
    assert np.all(np.diff(got.times_ps) >= 0)


def test_an_endless_stream_of_garbage_gives_no_tags_and_no_growth() -> None:
    tags = TagAssembler()
    stamps = StampStream(LAYOUTS[FormatName.S15_A1], tags)
    rng = np.random.default_rng(3)
    for _ in range(50):
        assert len(stamps.feed(rng.bytes(1001))) == 0
    assert len(stamps._bytes) < 4096
    assert tags.finish().gaps[0].cause is GapCause.RECORD_DAMAGED


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.REBOOT])
def test_a_pulled_cable_or_a_reboot_ends_the_stream_with_an_error(
    model: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, step_ps, _ = DRIVERS[model]
    monkeypatch.setattr(kind, "silence_s", 0.4)
    device = EmulatedTDC(played(random_tags(100_000, step_ps=step_ps), piece=2000), model=model)
    with PtyServer(device) as server:
        tagger = kind("tdc", server.address)
        stream = tagger.stream()
        stream.start()
        read_until(stream, lambda block: len(block) > 1000)
        if fault is Fault.CUT:
            server.close()
        else:
            with device.lock:
                device.reboot()
        with pytest.raises(ConnectionLostError):
            read_until(stream, lambda _: False, limit_s=5.0)
        if fault is Fault.REBOOT:
            stream.stop()
            tagger.close()


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE])
def test_a_lost_answer_raises_and_the_next_is_read_again(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SFifteenTDC2, "default_timeout_s", 0.3)
    with PtyServer(EmulatedTDC(played(TagBlock.empty()))) as server:
        tagger = SFifteenTDC2("tdc", server.address)
        server.faults.inject(fault)
        with pytest.raises((ConnectionLostError, DeviceReportedError)):
            tagger.threshold.get()
        assert tagger.threshold.get() == -0.5
        tagger.close()


def test_a_quiet_tagger_that_sends_dummies_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SFifteenTDC2, "silence_s", 0.3)
    with PtyServer(EmulatedTDC(played(TagBlock.empty()))) as server:
        tagger = SFifteenTDC2("tdc", server.address)
        stream = tagger.stream()
        stream.start()
        assert sum(len(stream.read(0.1)) for _ in range(8)) == 0
        stream.stop()
        tagger.close()
