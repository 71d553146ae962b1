"""Overlapping Allan deviation of a series: how much its averages over a time tau differ from one to the next.

Used by campaigns on error rates (taken as frequency-like data) and on clock phases.

Sources: W. J. Riley, "Handbook of Frequency Stability Analysis", NIST Special Publication 1065 (2008), section 5.2.4,
overlapping Allan variance, equation (11); test data of section 12.4.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import ConfigError

_FEWEST = 3


@dataclass(frozen=True, slots=True, eq=False)
class AllanCurve:
    """Deviation against averaging time."""

    tau_s: npt.NDArray[np.float64]
    """(k,) float64 averaging times in seconds, rising."""
    deviation: npt.NDArray[np.float64]
    """(k,) float64 in the unit of the averaged quantity."""
    terms: npt.NDArray[np.int64]
    """(k,) int64 overlapping second differences behind each."""

    def to_dict(self) -> dict[str, list[float] | list[int]]:
        """Return the curve as lists, for JSON."""
        return {"tau_s": self.tau_s.tolist(), "deviation": self.deviation.tolist(), "terms": self.terms.tolist()}


def of_phase(phase: npt.NDArray[np.float64], interval_s: float, factors: list[int] | None = None) -> AllanCurve:
    """Return the overlapping Allan deviation of the rate of change of ``phase``.

    Parameters
    ----------
    phase
        (n,) float64 at equal intervals, in any unit.
    interval_s
        Between two values.
    factors
        Averaging times in intervals; None takes powers of two as far as the data go.

    Raises
    ------
    ConfigError
        An interval that is not positive, or a factor that the data do not reach.
    """
    if not interval_s > 0.0:
        raise ConfigError(f"the interval of a series must be positive, got {interval_s} s")
    steps = doubling(phase.size) if factors is None else factors
    beyond = [m for m in steps if m < 1 or 2 * m >= phase.size]
    if beyond:
        raise ConfigError(f"{phase.size} phase values give no deviation over {beyond} intervals")
    table = [_deviation(phase, interval_s, m) for m in steps]
    return AllanCurve(
        np.array(steps, np.float64) * interval_s,
        np.array(table, np.float64),
        np.array([phase.size - 2 * m for m in steps], np.int64),
    )


def of_rate(rate: npt.NDArray[np.float64], interval_s: float, factors: list[int] | None = None) -> AllanCurve:
    """Return the overlapping Allan deviation of averages of ``rate`` (n,) float64 at equal intervals; see `of_phase`.

    The mean is taken off first, which changes no deviation and keeps the sums small.
    """
    centred = rate - rate.mean() if rate.size else rate
    phase = np.concatenate(([0.0], np.cumsum(centred))) * interval_s
    return of_phase(phase, interval_s, factors)


def doubling(values: int) -> list[int]:
    """Return 1, 2, 4 … as long as a third of ``values`` phase values holds the averaging time."""
    return [1 << k for k in range(max(values, 1).bit_length()) if _FEWEST << k <= values]


def longest_stretch(rate: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the longest stretch of ``rate`` (n,) float64 without nan; the first of equals."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], np.isnan(rate), [True])).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    if not starts.size:
        return rate[:0]
    at = int(np.argmax(stops - starts))
    return rate[starts[at] : stops[at]]


def _deviation(phase: npt.NDArray[np.float64], interval_s: float, m: int) -> float:
    second = phase[2 * m :] - 2.0 * phase[m:-m] + phase[: -2 * m]
    return float(np.sqrt(np.mean(second**2) / 2.0) / (m * interval_s))
