"""Stanford Research Systems SIM928 isolated voltage source, in a SIM900 mainframe.

Fills the role BiasController. After each setting the module's error registers are read, so that a refused value
raises where it was set.

Sources: commands of SRS' SIM928 manual (VOLT, OPON, OPOF, EXON, BATS, LEXE, LCME), from memory of its command list;
unverified on a device. Range ±20 V in steps of 1 mV.
"""

from typing import TYPE_CHECKING, ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import UnsupportedFeatureError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.bias.srs_sim900 import Sim900Module

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

GREATEST_V = 20.0


class SRSSIM928(Sim900Module):
    """An isolated voltage source.

    Parameters
    ----------
    name
        Instrument name.
    address
        Name of the mainframe, which must be opened first.
    port
        Number of the slot's port, 1 to 8.

    Raises
    ------
    ConfigError
        There is no such mainframe, or no such port.
    ConnectionLostError
        The module does not answer.
    UnsupportedFeatureError
        Another module is in the slot.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(self, name: str, address: str, *, port: int, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, address, port=port, **kwargs)
        self.capabilities = Capabilities("SIM928")
        try:
            self.idn_text = self._check_identity()
        except BaseException:
            self.close()
            raise
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Output",
            get_cmd=lambda: bool(self.number("EXON?")),
            set_cmd=lambda on: self._set("OPON" if on else "OPOF"),
            vals=Bool(),
        )
        """Whether the output is connected."""
        self.bias: Parameter[float, Self] = self.add_parameter(
            "bias",
            label="Bias",
            unit="V",
            get_cmd=lambda: self.number("VOLT?"),
            set_cmd=lambda volts: self._set(f"VOLT {volts:.3f}"),
            vals=Numbers(-GREATEST_V, GREATEST_V),
        )
        """Voltage it is set to, in steps of 1 mV."""
        self.battery_state: Parameter[str, Self] = self.add_parameter(
            "battery_state", label="State of the batteries", get_cmd="BATS?", set_cmd=False, get_parser=str.strip
        )
        """States of battery A, battery B and the service lamp, as the module codes them."""

    def _check_identity(self) -> str:
        answer = self.ask("*IDN?")
        if "SIM928" not in answer:
            raise UnsupportedFeatureError(
                f"{self.name}: the module at port {self.port} answers *IDN? with {answer!r}, expected SIM928",
                hint="check the slot's number in the station file",
                seen=answer,
            )
        return answer

    def get_idn(self) -> dict[str, str | None]:
        """Return what the module says of itself."""
        vendor, model, serial, firmware, *_ = [*self.idn_text.split(","), "", "", ""]
        return {"vendor": vendor, "model": model, "serial": serial, "firmware": firmware}

    def _set(self, command: str) -> None:
        with self.lock:
            self.write(command)
            for query in ("LEXE?", "LCME?"):
                code = self.number(query)
                if code:
                    raise self.reported(f"{query} answers error {code:g}", sent=command, seen=f"{code:g}")

    def safe_state(self) -> None:
        """Set zero and disconnect the output."""
        self.bias(0.0)
        self.enabled(False)
