"""An emulated WebSQ server: labels as JSON on one port, lines of counts on another.

Serve the box itself for the control port and its ``counts`` for the counts port. Sources: as the driver,
`faintlink.drivers.detectors.singlequantum_websq`.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from faintlink.instruments.emulators.kit.device import EmulatedDevice, Session
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_END = b"\x17"
_GREATEST_UA = 100.0
_UNITS = {"BiasCurrent": "uA", "TriggerLevel": "mV", "InptMeasurementPeriod": "ms"}


class _ControlSession(Session):
    def __init__(self, box: "EmulatedWebSQ") -> None:
        self._box = box
        self._buffer = ""

    def receive(self, data: bytes) -> bytes:
        """Answer each object that is complete."""
        self._buffer += data.decode()
        answers = []
        while self._buffer:
            try:
                message, end = json.JSONDecoder().raw_decode(self._buffer)
            except json.JSONDecodeError:
                break
            self._buffer = self._buffer[end:]
            with self._box.lock:
                answers.append(self._box.handle(message))
        return b"".join(answers)


class _CountsSession(Session):
    def __init__(self, box: "EmulatedWebSQ") -> None:
        self._box = box
        self._next_s = time.monotonic() + box.period_s

    def receive(self, data: bytes) -> bytes:
        """Say nothing: this port only talks."""
        del data
        return b""

    def pending(self) -> bytes:
        """Return a line of counts once a period is over."""
        if time.monotonic() < self._next_s:
            return b""
        with self._box.lock:
            self._next_s += self._box.period_s
            return self._box.line()


class _Counts(EmulatedDevice):
    def __init__(self, box: "EmulatedWebSQ") -> None:
        super().__init__()
        self._box = box

    def session(self) -> Session:
        """Return a new stream."""
        return _CountsSession(self._box)


class EmulatedWebSQ(EmulatedDevice):
    """A set of detectors and its server.

    Parameters
    ----------
    count_rates
        Knobs of each detector's clicks per second; only read.
    enabled
        Knobs of each detector's bias; those left out only remember.
    """

    def __init__(self, count_rates: Sequence[Knob], *, enabled: Sequence[Knob] = ()) -> None:
        super().__init__()
        self._rates = list(count_rates)
        self._enabled = [*enabled, *(Cell(False) for _ in self._rates[len(enabled) :])]
        self.counts = _Counts(self)
        """What to serve on the counts port."""
        self.error = ""
        """Error that the server reports with its next answer."""
        self._power_on()

    def _power_on(self) -> None:
        count = len(self._rates)
        self.labels: dict[str, Any] = {
            "BiasCurrent": [0.0] * count,
            "BiasVoltage": [0.0] * count,
            "DetectorEnable": False,
            "InptMeasurementPeriod": 20,
            "NumberOfDetectors": count,
            "StartAutoIV": False,
            "TriggerLevel": [100.0] * count,
        }
        self._apply()

    def reboot(self) -> None:
        """Restart without bias."""
        super().reboot()
        self._power_on()

    def session(self) -> Session:
        """Return a new control connection."""
        return _ControlSession(self)

    @property
    def period_s(self) -> float:
        """Measurement period."""
        return float(self.labels["InptMeasurementPeriod"]) * 1e-3

    def _apply(self) -> None:
        for knob, current_ua in zip(self._enabled, self.labels["BiasCurrent"], strict=True):
            knob(bool(self.labels["DetectorEnable"] and current_ua))

    def handle(self, message: dict[str, Any]) -> bytes:
        """Return the answer to a message: all labels, or the one that was set."""
        error, self.error = self.error, ""
        answer = _message("Error", error) if error else b""
        if message.get("request") == "labelProps":
            # Two objects in one message, as the server may do.
            first, second, *rest = [_object(name, self._described(name)) for name in self.labels]
            return answer + (first + second).encode() + _END + b"".join(text.encode() + _END for text in rest)
        label, value = str(message.get("label")), message.get("value")
        if "command" not in message or label not in self.labels:
            return answer + _message("Error", "unknown command")
        if label == "BiasCurrent" and any(not 0.0 <= entry <= _GREATEST_UA for entry in value or []):
            return answer + _message("BiasCurrent", self.labels["BiasCurrent"])
        self.labels[label] = value
        self._apply()
        return answer + _message(label, value)

    def _described(self, name: str) -> dict[str, Any]:
        return {"value": self.labels[name], "unit": _UNITS.get(name, "")}

    def line(self) -> bytes:
        """Return a line of counts of the last period."""
        rates = [rate() if knob() else 0.0 for rate, knob in zip(self._rates, self._enabled, strict=True)]
        counts = ",".join(str(round(rate * self.period_s)) for rate in rates)
        return f"{time.time():.3f},{counts}\n".encode()


def _object(label: str, value: Any) -> str:
    return json.dumps({"label": label, "value": value})


def _message(label: str, value: Any) -> bytes:
    return _object(label, value).encode() + _END
