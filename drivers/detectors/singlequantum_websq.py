"""Single Quantum superconducting nanowire detectors, through their WebSQ server.

Each detector is a channel ``ch1`` … with the role SinglePhotonDetector. The server keeps bias currents (µA) and
trigger levels (mV) of all detectors in one list; the driver changes one entry under its lock and reads the list back.
Efficiency and dead time are not known to the server and come from a calibration. After a lost answer the connection
is made anew, so that a late one meets nobody.

Sources: as `faintlink.drivers.detectors.singlequantum_websq_codec`. Unverified on a device.
"""

import contextlib
import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.instrument import ChannelTuple, InstrumentChannel
from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, FormatError, InterlockError
from faintlink.drivers.base import Capabilities, DriverMixin, LinkInstrument
from faintlink.drivers.detectors.singlequantum_websq_codec import (
    END,
    CountRecord,
    encode,
    label_value,
    parse_counts,
    parse_message,
)
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.tcp_link import TcpLink

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

GREATEST_CURRENT_A = 100e-6
_MICRO = 1e-6
_MILLI = 1e-3
_QUIET_S = 0.02
_LONGEST_MESSAGE = 1 << 22


class WebSQChannel(DriverMixin, InstrumentChannel["SingleQuantumWebSQ"]):
    """One detector.

    Parameters
    ----------
    parent, name
        The server, and the channel's name in it.
    number
        1, 2, … as printed on the driver.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(self, parent: "SingleQuantumWebSQ", name: str, number: int) -> None:
        super().__init__(parent, name)
        self.lock = parent.lock
        self.capabilities = parent.capabilities
        self._number = number
        self.bias_current: Parameter[float, Self] = self.add_parameter(
            "bias_current",
            label="Bias current",
            unit="A",
            get_cmd=lambda: self._entry("BiasCurrent") * _MICRO,
            set_cmd=lambda amperes: parent.set_entry("SetAllBiasCurrents", "BiasCurrent", number, amperes / _MICRO),
            vals=Numbers(0.0, GREATEST_CURRENT_A),
        )
        """Current through the nanowire."""
        self.operating_current: Parameter[float, Self] = self._from_calibration(
            "operating_current", "Operating current", "A", GREATEST_CURRENT_A
        )
        """Current that ``enabled(True)`` applies."""
        self.trigger_level: Parameter[float, Self] = self.add_parameter(
            "trigger_level",
            label="Trigger level",
            unit="V",
            get_cmd=lambda: self._entry("TriggerLevel") * _MILLI,
            set_cmd=lambda volts: parent.set_entry("SetAllTriggerLevels", "TriggerLevel", number, volts / _MILLI),
            vals=Numbers(-2.0, 2.0),
        )
        """Pulse height from which the counter counts."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled", label="Bias", get_cmd=self._is_enabled, set_cmd=self._set_enabled, vals=Bool()
        )
        """Whether current flows through this nanowire; turning it on also turns on the common switch."""
        self.count_rate: Parameter[float, Self] = self.add_parameter(
            "count_rate", label="Count rate", unit="Hz", get_cmd=lambda: parent.count_rates()[number - 1], set_cmd=False
        )
        """Clicks per second in a measurement period that ends after the question."""
        self.efficiency: Parameter[float, Self] = self._from_calibration("efficiency", "Detection efficiency", "", 1.0)
        """From a calibration; 0 until somebody sets it, for the server does not know."""
        self.dead_time: Parameter[float, Self] = self._from_calibration("dead_time", "Dead time", "s", 1e-3)
        """From a calibration; 0 until somebody sets it, for the server does not know."""

    def _from_calibration(self, name: str, label: str, unit: str, greatest: float) -> Parameter[Any, Any]:
        return self.add_parameter(
            name,
            label=label,
            unit=unit,
            get_cmd=None,
            set_cmd=None,
            initial_value=0.0,
            vals=Numbers(0.0, greatest),
        )

    def _entry(self, label: str) -> float:
        return self.parent.entries(label)[self._number - 1]

    def _is_enabled(self) -> bool:
        return bool(self.parent.get_label("DetectorEnable")) and self._entry("BiasCurrent") != 0.0

    def _set_enabled(self, is_on: bool) -> None:
        wanted_a = float(self.operating_current()) if is_on else 0.0
        if is_on and wanted_a == 0.0:
            raise InterlockError(
                f"{self.full_name} has no operating current, so it stays off",
                hint="set operating_current to that of the detector's test sheet first",
                device=self.full_name,
            )
        with self.lock:
            self.bias_current(wanted_a)
            if is_on and not self.parent.enabled.get():
                self.parent.enabled(True)

    def safe_state(self) -> None:
        """Take the current off this nanowire."""
        self.enabled(False)


class SingleQuantumWebSQ(LinkInstrument):
    """The server of a set of detectors.

    Parameters
    ----------
    name
        Instrument name.
    address
        ``tcp://host:12000``.
    link
        An open link to use instead of opening ``address``.
    counts_port
        Port on the same host that streams counts.

    Raises
    ------
    ConnectionLostError
        The server cannot be reached.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        address: str,
        *,
        link: ByteLink | None = None,
        counts_port: int = 12345,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, address, link=link, **kwargs)
        self._counts_port = counts_port
        self._is_in_step = True
        try:
            count = int(self.get_label("NumberOfDetectors"))
        except BaseException:
            self.close()
            raise
        self.capabilities = Capabilities(f"WebSQ, {count} detectors")
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Bias of all",
            get_cmd=lambda: bool(self.get_label("DetectorEnable")),
            set_cmd=lambda on: self.set_label("DetectorEnable", "DetectorEnable", on),
            vals=Bool(),
        )
        """The common switch of all bias currents."""
        self.counting_time: Parameter[float, Self] = self.add_parameter(
            "counting_time",
            label="Measurement period",
            unit="s",
            get_cmd=lambda: float(self.get_label("InptMeasurementPeriod")) * _MILLI,
            set_cmd=lambda s: self.set_label("SetMeasurementPeriod", "InptMeasurementPeriod", round(s / _MILLI)),
            vals=Numbers(0.01, 60.0),
        )
        """Time over which clicks are counted."""
        channels = [WebSQChannel(self, f"ch{number}", number) for number in range(1, count + 1)]
        for channel in channels:
            self.add_submodule(channel.short_name, channel)
        self.channels: ChannelTuple[WebSQChannel] = self.add_submodule(
            "channels", ChannelTuple(self, "channels", WebSQChannel, channels)
        )

    def get_idn(self) -> dict[str, str | None]:
        """Return what is known: the server has no question for it."""
        return {"vendor": "Single Quantum", "model": self.capabilities.model, "serial": None, "firmware": None}

    def get_label(self, label: str) -> Any:
        """Return the value of a label of the server.

        Raises
        ------
        ConnectionLostError
            It does not come in time.
        DeviceReportedError
            The server reports an error, or what comes is not JSON.
        """
        with self.lock:
            question = encode(request="labelProps", value="None")
            self._prepare()
            self._is_in_step = False
            self.link.write(question)
            found = self._awaited(label, question)
            self._is_in_step = True
            return found

    def _prepare(self) -> None:
        """Make sure that nothing of an earlier question can still come."""
        if not self._is_in_step and self.address.startswith("tcp://"):
            self.link.close()
            self.link = self._open(self.address)
        self.link.drain()

    def _awaited(self, label: str, question: bytes) -> Any:
        """Return a label's value from the server's list; the rest of the list is read away."""
        values: dict[str, Any] = {}
        deadline = time.monotonic() + self.link.timeout_s
        quiet_s = self.link.timeout_s
        while (left_s := deadline - time.monotonic()) > 0.0:
            try:
                message = self.link.read_until(END, timeout_s=min(quiet_s, left_s), limit=_LONGEST_MESSAGE)
            except ConnectionLostError as error:
                if values and not error.fields.get("seen"):
                    break
                raise
            values |= self._labels(message, question)
            quiet_s = _QUIET_S if label in values else quiet_s
        if label not in values:
            raise self.reported(f"the server does not name {label!r}", sent=question, seen=", ".join(values))
        return values[label]

    def _labels(self, message: bytes, question: bytes) -> dict[str, Any]:
        try:
            objects = parse_message(message)
        except FormatError as error:
            raise self.reported(error.message, sent=question, seen=message, hint=error.hint) from error
        values = {}
        for found in objects:
            name = str(found.get("label", ""))
            if "Error" in name and label_value(found):
                raise self.reported(f"the server reports {label_value(found)!r}", sent=question, seen=message)
            values[name] = label_value(found)
        return values

    def set_label(self, command: str, label: str, value: Any) -> None:
        """Send a command with its value and check that the label has taken it.

        Raises
        ------
        DeviceReportedError
            It has not.
        """
        with self.lock:
            sent = encode(command=command, label=label, value=value)
            self._prepare()
            self._is_in_step = False
            self.link.write(sent)
            deadline = time.monotonic() + self.link.timeout_s
            while (kept := self.get_label(label)) != value:
                if time.monotonic() > deadline:
                    raise self.reported(f"the setting was not taken, {label} is {kept!r}", sent=sent, seen=str(kept))

    def entries(self, label: str) -> list[float]:
        """Return a label that holds one number per detector.

        Raises
        ------
        DeviceReportedError
            It does not.
        """
        values = self.get_label(label)
        count = len(getattr(self, "channels", ()))
        if not isinstance(values, list) or len(values) < count:
            raise self.reported(f"{label} must hold {count} numbers", sent=label, seen=repr(values))
        return [float(value) for value in values]

    def set_entry(self, command: str, label: str, number: int, value: float) -> None:
        """Set one detector's entry of a list and leave the others alone."""
        with self.lock:
            values = self.entries(label)
            values[number - 1] = round(float(value), 6)
            self.set_label(command, label, values)

    def read_counts(self, records: int = 1) -> list[CountRecord]:
        """Return the next lines of counts, none left out.

        Raises
        ------
        ConnectionLostError
            They do not come in time.
        DeviceReportedError
            What comes are no counts.
        """
        host = self.address.removeprefix("tcp://").rpartition(":")[0]
        patience_s = self.counting_time() + self.default_timeout_s
        with contextlib.closing(TcpLink(host, self._counts_port, timeout_s=patience_s)) as link:
            lines = [link.read_until(b"\n") for _ in range(records)]
        try:
            return [parse_counts(line) for line in lines]
        except FormatError as error:
            raise self.reported(error.message, sent="", seen=b"".join(lines), hint=error.hint) from error

    def count_rates(self) -> list[float]:
        """Return the clicks per second of each detector, in a measurement period that ends after the question."""
        with self.lock:
            period_s = self.counting_time.get()
            record = self.read_counts()[0]
        if len(record.counts) != len(self.channels):
            raise DeviceReportedError(
                f"{self.full_name}: a line holds {len(record.counts)} counts, there are {len(self.channels)} detectors",
                hint="open the instrument again: the server was set up anew",
                device=self.full_name,
            )
        return [counts / period_s for counts in record.counts]

    def safe_state(self) -> None:
        """Turn the common switch off."""
        self.enabled(False)
