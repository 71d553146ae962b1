"""Toptica DLC pro laser controller, through Toptica's own Python SDK.

Fills the role TunableLaser with a CTL laser head. The SDK (`pip install toptica-lasersdk`, extra ``toptica``) is
imported when an instrument is opened and not before. After a lost answer the connection is closed and opened anew for
the next question, so that a late answer meets nobody; a controller that has restarted meanwhile is reported.

Sources: parameter names and protocol of toptica-lasersdk 3.3.0 (module ``toptica.lasersdk.dlcpro.v3_2_0``), which is
the vendor's. Unverified on a device.
"""

import importlib
import logging
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Self

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import (
    ConfigError,
    ConnectionLostError,
    DeviceReportedError,
    HardwareError,
    InterlockError,
    UnsupportedFeatureError,
)
from faintlink.drivers.base import Capabilities, DriverMixin

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

COMMAND_PORT = 1998


class TopticaDLCpro(DriverMixin, Instrument):
    """One laser of a DLC pro.

    Parameters
    ----------
    name
        Instrument name.
    address
        Host name or address, with ``:port`` if it is another than 1998.
    laser
        Which laser of the controller, 1 or 2.
    timeout_s
        Longest wait for an answer.

    Raises
    ------
    ConfigError
        The SDK is not installed.
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers, or the laser head cannot be tuned.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        address: str,
        *,
        laser: int = 1,
        timeout_s: float = 5.0,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self.address = address
        self._laser = f"laser{laser}"
        self._timeout_s = timeout_s
        self._client: Any = None
        self._uptime_s = 0
        try:
            self._sdk = _sdk(name)
            self.capabilities = Capabilities(self._check_identity())
            limits_nm = self._tuning_range_nm()
        except BaseException:
            self.close()
            raise
        self._add_device_parameters(Numbers(*limits_nm))

    def _add_device_parameters(self, range_nm: Numbers) -> None:
        self.wavelength: Parameter[float, Self] = self.add_parameter(
            "wavelength",
            label="Wavelength",
            unit="nm",
            get_cmd=lambda: self.get_real(f"{self._laser}:ctl:wavelength-set"),
            set_cmd=lambda nm: self.set_value(f"{self._laser}:ctl:wavelength-set", float(nm)),
            vals=range_nm,
        )
        """Wavelength it is told to emit; the range is asked from the device."""
        self.measured_wavelength: Parameter[float, Self] = self.add_parameter(
            "measured_wavelength",
            label="Wavelength now",
            unit="nm",
            get_cmd=lambda: self.get_real(f"{self._laser}:ctl:wavelength-act"),
            set_cmd=False,
        )
        """Wavelength now, as the controller knows it."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Emission",
            get_cmd=lambda: bool(self._exchange(lambda client: client.get(f"{self._laser}:dl:cc:enabled", bool))),
            set_cmd=self._set_enabled,
            vals=Bool(),
        )
        """Whether current flows through the diode."""
        self.current: Parameter[float, Self] = self.add_parameter(
            "current",
            label="Diode current",
            unit="A",
            get_cmd=lambda: self.get_real(f"{self._laser}:dl:cc:current-set") * 1e-3,
            set_cmd=lambda amperes: self.set_value(f"{self._laser}:dl:cc:current-set", float(amperes) * 1e3),
            vals=Numbers(0.0, 5.0),
        )
        """Current through the diode; the controller refuses more than its own limit."""

    def _set_enabled(self, is_on: bool) -> None:
        with self.lock:
            if is_on:
                for name, remedy in (("interlock-open", "close the interlock"), ("frontkey-locked", "turn the key")):
                    if self._exchange(lambda client, n=name: client.get(n, bool)):
                        raise InterlockError(
                            f"{self.full_name} stays dark: {name}", hint=remedy, device=self.full_name, seen=name
                        )
            self.set_value(f"{self._laser}:dl:cc:enabled", bool(is_on))

    def get_real(self, name: str) -> float:
        """Return a real parameter of the controller by its name in Toptica's manual."""
        return float(self._exchange(lambda client: client.get(name, float)))

    def get_text(self, name: str) -> str:
        """Return a text parameter of the controller by its name in Toptica's manual."""
        return str(self._exchange(lambda client: client.get(name, str)))

    def set_value(self, name: str, value: bool | float | str) -> None:
        """Set a parameter of the controller by its name in Toptica's manual."""
        self._exchange(lambda client: client.set(name, value), sent=f"{name} = {value!r}")

    def _check_identity(self) -> str:
        model = self.get_text("system-type")
        if "dlc" not in model.lower():
            raise UnsupportedFeatureError(
                f"{self.name} at {self.address} says it is {model!r}, expected a DLC pro",
                hint="check the address in the station file",
                seen=model,
            )
        return model

    def _tuning_range_nm(self) -> tuple[float, float]:
        names = (f"{self._laser}:ctl:wavelength-min", f"{self._laser}:ctl:wavelength-max")
        try:
            low_nm, high_nm = (self.get_real(name) for name in names)
        except DeviceReportedError as error:
            raise UnsupportedFeatureError(
                f"{self.name}: {self._laser} cannot be tuned; {error.message}",
                hint="only CTL laser heads have a wavelength to set; check the number of the laser",
            ) from error
        return low_nm, high_nm

    def get_idn(self) -> dict[str, str | None]:
        """Return what the controller says of itself."""
        serial, firmware = self.get_text("serial-number"), self.get_text("fw-ver")
        return {"vendor": "TOPTICA", "model": self.capabilities.model, "serial": serial, "firmware": firmware}

    def _exchange(self, action: Any, *, sent: str = "") -> Any:
        """Return what the SDK returns, with our errors in place of its own."""
        with self.lock:
            try:
                if self._client is None:
                    self._open()
                return action(self._client)
            except HardwareError:
                raise
            except (self._sdk.DeviceTimeoutError, self._sdk.DeviceNotFoundError, self._sdk.UnavailableError) as error:
                raise self._lost(error, sent) from error
            except self._sdk.DecopError as error:
                # Only an error that quotes the controller leaves the dialogue in step.
                if not str(error).lower().startswith(("error", "setting")):
                    raise self._lost(error, sent) from error
                raise DeviceReportedError(
                    f"{self.full_name} reports {error}; sent {sent or 'a question'}",
                    hint="the setting was not taken; see Toptica's manual for the number",
                    device=self.full_name,
                    sent=sent,
                    seen=str(error),
                ) from error
            except (OSError, ValueError, IndexError) as error:
                raise self._lost(error, sent) from error

    def _lost(self, error: Exception, sent: str) -> ConnectionLostError:
        self._drop()
        return ConnectionLostError(
            f"{self.full_name} at {self.address} does not answer: {type(error).__name__} {error}; sent {sent or '-'}",
            hint="check cable, network and power; the next question opens a new connection",
            device=self.full_name,
            address=self.address,
            sent=sent,
        )

    def _open(self) -> None:
        host, _, port = self.address.removeprefix("tcp://").partition(":")
        connection = self._sdk.NetworkConnection(
            host, command_line_port=int(port or COMMAND_PORT), monitoring_line_port=0, timeout=self._timeout_s
        )
        self._client = self._sdk.Client(connection)
        self._client.open()
        before_s, self._uptime_s = self._uptime_s, int(self._client.get("uptime", int))
        if self._uptime_s < before_s:
            raise DeviceReportedError(
                f"{self.full_name} has restarted: it is up for {self._uptime_s} s, before it was {before_s} s",
                hint="its settings are those of power-on; set them anew",
                device=self.full_name,
            )

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()
            except (self._sdk.DecopError, OSError) as error:
                logger.debug("%s: closing the connection: %s", self.full_name, error)

    def safe_state(self) -> None:
        """Turn the light off."""
        self.enabled(False)

    def close(self) -> None:
        """Close the connection and forget the instrument."""
        if getattr(self, "_client", None) is not None:
            self._drop()
        super().close()


def _sdk(name: str) -> Any:
    try:
        return importlib.import_module("toptica.lasersdk.client")
    except ImportError as error:
        raise ConfigError(
            f"{name} needs Toptica's SDK, which is not installed: {error}",
            hint="pip install faintlink[toptica]",
        ) from error
