"""Predict and correct a clock from phase measurements: a Kalman filter with phase, rate and drift.

The pulse tracker and the pair tracker steer with it. It holds small differences only; the integer time they refer
to is the caller's.

Sources: two- and three-state clock models (Galleani and Tavella, IEEE Control Systems 30(2), 44, 2010).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE_WALK = (300.0) ** 2
"""Random walk of the rate, (ps/s)^2 per s: 3e-10 in one second, a poor quartz oscillator."""
DRIFT_WALK = (1.0e5) ** 2 / 10.0
"""Random walk of the drift, (ps/s^2)^2 per s: 1e-7 per s within ten seconds, as a room warms up."""


@dataclass(slots=True)
class ClockFilter:
    """State and covariance of [phase ps, rate ps/s, drift ps/s^2]."""

    state: npt.NDArray[np.float64]
    """(3,) float64."""
    covariance: npt.NDArray[np.float64]
    """(3, 3) float64."""

    @classmethod
    def start(cls, *, rate: float, sigmas: tuple[float, float, float]) -> "ClockFilter":
        """Return a filter at phase 0, ``rate`` in ps/s and drift 0, with standard errors of all three."""
        return cls(np.array([0.0, rate, 0.0]), np.diag(np.square(np.array(sigmas))))

    def advance(self, dt_s: float) -> None:
        """Carry the state over ``dt_s`` seconds; negative runs backwards, uncertainty grows either way."""
        move = np.array([[1.0, dt_s, 0.5 * dt_s**2], [0.0, 1.0, dt_s], [0.0, 0.0, 1.0]])
        away, sign = abs(dt_s), 1.0 if dt_s >= 0.0 else -1.0
        q, d = RATE_WALK, DRIFT_WALK
        noise = np.array(
            [
                [q * away**3 / 3 + d * away**5 / 20, sign * (q * away**2 / 2 + d * away**4 / 8), d * away**3 / 6],
                [sign * (q * away**2 / 2 + d * away**4 / 8), q * away + d * away**3 / 3, sign * d * away**2 / 2],
                [d * away**3 / 6, sign * d * away**2 / 2, d * away],
            ]
        )
        self.state = move @ self.state
        self.covariance = move @ self.covariance @ move.T + noise

    def correct(self, shift_ps: float, sigma_ps: float, at_s: float) -> None:
        """Take in that the phase ``at_s`` seconds from now is ``shift_ps`` off the state's prediction."""
        seen_by = np.array([1.0, at_s, 0.5 * at_s**2])
        spread = self.covariance @ seen_by
        gain = spread / (float(seen_by @ spread) + sigma_ps**2)
        self.state = self.state + gain * shift_ps
        self.covariance = self.covariance - np.outer(gain, spread)
        self.covariance = 0.5 * (self.covariance + self.covariance.T)

    @property
    def phase_sigma_ps(self) -> float:
        """Standard error of the phase now."""
        return float(np.sqrt(max(self.covariance[0, 0], 0.0)))
