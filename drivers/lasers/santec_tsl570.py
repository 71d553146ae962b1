"""Santec TSL-570 tunable laser, over SCPI.

Fills the role TunableLaser and sweeps. It speaks the device's "Legacy" command set, in which wavelengths are plain
numbers in nm; the device must be set to it. Light is turned on only by ``enabled(True)``, and not while the device
reports an open interlock.

Sources: command set, ranges and alert numbers as QMI's driver for this laser uses them (they follow Santec's TSL-570
operation manual, which was not at hand): unverified on a device.
"""

import time
from enum import IntEnum
from typing import ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import ConnectionLostError, InterlockError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.scpi import ScpiInstrument

SPEEDS_NM_PER_S = (1, 2, 5, 10, 20, 50, 100, 200)
"""Sweep speeds that the device offers."""
NO_ALERTS = "No alerts."
INTERLOCK_ALERT = "No07."
_MOST_ALERTS = 20
_POLL_S = 0.05


class SweepMode(IntEnum):
    """How a sweep runs, as the device numbers it."""

    STEPS_ONE_WAY = 0
    """In steps, always from start to stop."""
    CONTINUOUS_ONE_WAY = 1
    """Without stopping, always from start to stop."""
    STEPS_TWO_WAY = 2
    """In steps, there and back."""
    CONTINUOUS_TWO_WAY = 3
    """Without stopping, there and back."""


class SweepState(IntEnum):
    """What the sweep does now, as the device numbers it."""

    STOPPED = 0
    """Nothing."""
    RUNNING = 1
    """It sweeps."""
    WAITING = 3
    """It waits for a trigger."""
    PREPARING = 4
    """It goes to the start."""


class SantecTSL570(ScpiInstrument):
    """A tunable laser.

    Parameters
    ----------
    name
        Instrument name.
    address
        VISA resource name, such as ``TCPIP::192.168.1.100::5000::SOCKET``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    identity = r"TSL-?570"
    error_query = ":SYST:ERR?"
    default_terminator = "\r"

    def _identify(self) -> None:
        self.capabilities = Capabilities("TSL-570")

    def _add_parameters(self) -> None:
        shortest_nm, longest_nm = float(self.ask(":WAV:MIN?")), float(self.ask(":WAV:MAX?"))
        self._range_nm = Numbers(shortest_nm, longest_nm)
        self.wavelength: Parameter[float, Self] = self.add_parameter(
            "wavelength",
            label="Wavelength",
            unit="nm",
            get_cmd=":WAV?",
            set_cmd=":WAV {:.4f}",
            get_parser=float,
            vals=self._range_nm,
        )
        """Vacuum wavelength, to 0.1 pm; the range is asked from the device."""
        self.enabled: Parameter[bool, Self] = self.add_parameter(
            "enabled",
            label="Emission",
            get_cmd=":POW:STAT?",
            set_cmd=self._set_enabled,
            get_parser=lambda text: bool(int(text)),
            vals=Bool(),
        )
        """Whether it emits light."""
        self.power: Parameter[float, Self] = self.add_parameter(
            "power",
            label="Power",
            unit="W",
            get_cmd=lambda: self._power_w(":POW?"),
            set_cmd=self._set_power,
            vals=Numbers(0.04e-3, 20e-3),
        )
        """Power it is told to emit."""
        self.measured_power: Parameter[float, Self] = self.add_parameter(
            "measured_power",
            label="Measured power",
            unit="W",
            get_cmd=lambda: self._power_w(":POW:ACT?"),
            set_cmd=False,
        )
        """Power that its own monitor sees."""
        self.coherence_control: Parameter[bool, Self] = self.add_parameter(
            "coherence_control",
            label="Coherence control",
            get_cmd=":COHC?",
            set_cmd=lambda on: self.write(f":COHC {int(on)}"),
            get_parser=lambda text: bool(int(text)),
            vals=Bool(),
        )
        """Whether the line is broadened on purpose."""
        self.sweep_state: Parameter[SweepState, Self] = self.add_parameter(
            "sweep_state",
            label="Sweep state",
            get_cmd=":WAV:SWE:STAT?",
            set_cmd=False,
            get_parser=lambda text: SweepState(int(text)),
        )
        """What the sweep does now."""

    def _set_enabled(self, is_on: bool) -> None:
        if is_on and INTERLOCK_ALERT in "".join(self.alerts()):
            raise InterlockError(
                f"{self.full_name} stays dark: it reports an open interlock",
                hint="close the interlock at the back of the laser and turn the key",
                device=self.full_name,
            )
        self.write(f":POW:STAT {int(is_on)}")

    def _is_in_milliwatts(self) -> bool:
        return bool(int(self.ask(":POW:UNIT?")))

    def _power_w(self, query: str) -> float:
        # The unit can be changed at the front panel at any time, so it is asked each time.
        with self.lock:
            is_mw, value = self._is_in_milliwatts(), float(self.ask(query))
        return value * 1e-3 if is_mw else 1e-3 * 10.0 ** (value / 10.0)

    def _set_power(self, power_w: float) -> None:
        with self.lock:
            if not self._is_in_milliwatts():
                self.write(":POW:UNIT 1")
            self.write(f":POW {power_w * 1e3:.2f}")

    def alerts(self) -> tuple[str, ...]:
        """Return what the device complains of, such as warming up or an open interlock; empty when it is well."""
        seen = []
        with self.lock:
            for _ in range(_MOST_ALERTS):
                alert = self.ask(":SYST:ALER?").strip()
                if alert == NO_ALERTS or alert in seen:
                    break
                seen.append(alert)
        return tuple(seen)

    def start_sweep(
        self,
        start_nm: float,
        stop_nm: float,
        *,
        speed_nm_per_s: int = 10,
        cycles: int = 1,
        mode: SweepMode = SweepMode.CONTINUOUS_ONE_WAY,
    ) -> None:
        """Begin to sweep the wavelength.

        Parameters
        ----------
        start_nm, stop_nm
            First and last wavelength.
        speed_nm_per_s
            One of `SPEEDS_NM_PER_S`.
        cycles
            How often, 0 to 999.
        mode
            How.

        Raises
        ------
        ValueError
            A value is out of range; nothing was sent.
        """
        for value_nm in (start_nm, stop_nm):
            self._range_nm.validate(value_nm, "sweep")
        if speed_nm_per_s not in SPEEDS_NM_PER_S or not 0 <= cycles <= 999:
            raise ValueError(
                f"a sweep runs at one of {SPEEDS_NM_PER_S} nm/s and 0 to 999 times, not {speed_nm_per_s}, {cycles}"
            )
        with self.lock:
            self.write(f":WAV:SWE:STAR {start_nm:.4f}")
            self.write(f":WAV:SWE:STOP {stop_nm:.4f}")
            self.write(f":WAV:SWE:SPE {speed_nm_per_s}")
            self.write(f":WAV:SWE:CYCL {cycles}")
            self.write(f":WAV:SWE:MOD {int(mode)}")
            self.write(":WAV:SWE:STAT 1")

    def wait_for_sweep(self, timeout_s: float) -> None:
        """Return when the sweep has ended.

        Raises
        ------
        ConnectionLostError
            It has not within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while self.sweep_state() != SweepState.STOPPED:
            if time.monotonic() > deadline:
                raise ConnectionLostError(
                    f"{self.full_name} still sweeps after {timeout_s:g} s",
                    hint="wait longer, stop_sweep(), or look whether it waits for a trigger",
                    device=self.full_name,
                )
            time.sleep(_POLL_S)

    def stop_sweep(self) -> None:
        """End the sweep where it is."""
        self.write(":WAV:SWE:STAT 0")

    def safe_state(self) -> None:
        """Turn the light off and end a sweep."""
        self.enabled(False)
        self.stop_sweep()
