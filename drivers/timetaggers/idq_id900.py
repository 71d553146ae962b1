"""ID Quantique ID900 and ID1000 time controllers: SCPI over ZeroMQ, and time stamps through the maker's data link.

Input n is channel n. The controller records in sub-acquisitions of ``sub_acquisition`` seconds with a short dead
time between them; in each, times start anew, and each channel sends one message. Messages of one sub-acquisition are
put together, so that tags come that late. Each dead time is a gap of its own in the stream.

Sources: the maker's example programs (``utils`` and ``synchronized timestamps``) as published by users, for commands,
ports, message layout and dead time; that the data link pushes is an assumption. Not checked against a device.
"""

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.instrument import Instrument, InstrumentChannel
from qcodes.parameters import Parameter
from qcodes.validators import Bool, Enum, Ints, Numbers

from faintlink.core.errors import DeviceReportedError, UnsupportedFeatureError
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.timetaggers.idq_stream import IDQStream
from faintlink.drivers.transport.zmq_link import ZmqPull, ZmqRequest

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

INPUTS = 4
LEAST_SUB_ACQUISITION_S = 0.2


@dataclass(frozen=True, slots=True)
class IDQCapabilities(Capabilities):
    """What a controller can do."""

    inputs: int
    """Number of inputs without the start input."""


class IDQInput(DriverMixin, InstrumentChannel["IDQTimeController"]):
    """One input.

    Parameters
    ----------
    parent, name
        The controller, and the input's name in it.
    number
        As printed on the front.
    """

    def __init__(self, parent: "IDQTimeController", name: str, number: int) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self.number = number
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Enabled",
            get_cmd=lambda: parent.ask_controller(f"INPU{number}:ENAB?").upper() in ("ON", "1"),
            set_cmd=lambda state: parent.tell_controller(f"INPU{number}:ENAB {'ON' if state else 'OFF'}"),
            vals=Bool(),
        )
        """Whether its events are recorded; taken over by streams made afterwards."""
        self.trigger_level: Parameter[float, Self] = self.add_parameter(
            "trigger_level",
            label="Trigger level",
            unit="V",
            get_cmd=lambda: parent.number_from(f"INPU{number}:THRE?"),
            set_cmd=lambda volts: parent.tell_controller(f"INPU{number}:THRE {volts:.4f}V"),
            vals=Numbers(-2.0, 2.0),
        )
        """Voltage that a pulse must pass."""
        self.trigger_edge: Parameter[str, Self] = self.add_parameter(
            "trigger_edge",
            label="Trigger edge",
            get_cmd=lambda: parent.ask_controller(f"INPU{number}:EDGE?").lower(),
            set_cmd=lambda edge: parent.tell_controller(f"INPU{number}:EDGE {edge.upper()}"),
            vals=Enum("rising", "falling"),
        )
        """Which flank counts."""
        self.delay: Parameter[int, Self] = self.add_parameter(
            "delay",
            label="Added delay",
            unit="ps",
            get_cmd=lambda: int(parent.number_from(f"DELA{number}:VALU?")),
            set_cmd=lambda ps: parent.tell_controller(f"DELA{number}:VALU {ps}"),
            vals=Ints(0, 10**9),
        )
        """Added to its time stamps."""

    def safe_state(self) -> None:
        """Do nothing: an input is safe by itself."""


class IDQTimeController(DriverMixin, Instrument):
    """An ID900 or ID1000.

    Parameters
    ----------
    name
        Instrument name.
    address
        Such as ``tcp://10.0.0.5:5555``.
    data_link
        Address of the maker's DataLinkTarget service, which must run.
    stream_port
        Channel n is streamed on this port + n of the data link's computer.

    Raises
    ------
    ConnectionLostError
        The controller does not answer.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    silence_s: ClassVar[float] = 2.0
    """Longest silence of a stream beyond some sub-acquisitions."""
    timeout_s: ClassVar[float] = 2.0

    def __init__(
        self,
        name: str,
        address: str,
        *,
        data_link: str = "tcp://localhost:6060",
        stream_port: int = 4241,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.address = address
        self._stream_port = stream_port
        self._stream: IDQStream | None = None
        self._streams: dict[int, str] = {}
        self._data_link_address = data_link
        try:
            self._link = ZmqRequest(address, timeout_s=self.timeout_s)
            self._data_link = ZmqRequest(data_link, timeout_s=self.timeout_s)
            self._idn = self._identified()
        except BaseException:
            self.close()
            raise
        self._add_parameters()

    def _identified(self) -> list[str]:
        answer = self.ask_controller("*IDN?")
        words = [word.strip() for word in answer.split(",")]
        if len(words) < 2 or not any(model in answer for model in ("ID900", "ID1000")):
            raise UnsupportedFeatureError(
                f"{self.name} at {self.address} answers *IDN? with {answer!r}, expected an ID900 or ID1000",
                hint="check the address in the station file; this driver is for another device",
                seen=answer,
            )
        self.capabilities: IDQCapabilities = IDQCapabilities(words[1], INPUTS)
        return words

    def _add_parameters(self) -> None:
        self.resolution: Parameter[float, Self] = self.add_parameter(
            "resolution", label="Resolution", unit="s", get_cmd=lambda: 1e-12, set_cmd=False
        )
        """Unit of its time stamps; its jitter is some ps."""
        self.high_resolution: Parameter[bool, Self] = self.add_parameter(
            "high_resolution",
            label="High resolution",
            get_cmd=lambda: self.ask_controller("DEVI:RES?").upper() == "HIRES",
            set_cmd=lambda is_high: self.tell_controller(f"DEVI:RES {'HIRES' if is_high else 'HISPEED'}"),
            vals=Bool(),
        )
        """High resolution in place of high speed."""
        self.sub_acquisition: Parameter[float, Self] = self.add_parameter(
            "sub_acquisition",
            label="Sub-acquisition",
            unit="s",
            get_cmd=None,
            set_cmd=None,
            initial_value=0.5,
            vals=Numbers(LEAST_SUB_ACQUISITION_S, 10.0),
        )
        """Length of a sub-acquisition and so the delay of tags; taken over by streams made afterwards."""
        for number in range(1, INPUTS + 1):
            self.add_submodule(f"ch{number}", IDQInput(self, f"ch{number}", number))

    def ask_controller(self, command: str) -> str:
        """Return the controller's answer.

        Raises
        ------
        ConnectionLostError
            None came in time.
        DeviceReportedError
            The answer is an error.
        """
        with self.lock:
            answer = self._link.ask(command)
        if "error" in answer.lower() or "invalid" in answer.lower():
            raise self._reported("reports an error", command, answer)
        return answer

    def tell_controller(self, command: str) -> None:
        """Send a setting."""
        self.ask_controller(command)

    def number_from(self, query: str) -> float:
        """Return the controller's answer as a number, its unit stripped."""
        answer = self.ask_controller(query)
        try:
            return float(answer.rstrip("VTBps "))
        except ValueError:
            raise self._reported("the answer is no number", query, answer) from None

    def _reported(self, what: str, sent: str, seen: str) -> DeviceReportedError:
        return DeviceReportedError(
            f"{self.full_name}: {what}; sent {sent!r}, seen {seen!r}",
            hint="see the controller's SCPI reference; the setting may not have been taken",
            device=self.full_name,
            sent=sent,
            seen=seen,
        )

    def _ask_data_link(self, command: str) -> Any:
        answer = self._data_link.ask(command)
        try:
            document = json.loads(answer) if answer else {}
        except ValueError:
            raise self._reported("the data link's answer is no JSON", command, answer) from None
        if isinstance(document, dict) and "error" in document:
            raise self._reported("the data link reports an error", command, answer)
        return document

    def begin_stream(self, length_ps: int, period_ps: int) -> dict[int, ZmqPull]:
        """Start data link and recording; return where each channel's messages come. `IDQStream` calls it."""
        channels = [n for n in range(1, INPUTS + 1) if self.submodules[f"ch{n}"].enabled()]
        self.tell_controller("REC:TRIG:ARM:MODE MANUal")
        self.tell_controller("REC:ENAB ON")
        self.tell_controller("REC:STOP")
        self.tell_controller("REC:NUM INF")
        self.tell_controller(f"REC:PWID {length_ps};PPER {period_ps}")
        host = self.address.removeprefix("tcp://").rpartition(":")[0]
        receiver = self._data_link_address.rpartition(":")[0]
        pulls = {}
        for channel in channels:
            port = self._stream_port + channel
            self.tell_controller(f"RAW{channel}:STOP:LINK TSCO{channel};:RAW{channel}:REF:LINK NONE")
            self.tell_controller(f"RAW{channel}:ERRORS:CLEAR")
            started = self._ask_data_link(f"start-stream --address {host} --channel {channel} --stream-port {port}")
            self._streams[channel] = str(started.get("id", ""))
            pulls[channel] = ZmqPull(f"{receiver}:{port}")
            self.tell_controller(f"RAW{channel}:SEND ON")
        self.tell_controller("REC:PLAY")
        return pulls

    def lost_since_last_asked(self) -> int:
        """Return how many time stamps the controller lost since it was asked last; `IDQStream` calls it."""
        lost = 0
        for channel in self._streams:
            count = int(self.number_from(f"RAW{channel}:ERRORS?"))
            if count:
                lost += count
                self.tell_controller(f"RAW{channel}:ERRORS:CLEAR")
        return lost

    def end_recording(self) -> None:
        """Record no more; `IDQStream` calls it."""
        self.tell_controller("REC:STOP")

    def end_stream(self) -> None:
        """Stop the data link; `IDQStream` calls it."""
        streams, self._streams = self._streams, {}
        for channel, stream in streams.items():
            self.tell_controller(f"RAW{channel}:SEND OFF")
            self._ask_data_link(f"stop --id {stream}")

    def stream(self) -> IDQStream:
        """Return a stream of tags that is not yet started."""
        self._stream = IDQStream(self, sub_acquisition_s=self.sub_acquisition(), silence_s=self.silence_s)
        return self._stream

    def get_idn(self) -> dict[str, str | None]:
        """Return what the controller said it is."""
        serial, firmware = [*self._idn[2:], None, None][:2]
        return {"vendor": self._idn[0], "model": self._idn[1], "serial": serial, "firmware": firmware}

    def safe_state(self) -> None:
        """Stop the stream."""
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        """Close the links and forget the instrument."""
        for link in (getattr(self, "_link", None), getattr(self, "_data_link", None)):
            if link is not None:
                link.close()
        super().close()
