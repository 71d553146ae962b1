"""Thorlabs MPC320: the codec, the wire, the emulator over a pseudo-terminal, faults, and the bench behind it."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import (
    ConnectionLostError,
    DeviceReportedError,
    FormatError,
    HardwareError,
    UnsupportedFeatureError,
)
from faintlink.drivers.polarization import thorlabs_apt_codec as apt
from faintlink.drivers.polarization.thorlabs_mpc320 import ThorlabsMPC320, angle_to_counts, counts_to_angle
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.suites import PolarizationControllerTests
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.thorlabs_mpc320 import EmulatedMPC320
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.link import MockPolarizationController

IMPATIENT_S = 0.5
"""Patience of tests that lose an answer; the others leave it at what a machine under load may need."""


@pytest.fixture
def device() -> EmulatedMPC320:
    return EmulatedMPC320()


@pytest.fixture
def server(device: EmulatedMPC320) -> Iterator[PtyServer]:
    with PtyServer(device) as server:
        yield server


@pytest.fixture
def paddles(server: PtyServer, monkeypatch: pytest.MonkeyPatch) -> ThorlabsMPC320:
    # A pseudo-terminal has no handshake lines.
    monkeypatch.setattr(ThorlabsMPC320, "default_rtscts", False)
    return ThorlabsMPC320("paddles", server.address)


class TestConformance(PolarizationControllerTests):
    @pytest.fixture
    def instrument(self, paddles: ThorlabsMPC320) -> object:
        return paddles


# Bytes written out by hand from the message formats of Thorlabs' protocol description.
VECTORS = [
    (apt.Message(apt.MessageId.HW_REQ_INFO), "050000005001"),
    (apt.Message(apt.MessageId.MOD_SET_CHANENABLESTATE, 7, 1), "100207015001"),
    (apt.Message(apt.MessageId.MOT_MOVE_HOME, 2), "430402005001"),
    (apt.move_absolute(1, 685), "53040600d0010100ad020000"),
    (apt.move_absolute(4, -2), "53040600d0010400feffffff"),
]


@pytest.mark.parametrize(("message", "hexadecimal"), VECTORS)
def test_messages_have_the_bytes_of_the_protocol(message: apt.Message, hexadecimal: str) -> None:
    assert apt.encode(message).hex() == hexadecimal
    assert apt.decode(bytes.fromhex(hexadecimal)) == message


@given(st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=255))
def test_long_messages_survive_the_way_there_and_back(number: int, data: bytes) -> None:
    message = apt.Message(number, data=data)
    assert apt.decode(apt.encode(message)) == message


@given(st.integers(0, 7), st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_status_survives_the_way_there_and_back(channel: int, position: int, bits: int) -> None:
    status = apt.MotorStatus(channel, position, 1, -1, bits)
    assert apt.parse_status(apt.pack_status(status)) == status


@pytest.mark.parametrize(
    "frame", [b"", b"\x05\x00", bytes.fromhex("53040600d001") + b"\1", b"\x91\x04\xff\xff\x81\x50"]
)
def test_a_frame_of_the_wrong_length_is_refused(frame: bytes) -> None:
    with pytest.raises(FormatError):
        apt.decode(frame)


def test_a_status_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(FormatError, match="14 bytes"):
        apt.parse_status(b"\0" * 13)


@pytest.mark.parametrize(("angle_deg", "counts"), [(0.0, 0), (170.0, 1370), (85.0, 685)])
def test_170_degrees_are_1370_counts(angle_deg: float, counts: int) -> None:
    assert angle_to_counts(angle_deg) == counts
    assert counts_to_angle(counts) == pytest.approx(angle_deg)


def _from_unit(number: int, first: int = 0, second: int = 0, data: bytes = b"") -> bytes:
    return apt.encode(apt.Message(number, first, second, data, apt.HOST, apt.UNIT))


def _status(channel: int, counts: int) -> bytes:
    data = apt.pack_status(apt.MotorStatus(channel, counts, 0, 0, 0))
    return _from_unit(apt.MessageId.MOT_GET_USTATUSUPDATE, data=data)


def test_the_dialogue_of_a_move_is_that_of_the_protocol() -> None:
    unasked = _from_unit(apt.MessageId.MOT_MOVE_COMPLETED, data=b"\0" * 14)
    script = [
        (bytes.fromhex("050000005001"), _from_unit(apt.MessageId.HW_GET_INFO, data=apt.pack_info(38000001, "MPC320"))),
        (bytes.fromhex("100207015001"), b""),
        (bytes.fromhex("110207005001"), _from_unit(apt.MessageId.MOD_GET_CHANENABLESTATE, 7, 1)),
        (bytes.fromhex("53040600d001010051000000"), b""),
        (bytes.fromhex("53040600d0010200a1000000"), b""),
        (bytes.fromhex("53040600d0010400f2000000"), b""),
        (bytes.fromhex("900401005001"), unasked + _status(1, 81)),
        (bytes.fromhex("900402005001"), _status(2, 161)),
        (bytes.fromhex("900404005001"), _status(4, 242)),
    ]
    with expected_wire(script) as link:
        paddles = ThorlabsMPC320("paddles", "scripted", link=link)
        paddles.angles((10.0, 20.0, 30.0))
        assert paddles.get_idn()["serial"] == "38000001"


def test_another_device_at_the_port_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThorlabsMPC320, "default_rtscts", False)
    with (
        PtyServer(EmulatedMPC320(model="KDC101")) as server,
        pytest.raises(UnsupportedFeatureError, match="KDC101"),
    ):
        ThorlabsMPC320("paddles", server.address)


def test_setting_returns_when_the_paddles_have_arrived(paddles: ThorlabsMPC320) -> None:
    paddles.angles((20.0, 0.0, 40.0))
    assert paddles.angles.get() == pytest.approx((20.0, 0.0, 40.0), abs=0.1)


def test_homing_brings_the_paddles_to_the_middle(paddles: ThorlabsMPC320) -> None:
    assert not paddles.is_homed()
    paddles.home()
    assert paddles.is_homed()
    assert paddles.angles.get() == pytest.approx((85.0, 85.0, 85.0), abs=0.1)


def test_the_velocity_is_kept_and_nothing_else_changes(paddles: ThorlabsMPC320) -> None:
    before = paddles._settings()
    paddles.velocity(80)
    assert paddles._settings() == apt.PaddleSettings(80, before.home_counts, before.jog_counts)


@pytest.mark.parametrize("angles", [(0.0, 0.0), (0.0, 0.0, 171.0), (-1.0, 0.0, 0.0)])
def test_angles_that_it_does_not_have_are_refused(paddles: ThorlabsMPC320, angles: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        paddles.angles(angles)


def test_a_paddle_that_does_not_arrive_is_reported(
    device: EmulatedMPC320, paddles: ThorlabsMPC320, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ThorlabsMPC320, "move_timeout_s", 0.2)
    device.stuck.add(2)
    with pytest.raises(DeviceReportedError, match="did not arrive"):
        paddles.angles((5.0, 5.0, 5.0))


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE])
def test_a_spoilt_answer_raises_in_time_and_the_next_one_is_read_again(
    server: PtyServer, paddles: ThorlabsMPC320, fault: Fault
) -> None:
    paddles.link.timeout_s = IMPATIENT_S
    server.faults.inject(fault)
    with pytest.raises(HardwareError):
        paddles.angles.get()
    assert paddles.angles.get() == (0.0, 0.0, 0.0)


def test_a_late_answer_is_never_taken_for_another(server: PtyServer, paddles: ThorlabsMPC320) -> None:
    paddles.link.timeout_s = IMPATIENT_S
    server.faults.delay_s = 1.2
    server.faults.inject(Fault.SLOW)
    with pytest.raises(ConnectionLostError):
        paddles.angles.get()
    assert paddles.velocity.get() == 50


def test_a_restart_is_reported_before_anything_moves(server: PtyServer, paddles: ThorlabsMPC320) -> None:
    paddles.link.timeout_s = IMPATIENT_S
    server.faults.inject(Fault.REBOOT)
    with pytest.raises(ConnectionLostError):
        paddles.angles.get()
    with pytest.raises(DeviceReportedError, match="restarted"):
        paddles.angles((1.0, 1.0, 1.0))
    paddles.enable()
    paddles.angles((1.0, 1.0, 1.0))


def test_a_pulled_cable_raises(server: PtyServer, paddles: ThorlabsMPC320) -> None:
    server.faults.inject(Fault.CUT)
    with pytest.raises(ConnectionLostError):
        paddles.angles.get()


def test_the_emulated_paddles_turn_the_light_of_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThorlabsMPC320, "default_rtscts", False)
    bench = MockBench("bench", model="polarization-bb84", seed=3)
    behind = MockPolarizationController("behind", bench.name)
    with PtyServer(EmulatedMPC320(behind.angles)) as server:
        paddles = ThorlabsMPC320("paddles", server.address)
        paddles.angles((15.0, 30.0, 45.0))
        assert bench.engine.state.link.paddles_deg == pytest.approx((15.0, 30.0, 45.0), abs=0.1)
