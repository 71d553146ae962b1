"""The slow random walk of a fibre's polarization: wind, sun and traffic turn the Poincaré sphere about changing axes.

Used by `polarization`. The walk is a function of seed and bench time alone, so that it does not depend on how the
time is cut into calls. Each second of bench time adds a turn whose three components are normal and alike: a Brownian
motion of the sphere, in which every state, and so each basis, wanders off at the same rate. Nothing here says what a
real fibre does in a storm: its rate is then simply higher.

Sources: F. Perrin, Ann. Sci. École Norm. Sup. 45 (1928) 1 (rotational diffusion: the mean of cos(angle) falls as
exp(-t variance of one component per time)); J. Gordon, H. Kogelnik, PNAS 97 (2000) 4541 (fibres turn Stokes vectors).
"""

import math
import threading
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faintlink.instruments.mocks.random_streams import derived_key

Floats = npt.NDArray[np.float64]
STEP_S = 1.0
"""Bench time in which the sphere turns about one axis."""
_STEPS = 1024
"""Turns that are drawn at a time."""
_WALK_KEY = 64
"""Label of the walk's random numbers; the engine's own labels are below it."""


def turns(vectors_rad: Floats) -> Floats:
    """Return the rotations (n, 3, 3) about vectors (n, 3) by their lengths in rad."""
    angle = np.linalg.norm(vectors_rad, axis=1)
    x, y, z = (vectors_rad / np.maximum(angle, 1e-300)[:, None]).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    sine, rest = np.sin(angle)[:, None, None], (1.0 - np.cos(angle))[:, None, None]
    rotations: Floats = np.eye(3) + sine * cross + rest * (cross @ cross)
    return rotations


class PolarizationWalk:
    """The rotation of one fibre at every bench time.

    Parameters
    ----------
    seed
        Chooses the path; the same seed takes the same path at any rate, faster or slower.
    rate_rad2_per_h
        Mean square of the angle by which a state has turned on the sphere after an hour, as long as it is small.
    """

    def __init__(self, seed: int, rate_rad2_per_h: float) -> None:
        self._seed = seed
        # A turn about a state's own vector leaves it alone: two of three components move it.
        self._sigma_rad = math.sqrt(0.5 * rate_rad2_per_h / 3600.0 * STEP_S)
        self._starts = [np.eye(3)]
        self._block = -1
        self._vectors, self._within = np.empty((0, 3)), np.empty((0, 3, 3))
        self._lock = threading.Lock()

    def at(self, time_s: float) -> Floats:
        """Return the rotation (3, 3) since bench time zero."""
        step, part = divmod(max(time_s, 0.0) / STEP_S, 1.0)
        block, place = divmod(int(step), _STEPS)
        with self._lock:
            while len(self._starts) <= block:
                self._draw(len(self._starts) - 1)
                self._starts.append(self._within[-1])
            if self._block != block:
                self._draw(block)
            rotation: Floats = turns(part * self._vectors[place : place + 1])[0] @ self._within[place]
        return rotation

    def _draw(self, block: int) -> None:
        rng = np.random.default_rng(int(derived_key(self._seed, _WALK_KEY, block)))
        self._vectors = self._sigma_rad * rng.standard_normal((_STEPS, 3))
        within = [self._starts[block]]
        for turn in turns(self._vectors):
            within.append(turn @ within[-1])
        self._block, self._within = block, np.array(within)


@lru_cache(maxsize=16)
def walk_of(seed: int, rate_rad2_per_h: float) -> PolarizationWalk:
    """Return the walk of a seed; it is kept, since the bench asks for it on every step of its time."""
    return PolarizationWalk(seed, rate_rad2_per_h)
