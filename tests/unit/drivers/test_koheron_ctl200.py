"""Koheron CTL200: echo and prompt, limits, temperatures, interlock, faults, and the light behind it."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import DeviceReportedError, InterlockError, UnsupportedFeatureError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.lasers.koheron_ctl200 import KoheronCTL200
from faintlink.drivers.lasers.koheron_ctl200_codec import encode_command, error_names, parse_answer
from faintlink.drivers.lasers.thermistor import SteinhartHart
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.bench_suites import ContinuousLaserTests
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.koheron_ctl200 import EmulatedCTL200
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockLaser
from tests.serial_faults import SerialFaultTests, refuses_twice

MODEL = (b"model\r\n", b"model\r\nCTL200-0\r\n>>")


@pytest.fixture
def controller() -> EmulatedCTL200:
    return EmulatedCTL200()


@pytest.fixture
def laser(controller: EmulatedCTL200) -> Iterator[KoheronCTL200]:
    with PtyServer(controller) as server:
        yield KoheronCTL200("laser", server.address, diode_limit=0.3)


class TestConformance(ContinuousLaserTests):
    @pytest.fixture
    def instrument(self, laser: KoheronCTL200) -> object:
        return laser


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedCTL200()

    def driver(self, address: str) -> DialogueInstrument:
        return KoheronCTL200("laser", address)

    def change(self, device: Any) -> None:
        device.current(0.1)

    def read(self, device: Any) -> float:
        return float(device.current())


def test_the_wire_is_echo_value_and_prompt() -> None:
    script = [
        MODEL,
        (b"ilmax\r\n", b"ilmax\r\n200.000000\r\n>>"),
        (b"ilaser 100\r\n", b"ilaser 100\r\n100.000000\r\n>>"),
        (b"err\r\n", b"err\r\n0\r\n>>"),
        (b"ilaser\r\n", b"ilaser\r\n100.000000\r\n>>"),
    ]
    with expected_wire(script) as link:
        KoheronCTL200("laser", "scripted", link=link).current(0.1)


@pytest.mark.parametrize("answer", [b"\x00>>err\r\n0\r\n>>", b"\r\nerr\r\n0\r\n>>", b">>err\r\n0\r\n"])
def test_a_prompt_or_a_null_in_front_of_the_echo_is_no_value(answer: bytes) -> None:
    assert parse_answer(encode_command("err"), answer) == "0"


@pytest.mark.parametrize("answer", [b"ilaser\r\n1\r\n>>", b"err\r\n0\r\n1\r\n>>", b">>", b"\xff\r\n>>"])
def test_an_answer_to_something_else_is_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|codec"):
        parse_answer(encode_command("err"), answer)


def test_unknown_error_bits_are_named_as_such() -> None:
    assert error_names(0b1_0010_0000) == ("invalid argument", "unknown bits 0x100")


def test_the_common_10_kohm_thermistor_is_at_25_degrees_at_10_kohm() -> None:
    # 10 000 ohm at 25 degC defines that family of thermistors.
    assert SteinhartHart().temperature_c(10_000.0) == pytest.approx(25.0, abs=0.01)


@given(temperature_c=st.floats(-20.0, 90.0))
def test_resistance_and_temperature_undo_each_other(temperature_c: float) -> None:
    law = SteinhartHart()
    assert law.temperature_c(law.resistance_ohm(temperature_c)) == pytest.approx(temperature_c, abs=1e-6)


def test_the_temperature_is_regulated_to_what_is_set(laser: KoheronCTL200) -> None:
    laser.temperature_setpoint(29.0)
    laser.cooler_enabled(True)
    assert laser.temperature() == pytest.approx(29.0, abs=1e-3)
    assert laser.resistance() < 10_000.0


def test_the_coefficients_of_the_station_are_used(laser: KoheronCTL200, controller: EmulatedCTL200) -> None:
    with PtyServer(controller) as server:
        other = KoheronCTL200("other", server.address, thermistor=[1.1e-3, 2.4e-4, 7e-8])
        assert other.temperature() != pytest.approx(laser.temperature(), abs=0.1)


def test_a_current_above_the_limit_is_refused_and_not_sent(laser: KoheronCTL200) -> None:
    laser.current_limit(0.15)
    laser.current(0.1)
    refuses_twice(lambda: laser.current(0.2), InterlockError)
    assert laser.current() == pytest.approx(0.1)


def test_a_limit_below_the_current_is_refused(laser: KoheronCTL200) -> None:
    laser.current(0.1)
    refuses_twice(lambda: laser.current_limit(0.05), InterlockError)
    assert laser.current_limit() == pytest.approx(0.2)


def test_the_limit_itself_may_be_set(laser: KoheronCTL200) -> None:
    laser.current_limit(0.1001)
    laser.current(0.1001)
    assert laser.current() == pytest.approx(0.1001)


def test_the_limit_of_the_diode_binds_the_limit_of_the_controller(laser: KoheronCTL200) -> None:
    with pytest.raises(ValueError, match=r"0\.3"):
        laser.current_limit(0.31)


def test_an_open_interlock_is_told_and_the_light_stays_off(laser: KoheronCTL200, controller: EmulatedCTL200) -> None:
    laser.interlock_enabled(True)
    controller.open_interlock()
    with pytest.raises(InterlockError, match="interlock is open"):
        laser.enabled(True)
    assert laser.enabled() is False
    assert laser.errors() == ()


def test_an_interlock_that_opened_is_told_once_before_the_light_goes_on_again(
    laser: KoheronCTL200, controller: EmulatedCTL200
) -> None:
    laser.interlock_enabled(True)
    laser.enabled(True)
    controller.open_interlock()
    controller.is_interlock_closed = True
    with pytest.raises(InterlockError, match="interlock opened"):
        laser.enabled(True)
    assert laser.enabled() is False
    laser.enabled(True)
    assert laser.enabled() is True


def test_the_light_goes_off_whatever_stands_in_the_error_register(
    laser: KoheronCTL200, controller: EmulatedCTL200
) -> None:
    laser.enabled(True)
    controller.handle("nonsense")
    laser.safe_state()
    assert laser.enabled() is False


def test_a_light_that_comes_with_an_error_is_switched_off_again() -> None:
    script = [
        MODEL,
        (b"err\r\n", b"err\r\n0\r\n>>"),
        (b"ilaser\r\n", b"ilaser\r\n100\r\n>>"),
        (b"ilmax\r\n", b"ilmax\r\n200\r\n>>"),
        (b"lason 1\r\n", b"lason 1\r\n1\r\n>>"),
        (b"err\r\n", b"err\r\n8\r\n>>"),
        (b"errclr\r\n", b"errclr\r\n\r\n>>"),
        (b"lason 0\r\n", b"lason 0\r\n0\r\n>>"),
    ]
    with expected_wire(script) as link:
        laser = KoheronCTL200("laser", "scripted", link=link)
        with pytest.raises(DeviceReportedError, match="laser too hot"):
            laser.enabled(True)


def test_the_light_is_not_switched_on_after_a_restart(laser: KoheronCTL200, controller: EmulatedCTL200) -> None:
    laser.current(0.1)
    with controller.lock:
        controller.reboot()
    with pytest.raises(DeviceReportedError, match="power-on"):
        laser.enabled(True)
    assert laser.enabled() is False


def test_what_the_controller_refuses_is_told_with_its_name(laser: KoheronCTL200) -> None:
    with pytest.raises(DeviceReportedError, match="invalid argument"):
        laser.proportional_gain(10.0)


def test_a_value_that_was_not_taken_is_told() -> None:
    script = [
        MODEL,
        (b"rtset 9000\r\n", b"rtset 9000\r\n9000\r\n>>"),
        (b"err\r\n", b"err\r\n0\r\n>>"),
        (b"rtset\r\n", b"rtset\r\n10000\r\n>>"),
    ]
    with expected_wire(script) as link:
        laser = KoheronCTL200("laser", "scripted", link=link)
        with pytest.raises(DeviceReportedError, match="rtset was not taken"):
            laser.resistance_setpoint(9000.0)


def test_another_controller_is_refused() -> None:
    with PtyServer(EmulatedCTL200(model="TEC200-0")) as server, pytest.raises(UnsupportedFeatureError, match="TEC200"):
        KoheronCTL200("laser", server.address)


def test_every_parameter_can_be_read(laser: KoheronCTL200) -> None:
    snapshot = laser.snapshot(update=True)["parameters"]
    assert all(parameter["value"] is not None for parameter in snapshot.values())


def test_the_emulated_laser_lights_the_bench() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockLaser("behind", "bench")
    with PtyServer(EmulatedCTL200(behind.enabled)) as server:
        laser = KoheronCTL200("laser", server.address)
        seen = [bench.engine.state.source.enabled]
        laser.enabled(True)
        seen.append(bench.engine.state.source.enabled)
        laser.safe_state()
        seen.append(bench.engine.state.source.enabled)
    assert seen == [False, True, False]
