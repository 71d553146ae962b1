"""One request at a time: threads, silence after a lost answer, and settings that are compared."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from faintlink.core.errors import ConnectionLostError, DeviceReportedError
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.link import ByteLink
from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.servers import PtyServer


class _Parrot(LineDevice):
    def handle(self, line: str) -> bytes:
        return line.encode() + b"\n"


class _Babbler(ByteLink):
    """A link that never falls silent and never ends a line."""

    def _send(self, data: bytes) -> None:
        pass

    def _receive(self, timeout_s: float) -> bytes:
        return b"x" if timeout_s > 0.0 else b""

    def close(self) -> None:
        pass


class _Plain(DialogueInstrument):
    def ask_line(self, text: str) -> str:
        answer = self.exchange(text.encode() + b"\n", lambda: self.link.read_until(b"\n", limit=10))
        return answer.decode().strip()

    def safe_state(self) -> None:
        pass


def test_threads_get_their_own_answers() -> None:
    with PtyServer(_Parrot()) as server:
        device = _Plain("parrot", server.address)
        with ThreadPoolExecutor(4) as pool:
            words = [str(number) for number in range(200)]
            assert list(pool.map(device.ask_line, words)) == words


def test_a_device_that_never_falls_silent_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Plain, "patience_s", 0.05)
    device = _Plain("babbler", "scripted", link=_Babbler("babbler", timeout_s=0.05))
    with pytest.raises(ConnectionLostError, match="more than 10 bytes"):
        device.ask_line("hello")
    with pytest.raises(ConnectionLostError, match="fall silent"):
        device.ask_line("hello")


def test_a_setting_that_changed_is_told_once() -> None:
    held = {"volts": 1.0}
    device = _Plain("plain", "scripted", link=_Babbler("babbler"))
    device.remember("volts", 1.0, lambda: held["volts"])
    device.check_settings()
    held["volts"] = 0.0
    with pytest.raises(DeviceReportedError, match="volts is no longer"):
        device.check_settings()
    device.check_settings()


def test_a_setting_within_its_tolerance_is_confirmed() -> None:
    device = _Plain("plain", "scripted", link=_Babbler("babbler"))
    device.confirm("volts", 1.0, lambda: 1.09, tolerance=0.1)
    with pytest.raises(DeviceReportedError, match=r"not taken.*1\.2"):
        device.confirm("volts", 1.0, lambda: 1.2, tolerance=0.1)
