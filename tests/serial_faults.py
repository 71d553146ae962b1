"""What every driver of a plain serial device must survive, to be subclassed beside the tests of each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from faintlink.core.errors import ConnectionLostError, DeviceReportedError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.faults import Fault, Faults
from faintlink.instruments.emulators.kit.servers import PtyServer

TIMEOUT_S = 0.2
LATE_S = 0.3


class SerialFaultTests:
    """Faults on a pseudo-terminal; the subclass says what answers, who asks, and what must be read."""

    def emulator(self) -> EmulatedDevice:
        raise NotImplementedError

    def driver(self, address: str) -> DialogueInstrument:
        raise NotImplementedError

    def change(self, device: Any) -> None:
        raise NotImplementedError

    def read(self, device: Any) -> float:
        raise NotImplementedError

    @pytest.fixture
    def server(self) -> Iterator[PtyServer]:
        with PtyServer(self.emulator(), faults=Faults(delay_s=LATE_S)) as server:
            yield server

    @pytest.fixture
    def device(self, server: PtyServer) -> DialogueInstrument:
        device = self.driver(server.address)
        device.link.timeout_s = TIMEOUT_S
        return device

    @pytest.mark.parametrize("fault", [Fault.SILENT, Fault.HALF, Fault.GARBAGE, Fault.SLOW])
    def test_after_a_spoilt_answer_the_next_one_is_right(
        self, server: PtyServer, device: DialogueInstrument, fault: Fault
    ) -> None:
        self.change(device)
        before = self.read(device)
        server.faults.inject(fault)
        with pytest.raises((ConnectionLostError, DeviceReportedError), match="sent"):
            self.read(device)
        assert self.read(device) == before

    def test_a_pulled_cable_raises_each_time(self, server: PtyServer, device: DialogueInstrument) -> None:
        server.faults.inject(Fault.CUT)
        for _ in range(2):
            with pytest.raises(ConnectionLostError):
                self.read(device)

    def test_a_restart_is_told_once_and_then_the_new_value_is_read(
        self, server: PtyServer, device: DialogueInstrument
    ) -> None:
        self.change(device)
        before = self.read(device)
        server.faults.inject(Fault.REBOOT)
        with pytest.raises(ConnectionLostError):
            self.read(device)
        with pytest.raises(DeviceReportedError, match="power-on"):
            self.read(device)
        assert self.read(device) != before

    def test_a_restart_does_not_keep_it_from_being_made_safe(
        self, server: PtyServer, device: DialogueInstrument
    ) -> None:
        self.change(device)
        server.faults.inject(Fault.REBOOT)
        with pytest.raises(ConnectionLostError):
            self.read(device)
        device.safe_state()


def refuses_twice(action: Callable[[], object], error: type[Exception]) -> None:
    """Assert that an action is refused both times it is tried: the first refusal must leave nothing behind."""
    for _ in range(2):
        with pytest.raises(error):
            action()
