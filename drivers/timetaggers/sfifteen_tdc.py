"""S-Fifteen TDC1 and TDC2 time taggers: text commands on a serial port, time stamps as a binary stream on the same.

Detector input n is channel n. While a stream runs the port carries time stamps only, so that nothing else can be
asked. The TDC1 does not report overflows: bytes that are lost on the way show as a gap only where words are torn.

Sources: command set of the TDC1 and the word layouts as used by the maker's own Python library (pyS15,
``usb_counter_fpga``) and ``readevents``; not checked against a device. That a TDC2 takes the same commands and
answers with the two-word stamps of ``readevents`` is an assumption.
"""

import re
import time
from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Enum, Ints, Numbers

from faintlink.core.errors import LocalProtocolError
from faintlink.core.formats.detection import FormatName
from faintlink.core.formats.sfifteen import LAYOUTS, StampLayout
from faintlink.core.tags import TagBlock, concatenate
from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.timetaggers.sfifteen_stamps import StampStream
from faintlink.drivers.timetaggers.stream import DeviceStream, Silence
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

_END = b"\r\n"
_BATCH_BYTES = 1 << 19
_BATCH_S = 0.01
_GATHER_S = 0.0003
_DRAIN_S = 2.0
_QUIET_S = 0.05
CLOCKS = {"auto": 0, "external": 1, "internal": 2}
"""Codes of ``REFCLK``."""


def threshold_command(threshold_v: float) -> str:
    """Return the command for an input threshold: its sign chooses the edge."""
    return f"{'NEG' if threshold_v < 0 else 'POS'} {threshold_v:g}"


class SFifteenStream(DeviceStream):
    """The stream of a TDC.

    Raises
    ------
    ConnectionLostError
        On reading: the cable was pulled, or nothing came for ``silence_s``, although dummy words always must.
    """

    def __init__(self, tagger: "SFifteenTDC") -> None:
        super().__init__()
        self._tagger = tagger
        self._stamps = StampStream(tagger.layout, self.tags)
        self._silence = Silence(tagger.silence_s)

    def _begin(self) -> None:
        self._tagger.begin_stream()
        self._silence.broken()

    def _collect(self, timeout_s: float) -> TagBlock:
        data = self._batch(timeout_s)
        if data:
            self._silence.broken()
            return self._stamps.feed(data)
        self._silence.require_short(
            self._tagger.full_name, "the device restarted or hangs: its settings may be those of power-on"
        )
        return self._stamps.flush()

    def _batch(self, timeout_s: float) -> bytes:
        link = self._tagger.link
        parts = [link.read_some(timeout_s)]
        size, deadline = len(parts[0]), time.monotonic() + _BATCH_S
        while size and size < _BATCH_BYTES and time.monotonic() < deadline:
            part = link.read_some(0.0)
            if not part:
                # Sleeping lets the port's buffer fill: waking for each few bytes would cost more than reading them.
                time.sleep(_GATHER_S)
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def _end(self) -> TagBlock:
        blocks = []
        deadline = time.monotonic() + _DRAIN_S
        self._tagger.end_stream()
        while (data := self._tagger.link.read_some(_QUIET_S)) and time.monotonic() < deadline:
            blocks.append(self._stamps.feed(data))
        blocks += [self._stamps.flush(), self.tags.finish()]
        return concatenate(blocks)


class SFifteenTDC(DialogueInstrument):
    """What TDC1 and TDC2 share; use one of them.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    default_baud: ClassVar[int] = 115200
    identity: ClassVar[str] = ""
    silence_s: ClassVar[float] = 2.0
    """Longest time without a word, dummies included, after which a stream counts as dead."""
    layout: StampLayout
    _stream: "SFifteenStream | None" = None

    def _identify(self) -> None:
        # A stream that an earlier program left running would answer in its place.
        self.link.write(b"abort" + _END)
        while self.link.read_some(_QUIET_S):
            pass
        self.idn_text = self._ask("*idn?")
        self._refuse_unless(re.escape(self.identity), asked="*idn?", answer=self.idn_text)
        self.capabilities = Capabilities(self.identity)
        self.marker = Marker.of(b"*idn?" + _END, re.escape(self.idn_text.encode("latin-1")))

    def _add_parameters(self) -> None:
        self.threshold: Parameter[float, Self] = self.add_parameter(
            "threshold",
            label="Input threshold",
            unit="V",
            get_cmd=lambda: self._number("level?"),
            set_cmd=lambda volts: self._tell(threshold_command(volts), "level?", volts),
            vals=Numbers(-3.0, 3.0),
        )
        """Voltage that a pulse must pass, on all inputs; negative for falling pulses."""
        self.counting_time: Parameter[int, Self] = self.add_parameter(
            "counting_time",
            label="Counting time",
            unit="ms",
            get_cmd=lambda: int(self._number("time?")),
            set_cmd=lambda ms: self._tell(f"time {ms}", "time?", ms),
            vals=Ints(1, 65535),
        )
        """How long ``count_rates`` counts."""
        self.reference_clock: Parameter[str, Self] = self.add_parameter(
            "reference_clock",
            label="Reference clock",
            get_cmd=lambda: {code: name for name, code in CLOCKS.items()}[int(self._number("refclk?"))],
            set_cmd=lambda name: self._tell(f"refclk {CLOCKS[name]}", "refclk?", CLOCKS[name]),
            vals=Enum(*CLOCKS),
        )
        """``external`` for 10 MHz at the clock input."""
        self.count_rates: Parameter[tuple[float, ...], Self] = self.add_parameter(
            "count_rates", label="Count rates", unit="Hz", get_cmd=self._count, set_cmd=False, snapshot_get=False
        )
        """Events per second at each input, counted over ``counting_time``."""
        self.resolution: Parameter[float, Self] = self.add_parameter(
            "resolution", label="Resolution", unit="s", get_cmd=lambda: self.layout.resolution_ps * 1e-12, set_cmd=False
        )
        """Unit of its counter."""

    def _require_idle(self) -> None:
        if self._stream is not None and self._stream.is_running:
            raise LocalProtocolError(
                f"{self.full_name} is streaming and cannot be asked anything", hint="stop its stream first"
            )

    def _ask(self, command: str, *, timeout_s: float | None = None) -> str:
        request = command.encode("ascii") + _END
        answer = self.exchange(request, lambda: self.link.read_until(_END, timeout_s=timeout_s)).strip()
        try:
            return answer.decode("ascii")
        except UnicodeDecodeError as error:
            raise self.garbled("the answer is no text", sent=command, seen=answer) from error

    def _number(self, query: str, *, timeout_s: float | None = None) -> float:
        self._require_idle()
        answer = self._ask(query, timeout_s=timeout_s)
        found = re.match(r"\s*([-+]?\d+(?:\.\d*)?)", answer)
        if found is None:
            raise self.reported("the answer is no number", sent=query, seen=answer)
        return float(found.group(1))

    def _tell(self, command: str, query: str, expected: float) -> None:
        """Set and read back: the device does not answer a setting."""
        self._require_idle()
        with self.lock:
            self.link.write(command.encode("ascii") + _END)
            seen = self._number(query)
        if abs(seen - expected) > 0.02:
            raise self.reported("the setting was not taken", sent=command, seen=str(seen))

    def _count(self) -> tuple[float, ...]:
        self._require_idle()
        ms = self.counting_time()
        answer = self._ask("singles;counts?", timeout_s=ms * 1e-3 + self.default_timeout_s)
        try:
            return tuple(int(word) * 1e3 / ms for word in answer.split()[:4])
        except ValueError:
            raise self.reported("the answer is no counts", sent="singles;counts?", seen=answer) from None

    def begin_stream(self) -> None:
        """Make the device send time stamps without end; `SFifteenStream` calls it."""
        self._require_idle()
        level = self.threshold()
        with self.lock:
            self.link.drain()
            self.link.write(f"INPKT;{threshold_command(level)};time 0;timestamp;counts?".encode("ascii") + _END)

    def end_stream(self) -> None:
        """Make the device stop sending; `SFifteenStream` calls it."""
        with self.lock:
            self.link.write(b"abort" + _END)

    def stream(self) -> SFifteenStream:
        """Return a stream of tags that is not yet started."""
        self._require_idle()
        self._stream = SFifteenStream(self)
        return self._stream

    def get_idn(self) -> dict[str, str | None]:
        """Return what the device said it is."""
        return {"vendor": "S-Fifteen Instruments", "model": self.identity, "serial": self.idn_text, "firmware": None}

    def safe_state(self) -> None:
        """Stop the stream."""
        if self._stream is not None:
            self._stream.stop()


class SFifteenTDC1(SFifteenTDC):
    """The TDC1: four inputs, 2 ns."""

    identity = "TDC1"
    verified_on_hardware: ClassVar[str | None] = None
    layout = LAYOUTS[FormatName.S15_TDC1]


class SFifteenTDC2(SFifteenTDC):
    """The TDC2: four inputs, 1/256 ns.

    Parameters
    ----------
    high_word_first
        Order of a stamp's two words; see option ``-X`` of ``readevents``.
    """

    identity = "TDC2"
    verified_on_hardware: ClassVar[str | None] = None
    layout = LAYOUTS[FormatName.S15_A1]

    def __init__(
        self,
        name: str,
        address: str,
        *,
        link: ByteLink | None = None,
        high_word_first: bool = False,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        self.layout = LAYOUTS[FormatName.S15_A1_LEGACY if high_word_first else FormatName.S15_A1]
        super().__init__(name, address, link=link, **kwargs)
