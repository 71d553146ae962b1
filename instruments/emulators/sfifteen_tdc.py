"""An emulated S-Fifteen TDC1 or TDC2: text commands, and time stamps of any tag stream as binary words.

Sources: as the driver, `faintlink.drivers.timetaggers.sfifteen_tdc`.
"""

import time

import numpy as np
import numpy.typing as npt

from faintlink.core.formats.detection import FormatName
from faintlink.core.formats.sfifteen import LAYOUTS, encode_stamps
from faintlink.core.tags import TagBlock
from faintlink.instruments.emulators.kit.device import EmulatedDevice, Session
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.roles import TagStream

_DUMMY_S = 0.1
_BURST_BYTES = 1 << 22
_BURST_S = 0.05
_COUNTING_READS = 1000
_FORMATS = {"TDC1": FormatName.S15_TDC1, "TDC2": FormatName.S15_A1}


class EmulatedTDC(EmulatedDevice):
    """A TDC1 or TDC2.

    Parameters
    ----------
    source
        Where its tags come from; channels 1 to 4 are its inputs.
    model
        ``TDC1`` or ``TDC2``.
    """

    def __init__(self, source: TagSource, *, model: str = "TDC2") -> None:
        super().__init__()
        self.model = model
        self.format = _FORMATS[model]
        self._source = source
        self._running: TagStream | None = None
        self._power_on()

    def _power_on(self) -> None:
        self.level_v, self.time_ms, self.clock, self.mode = -0.5, 1000, 0, "singles"
        self._stop()

    def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def reboot(self) -> None:
        """Restart: settings of power-on, no stream."""
        super().reboot()
        self._power_on()

    def session(self) -> Session:
        """Return a new connection."""
        return TDCSession(self)

    def obey(self, command: str) -> bytes:
        """Return the answer to one command; unknown ones have none."""
        word, _, value = command.strip().lower().partition(" ")
        answers = {
            "*idn?": f"{self.model} emulated",
            "level?": f"{self.level_v:g} V",
            "time?": str(self.time_ms),
            "refclk?": str(self.clock),
        }
        if word in answers:
            return answers[word].encode("ascii") + b"\r\n"
        if word == "counts?":
            return self._counts()
        if word == "abort":
            self._stop()
        elif word == "*rst":
            self._power_on()
        elif word in ("singles", "pairs", "timestamp"):
            self.mode = word
        else:
            self._set(word, value)
        return b""

    def _set(self, word: str, value: str) -> None:
        if word in ("neg", "pos"):
            self.level_v = float(value)
        elif word == "time":
            self.time_ms = int(value)
        elif word == "refclk":
            self.clock = int(value)

    def _counts(self) -> bytes:
        stream = self._source()
        stream.start()
        if self.mode == "timestamp":
            self._running = stream
            return b""
        counts = np.zeros(5, np.int64)
        first_ps: int | None = None
        for _ in range(_COUNTING_READS):
            block = stream.read(0.01)
            counts += np.bincount(block.channels[block.channels <= 4], minlength=5)
            if len(block):
                first_ps = int(block.times_ps[0]) if first_ps is None else first_ps
                if block.times_ps[-1] - first_ps >= self.time_ms * 10**9:
                    break
        stream.stop()
        return " ".join(str(count) for count in counts[1:]).encode("ascii") + b"\r\n"

    def read(self) -> TagBlock | None:
        """Return the next tags, or None while no stream runs."""
        return self._running.read(0.01) if self._running is not None else None


class TDCSession(Session):
    """One connection, with the encoder of its stream."""

    def __init__(self, device: EmulatedTDC) -> None:
        self._device = device
        self._layout = LAYOUTS[device.format]
        self._buffer = b""
        self._last = 0
        self._spoke_s = time.monotonic()

    def receive(self, data: bytes) -> bytes:
        """Obey each command of a line that is complete."""
        self._buffer += data
        answers = []
        while b"\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\n", 1)
            with self._device.lock:
                answers += [self._device.obey(part) for part in line.decode("latin-1").split(";")]
        return b"".join(answers)

    def pending(self) -> bytes:
        """Return the next words of the stream."""
        parts: list[bytes] = []
        size, deadline = 0, time.monotonic() + _BURST_S
        while size < _BURST_BYTES and time.monotonic() < deadline:
            with self._device.lock:
                block = self._device.read()
            if block is None:
                return b""
            parts.append(self._words(block))
            size += len(parts[-1])
            if not parts[-1]:
                break
        return b"".join(parts)

    def _words(self, block: TagBlock) -> bytes:
        units = (block.times_ps << self._layout.shift) // self._layout.multiplier
        patterns = (np.uint8(1) << (block.channels - 1)).astype(np.uint8)
        if not len(units):
            return self._idle()
        units, patterns, dummies = self._with_dummies(units, patterns)
        self._last, self._spoke_s = int(units[-1]), time.monotonic()
        return encode_stamps(units, patterns, self._device.format, dummies=dummies)

    def _with_dummies(
        self, units: npt.NDArray[np.int64], patterns: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Insert a dummy wherever the counter runs a quarter of its range without an event."""
        quarter = (1 << self._layout.bits) >> 2
        gaps = np.diff(units, prepend=np.int64(self._last) if self._last else units[:1])
        wide = np.flatnonzero(gaps >= quarter)
        extra = [units[at] - gaps[at] + np.arange(quarter, gaps[at], quarter) for at in wide]
        inserted = np.concatenate(extra).astype(np.int64) if extra else np.empty(0, np.int64)
        places = np.repeat(wide, [len(one) for one in extra])
        dummies = np.insert(np.zeros(len(units), np.bool_), places, True)
        return np.insert(units, places, inserted), np.insert(patterns, places, 0), dummies

    def _idle(self) -> bytes:
        """Return a dummy if nothing was said for long: a TDC that is alive is never silent."""
        if time.monotonic() - self._spoke_s < _DUMMY_S:
            return b""
        self._spoke_s = time.monotonic()
        units, pattern = np.array([self._last], np.int64), np.zeros(1, np.uint8)
        return encode_stamps(units, pattern, self._device.format, dummies=np.ones(1, np.bool_))
