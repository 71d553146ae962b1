"""A straight line through the last figures, with its uncertainty, and when it meets an alarm line.

Pure; used by `planner`. A line is all that a few points support: what bends is followed by its newest points, since
old ones are dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faintlink.core.calibration.records import Fit
from faintlink.instruments.calibration.fits import weighted_fit

LEAST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Point:
    """A figure at a time."""

    time_s: float
    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted drift."""

    fit: Fit
    """``level`` at ``origin_s`` and ``slope`` per second, with their covariance."""
    origin_s: float

    @property
    def slope(self) -> float:
        """Change per second."""
        return self.fit["slope"]

    @property
    def slope_sigma(self) -> float:
        """Its standard deviation."""
        return self.fit.sigma("slope")

    def at(self, time_s: float) -> tuple[float, float]:
        """Return the value at a time and its standard deviation."""
        later = np.array([1.0, time_s - self.origin_s])
        variance = float(later @ np.array(self.fit.covariance) @ later)
        return float(later @ np.array(self.fit.values)), math.sqrt(max(variance, 0.0))

    def meets(self, level: float, *, sigmas: float = 0.0) -> float | None:
        """Return the first time from the origin on at which the line, plus so many sigmas, meets a level from below.

        None if it never does.
        """
        if self.at(self.origin_s)[0] >= level:
            return self.origin_s
        reach_s = 1.0
        while self._above(reach_s, sigmas) < level:
            reach_s *= 2.0
            if reach_s > 1e9:
                return None
        low_s, high_s = 0.0, reach_s
        for _ in range(60):
            middle_s = 0.5 * (low_s + high_s)
            low_s, high_s = (low_s, middle_s) if self._above(middle_s, sigmas) >= level else (middle_s, high_s)
        return self.origin_s + high_s

    def _above(self, later_s: float, sigmas: float) -> float:
        value, sigma = self.at(self.origin_s + later_s)
        return value + sigmas * sigma


def fit_line(points: Sequence[Point]) -> Line | None:
    """Return the line through points, its origin at the last of them; None if they are too few for one.

    Parameters
    ----------
    points
        In order of time; every sigma is positive.
    """
    if len(points) < LEAST_POINTS or points[-1].time_s <= points[0].time_s:
        return None
    origin_s = points[-1].time_s
    x = np.array([point.time_s - origin_s for point in points])
    y = np.array([point.value for point in points])
    sigma = np.array([point.sigma for point in points])
    design = np.stack([np.ones_like(x), x], axis=1)
    return Line(weighted_fit("drift", "level + slope * time", ("level", "slope"), design, y, sigma), origin_s)
