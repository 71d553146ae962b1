"""Mean photo-electrons of each outcome for each kind of slot: the optics of the pulsed links, as plain functions.

`rate_table` is called by the bench whenever a knob was turned; the kernels only look up its arrays. With coherent
light and given settings the outcomes are independent Poisson numbers, so these means are the whole physics.

Sources: H.-K. Lo, X. Ma, K. Chen, PRL 94 230504 (2005) for phase-randomised coherent pulses; W. Tittel et al.,
"Quantum cryptography", Rev. Mod. Phys. 74 145 (2002), section IV for phase coding.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.units import db_to_ratio
from faintlink.instruments.mocks.polarization import arriving_stokes
from faintlink.instruments.mocks.state import (
    BenchState,
    DetectorState,
    IntensityModulatorState,
    Model,
    PhaseModulatorState,
    ReceiverState,
)

LEVELS = 5
"""Light levels: up to four played intensities and, last, the undriven modulator."""
DARK_LEVEL = 4
STATES = 4
"""Sender states by bit + 2 basis."""
CODES = LEVELS * STATES * 2
"""Kinds of slot: (level * 4 + state) * 2 + Bob's active basis."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class RateTable:
    """What a slot of each kind does to the detectors."""

    photons: Floats
    """(5,) mean photon number leaving the sender, by light level."""
    means: Floats
    """(40, j) mean photo-electrons of each outcome, by kind of slot."""
    detector: npt.NDArray[np.int64]
    """(j,) detector of each outcome."""
    offset_ps: npt.NDArray[np.int64]
    """(j,) arrival relative to the slot's centre; never decreasing."""


def modulator_transmission(modulator: IntensityModulatorState, drive_v: float) -> float:
    """Return the power transmission of the intensity modulator at a drive voltage, 1 at its maximum."""
    floor = db_to_ratio(modulator.extinction_db)
    phase = 0.5 * math.pi * (modulator.bias_v + drive_v - modulator.null_v) / modulator.half_wave_v
    return floor + (1.0 - floor) * math.sin(phase) ** 2


def nominal_drives(modulator: IntensityModulatorState, intensities: tuple[float, ...]) -> tuple[float, ...]:
    """Return the drive voltages that give the nominal intensities when the bias sits at the null."""
    floor = db_to_ratio(modulator.extinction_db)
    wanted = [(level / intensities[0] - floor) / (1.0 - floor) for level in intensities]
    turns = [math.asin(math.sqrt(min(1.0, max(0.0, share)))) for share in wanted]
    return tuple(modulator.half_wave_v * 2.0 / math.pi * turn for turn in turns)


def mean_photons(state: BenchState) -> Floats:
    """Return the mean photon numbers (5,) leaving the sender at each light level; unused levels are dark."""
    modulator = state.intensity_modulator
    drives = modulator.drive_v or nominal_drives(modulator, state.source.intensities)
    peak = state.source.peak_photons
    photons = np.full(LEVELS, peak * modulator_transmission(modulator, 0.0))
    for level, drive in enumerate(drives):
        photons[level] = peak * modulator_transmission(modulator, drive)
    return photons


def modulator_phases(modulator: PhaseModulatorState) -> list[float]:
    """Return the phase in rad of each drive level."""
    return [math.pi * (modulator.bias_v + drive) / modulator.half_wave_v for drive in modulator.drive_v]


def rate_table(state: BenchState, *, time_s: float) -> RateTable:
    """Return the rate table of a pulsed link at a bench time in s."""
    receiver = state.receivers["bob"]
    if state.model is Model.TIMEBIN_BB84:
        shares, detector, offset = _interferometer_shares(state, time_s)
    elif state.model is Model.POLARIZATION_ACTIVE:
        shares, detector, offset = _turned_shares(state, time_s)
    else:
        shares, detector, offset = _polarization_shares(state, receiver, time_s)
    efficiency = np.array([_efficiency(receiver.detectors[d]) for d in detector])
    photons = mean_photons(state)
    through = state.link.transmission * receiver.transmission
    means = photons[:, None, None, None] * through * (shares * efficiency)[None]
    return RateTable(photons, means.reshape(CODES, len(detector)), detector, offset)


def _efficiency(detector: DetectorState) -> float:
    return detector.efficiency if detector.enabled else 0.0


def _interferometer_shares(
    state: BenchState, time_s: float
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the share (4, 2, 6) of arriving light in (early, central, late) x (detector 0, 1)."""
    link = state.link
    between = link.phase_rad + link.phase_drift_rad_per_s * time_s
    shares = np.full((STATES, 2, 6), 0.125)
    for alice, phase_a in enumerate(modulator_phases(state.alice_phase)):
        for bob, phase_b in enumerate(modulator_phases(state.bob_phase)):
            contrast = link.visibility * math.cos(phase_a - phase_b + between)
            shares[alice, bob, 2:4] = 0.25 * (1.0 + contrast), 0.25 * (1.0 - contrast)
    apart = state.peak_separation_ps
    detector = np.array([0, 1, 0, 1, 0, 1])
    return shares, detector, np.array([-apart, -apart, 0, 0, apart, apart])


def _polarization_shares(
    state: BenchState, receiver: ReceiverState, time_s: float
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the share (4, 2, 4) of arriving light in detectors Z0, Z1, X0, X1."""
    arriving = arriving_stokes(state, time_s)
    split = receiver.basis_probability_z
    z, x = state.link.visibility * arriving[:, 0], state.link.visibility * arriving[:, 1]
    shares = np.stack(
        [split * (1 + z) / 2, split * (1 - z) / 2, (1 - split) * (1 + x) / 2, (1 - split) * (1 - x) / 2], axis=1
    )
    return np.repeat(shares[:, None, :], 2, axis=1), np.arange(4), np.zeros(4, np.int64)


def _turned_shares(state: BenchState, time_s: float) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the share (4, 2, 2) of arriving light in the detectors of the basis that Bob's modulator plays."""
    contrast = state.link.visibility * arriving_stokes(state, time_s)[:, :2]
    shares = np.stack([(1.0 + contrast) / 2.0, (1.0 - contrast) / 2.0], axis=2)
    return shares, np.arange(2), np.zeros(2, np.int64)
