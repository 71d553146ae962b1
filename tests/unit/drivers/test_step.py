"""After lost and late answers no question may get another's answer: long quarrels over sockets and serial ports."""

import itertools
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvisa
from pyvisa.constants import InterfaceType, StatusCode

from faintlink.core.errors import ConnectionLostError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.scpi import ScpiInstrument
from faintlink.drivers.transport.step import Marker, Step
from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.faults import Fault, Faults
from faintlink.instruments.emulators.kit.scpi import ScpiDevice
from faintlink.instruments.emulators.kit.servers import PtyServer, TcpServer

DELAY_S = 0.4
IDN = "Acme,Echo,1,2.0"


class _EchoBox(ScpiDevice):
    """Answers ``VALue? n`` with n, and refuses ``BAD``."""

    def __init__(self) -> None:
        super().__init__(IDN)
        self.on("VALue?", lambda number: number)


class _Echo(ScpiInstrument):
    identity = "Echo"
    default_timeout = 0.15
    quiet_s = 0.03
    patience_s = 1.5
    late_s = 0.8

    def number(self, number: int) -> str:
        return self.ask(f"VAL? {number}").strip()

    def safe_state(self) -> None:
        pass


class _PlainBox(LineDevice):
    def handle(self, line: str) -> bytes:
        return b"box\n" if line == "who" else line.encode() + b"\n"


class _Plain(DialogueInstrument):
    default_timeout_s = 0.15
    quiet_s = 0.03
    patience_s = 1.5
    late_s = 0.8
    marker = Marker.of(b"who\n", rb"box\n")

    def number(self, number: int) -> str:
        text = self.exchange(f"{number}\n".encode(), lambda: self.link.read_until(b"\n"))
        return text.decode("latin-1").strip()

    def safe_state(self) -> None:
        pass


@pytest.fixture(params=["tcp-scpi", "pty-scpi", "tcp-plain", "pty-plain"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Faults]]:
    transport, kind = request.param.split("-")
    device = _EchoBox() if kind == "scpi" else _PlainBox()
    server: Any = (TcpServer if transport == "tcp" else PtyServer)(device, faults=Faults(delay_s=DELAY_S))
    with server:
        opened: Any = _Echo("box", server.visa_address) if kind == "scpi" else _Plain("box", server.address)
        yield opened, server.faults


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_no_answer_is_ever_that_of_another_question(pair: tuple[Any, Faults], seed: int) -> None:
    driver, faults = pair
    rng = np.random.default_rng(seed)
    kinds = [Fault.SLOW, Fault.SLOW, Fault.SLOW, Fault.SILENT, Fault.HALF]
    answered = 0
    for number in range(1000, 1010):
        if rng.random() < 0.4:
            for _ in range(int(rng.integers(1, 3))):
                faults.inject(kinds[int(rng.integers(len(kinds)))])
        if rng.random() < 0.3:
            time.sleep(float(rng.uniform(0.0, 1.5 * DELAY_S)))
        try:
            seen = driver.number(number)
        except ConnectionLostError:
            continue
        assert seen == str(number)
        answered += 1
    assert answered >= 1
    while faults.next() is not None:
        pass
    for _ in range(3):
        try:
            assert driver.number(7777) == "7777"
            return
        except ConnectionLostError:
            continue
    pytest.fail("it does not fall into step again although nothing goes wrong any more")


def test_a_late_answer_to_the_marker_itself_is_not_taken_either(pair: tuple[Any, Faults]) -> None:
    driver, faults = pair
    faults.inject(Fault.SLOW, 2)
    with pytest.raises(ConnectionLostError):
        driver.ask("*IDN?") if isinstance(driver, _Echo) else driver.number(1)
    for number in range(3):
        assert driver.number(number) == str(number)


def test_an_interrupted_question_leaves_nothing_for_the_next_one(
    pair: tuple[Any, Faults], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, _ = pair

    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    target = driver.visa_handle if isinstance(driver, _Echo) else driver.link
    name = "read" if isinstance(driver, _Echo) else "read_until"
    with monkeypatch.context() as patch:
        patch.setattr(target, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            driver.number(1)
    assert driver.number(2) == "2"


def test_an_error_from_before_a_lost_answer_is_not_blamed_on_the_next_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with TcpServer(_EchoBox()) as server:
        driver = _Echo("box", server.visa_address)
        server.faults.inject(Fault.SILENT)
        with pytest.raises(ConnectionLostError):
            driver.write("BAD 1;BAD 2")
        driver.write("*CLS")
        assert driver.number(5) == "5"
    assert "-113" in caplog.text


def test_a_device_that_is_gone_raises_each_time_and_in_time() -> None:
    server = TcpServer(_EchoBox())
    driver = _Echo("box", server.visa_address)
    server.close()
    for _ in range(3):
        since_s = time.monotonic()
        with pytest.raises(ConnectionLostError):
            driver.number(1)
        assert time.monotonic() - since_s < 5.0


class _Bus:
    """A bus with a device clear, such as GPIB: late answers stay in the device's buffer until it is cleared."""

    resource_name, resource_class, interface_type = "GPIB0::5::INSTR", "INSTR", InterfaceType.gpib
    write_termination = read_termination = "\n"
    timeout: float = 100.0
    session = None
    visalib = SimpleNamespace(resource_manager=None, library_path="bus")

    def __init__(self) -> None:
        self.output: list[str] = []
        self.clears = 0
        self.loses_next = False

    def write(self, command: str) -> int:
        answers = {"*IDN?": IDN, "SYST:ERR?": '0,"No error"'}
        self.output.append(answers.get(command, command.rpartition(" ")[2]))
        return len(command)

    def write_raw(self, data: bytes) -> int:
        return self.write(data.decode().strip())

    def read_raw(self) -> bytes:
        assert self.output, "read before it was asked"
        return (self.output.pop(0) + "\n").encode()

    def query(self, command: str) -> str:
        self.write(command)
        if self.loses_next:
            self.loses_next = False
            raise pyvisa.errors.VisaIOError(StatusCode.error_timeout)
        return self.read_raw().decode()

    def clear(self) -> None:
        self.clears += 1
        self.output.clear()

    def close(self) -> None:
        pass


def test_a_bus_with_device_clear_is_cleared_and_not_read_before() -> None:
    bus: Any = _Bus()
    driver = _Echo("box", resource=bus)
    bus.loses_next = True
    with pytest.raises(ConnectionLostError):
        driver.number(1)
    assert driver.number(2) == "2"
    assert (bus.clears, bus.timeout) == (1, 150.0)


def test_without_a_marker_silence_alone_must_tell() -> None:
    step = Step("box", quiet_s=0.01, patience_s=0.1, late_s=0.02)
    step.lose()
    pieces = itertools.chain([b"late"], itertools.repeat(b""))
    step.regain(lambda _: pytest.fail("nothing is to be sent"), lambda _: next(pieces), None)
    assert not step.is_lost


def test_a_marker_that_is_not_answered_leaves_it_out_of_step() -> None:
    step = Step("box", quiet_s=0.01, patience_s=0.05, late_s=0.02)
    step.lose()
    marker = Marker.of(b"who\n", rb"box\n")
    with pytest.raises(ConnectionLostError, match="does not answer"):
        step.regain(lambda _: None, lambda _: b"", marker)
    assert step.is_lost
    # Two answers are owed now; the first of them alone is not yet that of the second marker.
    come = [b"", b"box\n", b"stale\n", b"box\n", b"next\n"]
    step.regain(lambda _: None, lambda _: come.pop(0), marker)
    assert come == [b"next\n"]
