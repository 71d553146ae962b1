"""Devices that answer one request at a time, and how a driver falls into step again after a lost answer.

Drivers of plain serial devices build on `DialogueInstrument`. It throws away what is stale before each request. After
an answer that was lost or made no sense it waits for silence and for the answer to a marker, and then compares the
settings it made with those the device holds, so that a restart in between does not go unseen. It knows no command of
any device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from faintlink.core.errors import DeviceReportedError
from faintlink.drivers.base import LinkInstrument
from faintlink.drivers.transport.link import ByteLink
from faintlink.drivers.transport.step import Marker, Step

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


Answer = TypeVar("Answer")


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
    """How long to wait for that silence, and then for the answer to the marker."""
    late_s: ClassVar[float] = 1.0
    """Silence after which a lost answer to the marker itself no longer counts as late."""
    marker: Marker | None = None
    """Harmless question that tells how far the device has got; without one only silence of ``late_s`` does."""

    def __init__(
        self, name: str, address: str, *, link: ByteLink | None = None, **kwargs: "Unpack[InstrumentBaseKWArgs]"
    ) -> None:
        self._step = Step(name, quiet_s=self.quiet_s, patience_s=self.patience_s, late_s=self.late_s)
        self._made_settings: dict[str, _Setting] = {}
        super().__init__(name, address, link=link, **kwargs)

    def exchange(self, request: bytes, receive: Callable[[], Answer]) -> Answer:
        """Send a request and return what ``receive`` reads as its answer.

        Raises
        ------
        ConnectionLostError
            The answer did not come.
        DeviceReportedError
            After an answer that was lost, the device no longer holds the settings that were made.
        """
        with self.lock:
            if self._step.is_lost:
                self._step.regain(self.link.write, self.link.read_some, self.marker)
                self.check_settings()
            self.link.drain()
            with self._step.asking(request):
                self.link.write(request)
                return receive()

    def garbled(self, what: str, *, sent: bytes | str, seen: bytes | str) -> DeviceReportedError:
        """Return the error for an answer that makes no sense; the next request falls into step first."""
        self._step.lose()
        return self.reported(what, sent=sent, seen=seen, hint="the setting may not have been taken; ask again")

    def remember(self, name: str, value: float, read: Callable[[], float], *, tolerance: float = 0.0) -> None:
        """Confirm a setting that was just made, and keep it for `check_settings`.

        Raises
        ------
        DeviceReportedError
            The device holds another value.
        """
        self._made_settings.pop(name, None)
        self.confirm(name, value, read, tolerance=tolerance)
        self._made_settings[name] = _Setting(value, read, tolerance)

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
            kept, self._made_settings = self._made_settings, {}
            for name, setting in kept.items():
                seen = setting.read()
                if abs(seen - setting.value) > setting.tolerance:
                    raise self.reported(
                        f"{name} is no longer what was set: the device restarted, its settings are those of power-on",
                        sent=f"{setting.value:g}",
                        seen=f"{seen:g}",
                        hint="make all settings again before you use it",
                    )
            self._made_settings = kept

    def forget_settings(self) -> None:
        """Forget what was set, as a device that is being let go need not be what it was."""
        self._made_settings.clear()
