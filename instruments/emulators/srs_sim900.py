"""An emulated SRS SIM900 mainframe: it passes messages to the modules in its slots and keeps their answers.

Sources: as the driver, `faintlink.drivers.bias.srs_sim900`.
"""

from collections.abc import Mapping
from typing import Protocol

from faintlink.instruments.emulators.kit.scpi import ScpiDevice, ScpiError

_POLLS_BEFORE_AN_ANSWER = 1


class EmulatedModule(Protocol):
    """A module in a slot."""

    def answer(self, message: str) -> str | None:
        """Return the answer to a message without its terminator; None if there is none."""
        ...

    def reboot(self) -> None:
        """Fall back to the settings of power-on."""
        ...


class EmulatedSIM900(ScpiDevice):
    """The mainframe.

    Parameters
    ----------
    modules
        Modules by port.
    """

    def __init__(self, modules: Mapping[int, EmulatedModule]) -> None:
        super().__init__("Stanford_Research_Systems,SIM900,s/n123456,ver3.6")
        self._modules = dict(modules)
        self.waiting: dict[int, str] = dict.fromkeys(range(1, 9), "")
        """What each port has received and nobody has read."""
        self._delay: dict[int, int] = dict.fromkeys(range(1, 9), 0)
        self.on("SNDT", self._send)
        self.on("NINP?", self._count)

    def reboot(self) -> None:
        """Restart the mainframe, which powers its modules."""
        super().reboot()
        self.waiting = dict.fromkeys(self.waiting, "")
        for module in self._modules.values():
            module.reboot()

    def handle(self, line: str) -> bytes:
        """Answer a line; raw bytes come without a terminator of the mainframe."""
        header, _, rest = line.strip().partition(" ")
        if header.upper() != "RAWN?":
            return super().handle(line)
        port, count = (int(word) for word in rest.split(","))
        taken, self.waiting[port] = self.waiting[port][:count], self.waiting[port][count:]
        return taken.encode("latin-1")

    def _send(self, port: str, quoted: str) -> None:
        if int(port) not in self.waiting:
            raise ScpiError(-222, "Data out of range")
        module = self._modules.get(int(port))
        answer = module.answer(quoted.strip('"')) if module else None
        if answer is not None:
            self.waiting[int(port)] += answer + "\r\n"
            self._delay[int(port)] = _POLLS_BEFORE_AN_ANSWER

    def _count(self, port: str) -> str:
        if self._delay[int(port)]:
            self._delay[int(port)] -= 1
            return "0"
        return str(len(self.waiting[int(port)]))
