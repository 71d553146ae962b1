"""Units as names, and the few conversions that everybody needs.

Numbers carry their unit as a suffix (``_ps _hz _db _dbm _nm _v _k``). Time tags are int64 picoseconds, never
floats: a double is exact only up to 2**53 ps, which is 2.5 hours.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

PS_PER_S = 1_000_000_000_000
PS_PER_NS = 1_000

PLANCK_J_S = 6.626_070_15e-34
"""Planck constant, exact by definition of the SI (2019)."""
SPEED_OF_LIGHT_M_PER_S = 299_792_458.0
"""Speed of light in vacuum, exact by definition of the SI."""

TimesPs: TypeAlias = npt.NDArray[np.int64]
Channels: TypeAlias = npt.NDArray[np.uint8]
Slots: TypeAlias = npt.NDArray[np.int64]
Bits: TypeAlias = npt.NDArray[np.uint8]
"""One bit per byte, each 0 or 1."""


def db_to_ratio(loss_db: float) -> float:
    """Return the power transmission of a loss of ``loss_db`` dB (positive is loss)."""
    return float(10.0 ** (-loss_db / 10.0))


def ratio_to_db(transmission: float) -> float:
    """Return the loss in dB (positive is loss) of a power transmission in (0, 1]."""
    if not transmission > 0.0:
        raise ValueError(f"transmission must be positive, got {transmission}")
    return float(-10.0 * np.log10(transmission))


def photon_energy_j(wavelength_nm: float) -> float:
    """Return the energy in joules of one photon of a vacuum wavelength in nm.

    Notes
    -----
    E = h c / lambda with c and lambda both in vacuum; mixing the speed in glass with the vacuum wavelength
    puts every mean photon number off by the refractive index.
    """
    return PLANCK_J_S * SPEED_OF_LIGHT_M_PER_S / (wavelength_nm * 1e-9)


def photons_per_pulse(power_w: float, *, pulse_rate_hz: float, wavelength_nm: float) -> float:
    """Return the mean photon number of each pulse of a train of average power ``power_w``."""
    return power_w / (pulse_rate_hz * photon_energy_j(wavelength_nm))
