"""Devices that answer one request at a time, and how a driver falls into step again after a lost answer.

Drivers of plain serial devices build on `DialogueInstrument`. It throws away what is stale before each request, waits
for silence after an answer that was lost or made no sense, and then compares the settings it made with those the
device holds, so that a restart in between does not go unseen. It knows no command of any device.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from faintlink.core.errors import ConnectionLostError, DeviceReportedError
from faintlink.drivers.base import LinkInstrument
from faintlink.drivers.transport.link import ByteLink

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


@dataclass(frozen=True, slots=True)
class _Setting:
    value: float
    read: Callable[[], float]
    tolerance: float


class DialogueInstrument(LinkInstrument):
    """An instrument on a byte link that answers one request at a time.

    Parameters
    ----------
    name, address, link
        As for `LinkInstrument`.
    """

    quiet_s: ClassVar[float] = 0.3
    """How long the line must be silent after a lost answer before the next request."""
    patience_s: ClassVar[float] = 3.0
    """How long to wait for that silence."""

    def __init__(
        self, name: str, address: str, *, link: ByteLink | None = None, **kwargs: "Unpack[InstrumentBaseKWArgs]"
    ) -> None:
        self._is_out_of_step = False
        self._settings: dict[str, _Setting] = {}
        super().__init__(name, address, link=link, **kwargs)

    def exchange(self, request: bytes, receive: Callable[[], bytes]) -> bytes:
        """Send a request and return what ``receive`` reads as its answer.

        Raises
        ------
        ConnectionLostError
            The answer did not come.
        DeviceReportedError
            After an answer that was lost, the device no longer holds the settings that were made.
        """
        with self.lock:
            if self._is_out_of_step:
                self._fall_into_step()
            self.link.drain()
            try:
                self.link.write(request)
                return receive()
            except ConnectionLostError:
                self._is_out_of_step = True
                raise

    def garbled(self, what: str, *, sent: bytes | str, seen: bytes | str) -> DeviceReportedError:
        """Return the error for an answer that makes no sense; the next request waits for silence first."""
        self._is_out_of_step = True
        return self.reported(what, sent=sent, seen=seen, hint="the setting may not have been taken; ask again")

    def remember(self, name: str, value: float, read: Callable[[], float], *, tolerance: float = 0.0) -> None:
        """Confirm a setting that was just made, and keep it for `check_settings`.

        Raises
        ------
        DeviceReportedError
            The device holds another value.
        """
        self._settings.pop(name, None)
        self.confirm(name, value, read, tolerance=tolerance)
        self._settings[name] = _Setting(value, read, tolerance)

    def confirm(self, name: str, value: float, read: Callable[[], float], *, tolerance: float = 0.0) -> None:
        """Read a setting back that was just made and may change by itself later.

        Raises
        ------
        DeviceReportedError
            The device holds another value.
        """
        seen = read()
        if abs(seen - value) > tolerance:
            raise self.reported(
                f"{name} was not taken", sent=f"{value:g}", seen=f"{seen:g}", hint="the value may be out of its range"
            )

    def check_settings(self) -> None:
        """Compare what was set with what the device holds.

        Raises
        ------
        DeviceReportedError
            They differ: the device restarted, or somebody else turned its knobs. What was set is then forgotten.
        """
        with self.lock:
            kept, self._settings = self._settings, {}
            for name, setting in kept.items():
                seen = setting.read()
                if abs(seen - setting.value) > setting.tolerance:
                    raise self.reported(
                        f"{name} is no longer what was set: the device restarted, its settings are those of power-on",
                        sent=f"{setting.value:g}",
                        seen=f"{seen:g}",
                        hint="make all settings again before you use it",
                    )
            self._settings = kept

    def forget_settings(self) -> None:
        """Forget what was set, as a device that is being let go need not be what it was."""
        self._settings.clear()

    def _fall_into_step(self) -> None:
        deadline = time.monotonic() + self.patience_s
        while seen := self.link.read_some(self.quiet_s):
            if time.monotonic() > deadline:
                raise ConnectionLostError(
                    f"{self.full_name} does not fall silent within {self.patience_s:g} s, seen {seen[:80]!r}",
                    hint="check the baud rate, and that no other program talks to it",
                    device=self.full_name,
                    seen=seen,
                )
        self._is_out_of_step = False
        self.check_settings()
