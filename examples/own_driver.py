"""A driver of one's own: an attenuator over SCPI, tried against an emulated device that dims the mock bench.

Run as ``python examples/own_driver.py``. A station file would name the class by its dotted path, here
``own_driver.LabAttenuator``, and the link file would bind it to the role ``attenuator``.
"""

from typing import Self

from qcodes.parameters import Parameter
from qcodes.validators import Numbers

from faintlink.core.errors import DeviceReportedError
from faintlink.drivers.scpi import ScpiInstrument
from faintlink.instruments.emulators.kit.scpi import ScpiDevice, number_in
from faintlink.instruments.emulators.kit.servers import TcpServer
from faintlink.instruments.roles import check_role


class LabAttenuator(ScpiInstrument):
    """An attenuator with one command."""

    identity = "LAB-VOA"

    def _add_parameters(self) -> None:
        self.attenuation: Parameter[float, Self] = self.add_parameter(
            "attenuation",
            label="Attenuation",
            unit="dB",
            get_cmd="ATT?",
            set_cmd="ATT {:.2f}",
            get_parser=float,
            vals=Numbers(0.0, 40.0),
        )

    def safe_state(self) -> None:
        """Let as little light through as it can."""
        self.attenuation(40.0)


class EmulatedAttenuator(ScpiDevice):
    """Answers as the device does; beyond 30 dB it reports an error, as its manual says it may."""

    def __init__(self) -> None:
        super().__init__("Lab,LAB-VOA,1,1.0")
        self.set_db = 0.0
        self.on("ATTenuation", lambda text: setattr(self, "set_db", number_in(text, 0.0, 30.0)))
        self.on("ATTenuation?", lambda: f"{self.set_db:.2f}")


with TcpServer(device := EmulatedAttenuator()) as server:
    voa = LabAttenuator("voa", server.visa_address)
    check_role(voa, "Attenuator")
    voa.attenuation(12.5)
    print(voa.get_idn()["model"], "is set to", voa.attenuation.get(), "dB; the device says", device.set_db)
    try:
        voa.safe_state()
    except DeviceReportedError as error:
        print(error.message)
    voa.close()
