"""Agiltron FF: four bytes out, four bytes back, and faults."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError, DeviceReportedError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.switches.agiltron_ff import AgiltronFF, encode_get, encode_set, parse_channel
from faintlink.drivers.transport.scripted import expected_wire
from faintlink.instruments.conformance.bench_suites import OpticalSwitchTests
from faintlink.instruments.emulators.agiltron_ff import EmulatedFF
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.knob import Cell
from faintlink.instruments.emulators.kit.servers import PtyServer
from tests.serial_faults import SerialFaultTests

GET_1 = (b"\x01\x11\x00\x00", b"\x01\x11\x00\x01")


@pytest.fixture
def switch() -> Iterator[AgiltronFF]:
    with PtyServer(EmulatedFF(outputs=8)) as server:
        yield AgiltronFF("switch", server.address, outputs=8)


class TestConformance(OpticalSwitchTests):
    @pytest.fixture
    def instrument(self, switch: AgiltronFF) -> object:
        return switch


class TestFaults(SerialFaultTests):
    def emulator(self) -> EmulatedDevice:
        return EmulatedFF()

    def driver(self, address: str) -> DialogueInstrument:
        return AgiltronFF("switch", address)

    def change(self, device: Any) -> None:
        device.position(3)

    def read(self, device: Any) -> float:
        return float(device.position())


def test_the_bytes_are_those_of_the_sources() -> None:
    script = [
        GET_1,
        (b"\x01\x12\x00\x04", b"\x01\x12\x00\x04"),
        (b"\x01\x11\x00\x00", b"\x01\x11\x00\x04"),
    ]
    with expected_wire(script) as link:
        AgiltronFF("switch", "scripted", link=link).position(4)


@given(channel=st.integers(1, 255))
def test_an_echo_gives_back_its_channel(channel: int) -> None:
    assert parse_channel(encode_set(channel), encode_set(channel)) == channel


@given(answer=st.binary(max_size=8))
def test_only_an_answer_to_the_same_request_is_taken(answer: bytes) -> None:
    if len(answer) == 4 and answer.startswith(b"\x01\x11\x00"):
        assert parse_channel(encode_get(), answer) == answer[3]
    else:
        with pytest.raises(ValueError, match="expected 01 11 00"):
            parse_channel(encode_get(), answer)


@pytest.mark.parametrize("answer", [b"\x01\x12\x00\x02", b"\x01\x11\x00\x04"])
def test_another_channel_in_the_echo_is_told(answer: bytes) -> None:
    with expected_wire([GET_1, (b"\x01\x12\x00\x04", answer)]) as link:
        switch = AgiltronFF("switch", "scripted", link=link)
        with pytest.raises(DeviceReportedError, match=r"x12.*x04"):
            switch.position(4)


def test_a_channel_that_is_not_there_is_told() -> None:
    knob = Cell(1)
    with PtyServer(EmulatedFF(knob)) as server:
        switch = AgiltronFF("switch", server.address)
        knob(0)
        with pytest.raises(DeviceReportedError, match="no output from 1 to 4"):
            switch.position.get()


def test_every_output_can_be_reached(switch: AgiltronFF) -> None:
    for output in range(1, 9):
        switch.position(output)
        assert switch.position.get() == output


def test_an_impossible_number_of_outputs_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 to 255"):
        AgiltronFF("switch", "nowhere", outputs=1)
