"""How routines prepare light, and how their decisions read counts: small pieces that several routines share.

A constant state is prepared by giving every drive level of a modulator the same voltage: whatever the pattern
generator plays, the pulses are alike. That needs nothing of a card beyond its role.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from faintlink.core.calibration.records import Scan
from faintlink.core.errors import ConfigError, NotEnoughSignalsError
from faintlink.instruments.calibration.lab import OUTCOMES
from faintlink.instruments.calibration.session import Session

Floats = npt.NDArray[np.float64]


def coding_role(session: Session) -> str:
    """Return the role that codes: ``phase_modulator`` or ``polarization_modulator``.

    Raises
    ------
    ConfigError
        The link binds neither.
    """
    for role in ("phase_modulator", "polarization_modulator"):
        if session.has(role):
            return role
    raise ConfigError("the link binds neither a phase_modulator nor a polarization_modulator")


def hold(session: Session, role: str, voltage_v: float) -> None:
    """Give every drive level of a modulator the same voltage."""
    levels = session.get(f"{role}.drive_levels")
    session.turn(f"{role}.drive_levels", [float(voltage_v)] * len(levels))


def play_bright(session: Session) -> None:
    """Play nothing but pulses of the brightest intensity."""
    if session.has("intensity_modulator"):
        hold(session, "intensity_modulator", session.get("intensity_modulator.drive_levels")[0])
    session.play()


def laser_off(session: Session, duration_s: float) -> None:
    """Add a scan ``dark``, measured without light where the laser can be turned off."""
    if not session.has("laser"):
        return
    is_on = session.get("laser.enabled")
    session.turn("laser.enabled", False)
    session.point("dark", {}, duration_s)
    session.turn("laser.enabled", is_on)


def rates(scan: Scan, outcome: str) -> tuple[Floats, Floats]:
    """Return the rates (n,) of an outcome in Hz and their standard deviations."""
    counts, live = scan[f"counts_{outcome}"], scan[f"live_{outcome}_s"]
    return counts / live, np.sqrt(np.maximum(counts, 1.0)) / live


def total_rates(scan: Scan) -> tuple[Floats, Floats]:
    """Return the summed rates (n,) of all outcomes in Hz and their standard deviations."""
    parts = [rates(scan, name) for name in OUTCOMES]
    return sum((r for r, _ in parts), np.zeros(len(scan))), np.sqrt(sum((s**2 for _, s in parts), np.zeros(len(scan))))


def without_dark(scans: Mapping[str, Scan], name: str, outcome: str) -> tuple[Floats, Floats]:
    """Return the rates (n,) of an outcome in a scan less the dark counts, and their standard deviations."""
    rate, sigma = rates(scans[name], outcome)
    if "dark" not in scans:
        return rate, sigma
    dark, error = rates(scans["dark"], outcome)
    return rate - dark[0], np.sqrt(sigma**2 + error[0] ** 2)


def basis_contrast(scans: Mapping[str, Scan], name: str, basis: str) -> tuple[Floats, Floats]:
    """Return (n,) contrast of bit 0 against bit 1 in basis ``z`` or ``x`` of a scan, and its standard deviation.

    Raises
    ------
    NotEnoughSignalsError
        No light was counted.
    """
    a, sigma_a = without_dark(scans, name, f"{basis}0")
    b, sigma_b = without_dark(scans, name, f"{basis}1")
    total = a + b
    if not np.all(total > 0.0):
        raise NotEnoughSignalsError(
            f"scan {name}: no light was counted in basis {basis.upper()}", hint="check laser, attenuator and fibre"
        )
    sigma = 2.0 * np.sqrt((b * sigma_a) ** 2 + (a * sigma_b) ** 2) / total**2
    contrast: Floats = (a - b) / total
    return contrast, sigma
