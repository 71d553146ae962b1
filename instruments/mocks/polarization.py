"""Polarization as Stokes vectors: what modulator, fibre and paddles do to the four states.

A state is a unit vector (S1, S2, S3): H/V are +-S1 (the Z basis), D/A are +-S2 (the X basis), circular light is
+-S3. Lossless elements are rotations of that sphere.

Sources: D. Goldstein, "Polarized Light", 3rd ed., chapters 5-6 (Mueller matrices of rotators and wave plates).
"""

import math

import numpy as np
import numpy.typing as npt

from faintlink.instruments.mocks.fibre_walk import walk_of
from faintlink.instruments.mocks.state import BenchState, PolarizationModulatorState

Floats = npt.NDArray[np.float64]


def rotator(angle_deg: float) -> Floats:
    """Return the rotation (3, 3) that turns linear polarization by an angle."""
    c, s = math.cos(2 * math.radians(angle_deg)), math.sin(2 * math.radians(angle_deg))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def retarder(angle_deg: float, retardance_deg: float) -> Floats:
    """Return the rotation (3, 3) of a wave plate whose fast axis stands at an angle to H."""
    c, s = math.cos(math.radians(retardance_deg)), math.sin(math.radians(retardance_deg))
    plate = np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
    turn = rotator(angle_deg)
    rotated: Floats = turn @ plate @ turn.T
    return rotated


def controller(paddles_deg: tuple[float, ...]) -> Floats:
    """Return the rotation (3, 3) of quarter-, half- and quarter-wave paddles; identity at all zero."""
    turn = np.eye(3)
    for angle_deg, retardance_deg in zip(paddles_deg, (90.0, 180.0, 90.0), strict=True):
        turn = retarder(angle_deg, retardance_deg) @ turn
    return turn


def link_rotation(state: BenchState, time_s: float) -> Floats:
    """Return the rotation (3, 3) of fibre and controller at a bench time in s."""
    link = state.link
    angle_deg = link.rotation_deg + link.rotation_drift_deg_per_s * time_s
    fibre = retarder(0.0, link.retardance_deg) @ rotator(angle_deg)
    if link.walk_rad2_per_h:
        fibre = fibre @ walk_of(state.seed, link.walk_rad2_per_h).at(time_s)
    return controller(link.paddles_deg) @ fibre


def sent_stokes(modulator: PolarizationModulatorState) -> Floats:
    """Return the Stokes vectors (4, 3) of the sender's states, by bit + 2 basis."""
    angles = [math.pi * drive / modulator.half_wave_v for drive in modulator.drive_v]
    return np.array([[math.cos(angle), math.sin(angle), 0.0] for angle in angles])


def arriving_stokes(state: BenchState, time_s: float) -> Floats:
    """Return the Stokes vectors (4, 3) of the four states in front of Bob's analysers."""
    return sent_stokes(state.polarization_modulator) @ link_rotation(state, time_s).T
