"""Single Quantum WebSQ: the codec, the wire, the emulator over TCP, faults, and the bench behind it."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import (
    ConnectionLostError,
    DeviceReportedError,
    FormatError,
    InterlockError,
)
from faintlink.drivers.detectors import singlequantum_websq_codec as codec
from faintlink.drivers.detectors.singlequantum_websq import SingleQuantumWebSQ, WebSQChannel
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.suites import DetectorTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.emulators.singlequantum_websq import EmulatedWebSQ
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.receivers import MockDetector


@pytest.fixture
def box() -> EmulatedWebSQ:
    return EmulatedWebSQ([Cell(1000.0), Cell(2000.0)])


@pytest.fixture
def server(box: EmulatedWebSQ) -> Iterator[TcpServer]:
    with TcpServer(box) as server:
        yield server


@pytest.fixture
def counts(box: EmulatedWebSQ) -> Iterator[TcpServer]:
    with TcpServer(box.counts) as server:
        yield server


@pytest.fixture
def websq(server: TcpServer, counts: TcpServer, monkeypatch: pytest.MonkeyPatch) -> SingleQuantumWebSQ:
    monkeypatch.setattr(SingleQuantumWebSQ, "default_timeout_s", 0.8)
    return SingleQuantumWebSQ("websq", server.address, counts_port=counts.port)


@pytest.fixture
def detector(websq: SingleQuantumWebSQ) -> WebSQChannel:
    return websq.channels[0]


class TestConformance(DetectorTests):
    @pytest.fixture
    def instrument(self, detector: WebSQChannel) -> object:
        return detector


JSON = st.recursive(st.integers() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4)


@given(OBJECTS, st.data())
def test_objects_survive_wherever_the_stream_is_cut(objects: list[dict[str, object]], data: st.DataObject) -> None:
    text = "".join(codec.encode(o=found).decode() for found in objects)
    cut = data.draw(st.integers(0, len(text)))
    first, rest = codec.take_objects(text[:cut])
    second, left = codec.take_objects(rest + text[cut:])
    assert [found["o"] for found in first + second] == objects
    assert left == ""


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(FormatError, match="hello"):
        codec.parse_message(b'{"label": "A", "value": 1}hello\x17')


def test_values_come_bare_or_described() -> None:
    assert codec.label_value({"label": "A", "value": 3}) == 3
    assert codec.label_value({"label": "A", "value": {"value": 3, "unit": "uA"}}) == 3


def test_a_line_of_counts_is_time_and_counts() -> None:
    assert codec.parse_counts(b"12.5,1,20,300\n") == codec.CountRecord(12.5, (1.0, 20.0, 300.0))


@pytest.mark.parametrize("line", [b"\n", b"a,b\n", b"\xff,1\n"])
def test_a_line_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(FormatError, match="no line of counts"):
        codec.parse_counts(line)


def test_the_wire_is_json_without_an_end_one_way_and_with_one_the_other() -> None:
    ask = b'{"request": "labelProps", "value": "None"}'
    script = [
        (ask, b'{"label": "NumberOfDetectors", "value": {"value": 1}}{"label": "X", "value": 1}\x17'),
        (ask, b'{"label": "BiasCurrent", "value": [0.0]}\x17'),
        (b'{"command": "SetAllBiasCurrents", "label": "BiasCurrent", "value": [12.5]}', b""),
        (ask, b'{"label": "BiasCurrent", "value": {"value": [12.5], "unit": "uA"}}\x17'),
    ]
    with expected_wire(script) as link:
        websq = SingleQuantumWebSQ("websq", "scripted", link=link)
        websq.channels[0].bias_current(12.5e-6)


def test_there_is_a_channel_for_each_detector(websq: SingleQuantumWebSQ) -> None:
    assert [channel.short_name for channel in websq.channels] == ["ch1", "ch2"]


def test_currents_and_levels_of_detectors_do_not_mix(websq: SingleQuantumWebSQ, box: EmulatedWebSQ) -> None:
    websq.ch1.bias_current(10e-6)
    websq.ch2.bias_current(15e-6)
    websq.ch2.trigger_level(0.15)
    assert box.labels["BiasCurrent"] == [10.0, 15.0]
    assert box.labels["TriggerLevel"] == [100.0, 150.0]
    assert websq.ch2.trigger_level.get() == pytest.approx(0.15)


def test_no_current_without_an_operating_current(detector: WebSQChannel) -> None:
    with pytest.raises(InterlockError, match="operating current"):
        detector.enabled(True)


def test_a_detector_turns_on_and_off_alone(websq: SingleQuantumWebSQ) -> None:
    for channel in websq.channels:
        channel.operating_current(12e-6)
        channel.enabled(True)
    websq.ch1.safe_state()
    assert [channel.enabled.get() for channel in websq.channels] == [False, True]
    websq.safe_state()
    assert [channel.enabled.get() for channel in websq.channels] == [False, False]


def test_count_rates_are_counts_over_the_measurement_period(websq: SingleQuantumWebSQ) -> None:
    for channel in websq.channels:
        channel.operating_current(12e-6)
        channel.enabled(True)
    websq.counting_time(0.05)
    assert websq.count_rates() == pytest.approx([1000.0, 2000.0])
    assert websq.ch2.count_rate() == pytest.approx(2000.0)


def test_no_line_of_counts_is_left_out(websq: SingleQuantumWebSQ) -> None:
    records = websq.read_counts(3)
    assert len(records) == 3
    assert records[0].time_s < records[1].time_s < records[2].time_s


def test_a_setting_that_is_not_taken_raises_with_what_was_sent(websq: SingleQuantumWebSQ) -> None:
    with pytest.raises(DeviceReportedError, match=r"not taken.*SetAllBiasCurrents"):
        websq.set_entry("SetAllBiasCurrents", "BiasCurrent", 1, 500.0)


def test_an_error_of_the_server_raises(websq: SingleQuantumWebSQ, box: EmulatedWebSQ) -> None:
    box.error = "cryostat warm"
    with pytest.raises(DeviceReportedError, match="cryostat warm"):
        websq.get_label("BiasCurrent")


def test_a_label_that_is_not_there_is_reported(websq: SingleQuantumWebSQ) -> None:
    with pytest.raises(DeviceReportedError, match="does not name 'Nonsense'"):
        websq.get_label("Nonsense")


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE, Fault.CUT])
def test_a_spoilt_answer_raises_in_time_and_the_next_question_is_answered(
    server: TcpServer, websq: SingleQuantumWebSQ, fault: Fault
) -> None:
    server.faults.inject(fault)
    with pytest.raises(ConnectionLostError):
        websq.get_label("BiasCurrent")
    assert websq.get_label("BiasCurrent") == [0.0, 0.0]


def test_a_late_answer_is_never_taken_for_a_newer_one(
    server: TcpServer, websq: SingleQuantumWebSQ, box: EmulatedWebSQ
) -> None:
    server.faults.delay_s = 1.2
    server.faults.inject(Fault.SLOW)
    with pytest.raises(ConnectionLostError):
        websq.get_label("TriggerLevel")
    box.labels["TriggerLevel"] = [5.0, 6.0]
    assert websq.get_label("TriggerLevel") == [5.0, 6.0]


def test_after_a_restart_the_bias_is_read_as_off(server: TcpServer, detector: WebSQChannel) -> None:
    detector.operating_current(12e-6)
    detector.enabled(True)
    server.faults.inject(Fault.REBOOT)
    with pytest.raises(ConnectionLostError):
        detector.bias_current.get()
    assert detector.enabled.get() is False


def test_silence_on_the_counts_port_raises_in_time(
    websq: SingleQuantumWebSQ, box: EmulatedWebSQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmulatedWebSQ, "line", lambda self: b"")
    with pytest.raises(ConnectionLostError, match="no whole answer"):
        websq.count_rates()


def test_the_emulated_detectors_are_those_of_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockDetector("behind", bench.name)
    box = EmulatedWebSQ([behind.count_rate], enabled=[behind.enabled])
    with TcpServer(box) as server, TcpServer(box.counts) as counts:
        websq = SingleQuantumWebSQ("websq", server.address, counts_port=counts.port)
        assert behind.enabled() is False
        websq.ch1.operating_current(12e-6)
        websq.ch1.enabled(True)
        assert behind.enabled() is True
        assert websq.ch1.count_rate() > 0.0
