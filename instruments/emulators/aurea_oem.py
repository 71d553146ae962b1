"""A stand-in for Aurea's library ``OEM.so``, with one emulated detector behind it.

It has the library's functions with the same arguments, written into through the same pointers. Sources: as the
driver, `faintlink.drivers.detectors.aurea_oem`.
"""

from collections.abc import Callable
from typing import Any

from faintlink.instruments.emulators.kit.knob import Cell, Knob

_EFFICIENCIES = (10, 15, 20, 25, 30)
_DEAD_TIMES_US = (1.0, 1000.0)
_GONE = -1
_REFUSED = -2


class FakeOemLibrary:
    """A library with detectors.

    Parameters
    ----------
    enabled, efficiency, dead_time, count_rate
        Knobs of the detector: output, efficiency 0 to 1, dead time in s, clicks per second (only read).
    names
        Names of the connected devices; all are the same detector.
    """

    def __init__(
        self,
        *,
        enabled: Knob | None = None,
        efficiency: Knob | None = None,
        dead_time: Knob | None = None,
        count_rate: Knob | None = None,
        names: tuple[str, ...] = ("SPD_OEM_NIR/SN12345",),
    ) -> None:
        self._enabled = enabled or Cell(True)
        self._efficiency = efficiency or Cell(0.2)
        self._dead_time = dead_time or Cell(10e-6)
        self._count_rate = count_rate or Cell(1500.0)
        self._names = names
        self.open_devices: set[int] = set()
        """Devices that are open now."""
        self.is_plugged = True
        """Whether the cable is in."""
        self.ignores: set[str] = set()
        """Functions that say yes and do nothing."""
        self._mode = {"DetectionMode": 0, "OutputFormat": 0}

    def __getattr__(self, name: str) -> Callable[..., int]:
        """Return a function of the library; those of a device fail when it is not open or not there."""
        verb = name.removeprefix("CPC_")
        if verb == name or not hasattr(type(self), f"_do_{verb}"):
            raise AttributeError(f"undefined symbol: {name}")
        handler = getattr(self, f"_do_{verb}")

        def call(device: Any, *arguments: Any) -> int:
            if name in self.ignores:
                return 0
            if not self.is_plugged or device.value not in self.open_devices:
                return _GONE
            return int(handler(*arguments) or 0)

        return call

    def CPC_listDevices(self, names: Any, count: Any) -> int:  # noqa: N802 - the library's own name
        """Fill the list of connected devices."""
        present = self._names if self.is_plugged else ()
        for index, name in enumerate(present):
            names[index] = name.encode()
        count.contents.value = len(present)
        return 0

    def CPC_openDevice(self, device: Any) -> int:  # noqa: N802 - the library's own name
        """Open a device, unless somebody has it."""
        if device.value in self.open_devices or not 0 <= device.value < len(self._names):
            return _GONE
        self.open_devices.add(device.value)
        return 0

    def CPC_closeDevice(self, device: Any) -> int:  # noqa: N802 - the library's own name
        """Close a device."""
        self.open_devices.discard(device.value)
        return 0

    def _do_getSystemVersion(self, text: Any) -> None:  # noqa: N802 - the library's own name
        text.value = b"SPD_OEM_NIR/SN12345/1.2.3"

    def _do_getEfficiencyRange(self, text: Any) -> None:  # noqa: N802 - the library's own name
        text.value = ",".join(str(share) for share in _EFFICIENCIES).encode()

    def _do_getEfficiency(self, share: Any) -> None:  # noqa: N802 - the library's own name
        share.contents.value = round(self._efficiency() * 100)

    def _do_setEfficiency(self, share: Any) -> int:  # noqa: N802 - the library's own name
        if share.value not in _EFFICIENCIES:
            return _REFUSED
        self._efficiency(share.value / 100)
        return 0

    def _do_getDeadTimeRange(self, shortest: Any, longest: Any) -> None:  # noqa: N802 - the library's own name
        shortest.contents.value, longest.contents.value = _DEAD_TIMES_US

    def _do_getDeadTime(self, microseconds: Any) -> None:  # noqa: N802 - the library's own name
        microseconds.contents.value = self._dead_time() * 1e6

    def _do_setDeadTime(self, microseconds: Any) -> None:  # noqa: N802 - the library's own name
        self._dead_time(microseconds.value * 1e-6)

    def _do_getDetectionMode(self, mode: Any) -> None:  # noqa: N802 - the library's own name
        mode.contents.value = self._mode["DetectionMode"]

    def _do_setDetectionMode(self, mode: Any) -> None:  # noqa: N802 - the library's own name
        self._mode["DetectionMode"] = mode.value

    def _do_getOutputFormat(self, code: Any) -> None:  # noqa: N802 - the library's own name
        code.contents.value = self._mode["OutputFormat"]

    def _do_setOutputFormat(self, code: Any) -> None:  # noqa: N802 - the library's own name
        self._mode["OutputFormat"] = code.value

    def _do_getOutputState(self, state: Any) -> None:  # noqa: N802 - the library's own name
        state.contents.value = 0 if self._enabled() else 1

    def _do_setOutputState(self, state: Any) -> None:  # noqa: N802 - the library's own name
        self._enabled(state.value == 0)

    def _do_getCLKCountData(self, clock: Any, counts: Any) -> None:  # noqa: N802 - the library's own name
        clock.contents.value = 80_000_000
        counts.contents.value = round(self._count_rate()) if self._enabled() else 0

    def _do_getBodySocketTemp(self, degrees: Any) -> None:  # noqa: N802 - the library's own name
        degrees.contents.value = 24.5
