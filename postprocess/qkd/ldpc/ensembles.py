"""Degree distributions of irregular LDPC codes for the binary symmetric channel, by linear programming.

Used only to derive the shipped codes. For a given error rate and check degree it finds the shares of variable
degrees that need the fewest checks and still let the mutual information of the messages grow up to one. The channel
is kept exact (two peaks), the messages of the checks are taken as Gaussian, and a check's information is exact for
the resulting mixture by its series in E[tanh^2k]. It is a design tool: what a code reaches is measured, not claimed.

Sources: Richardson, Shokrollahi, Urbanke, IEEE Trans. Inf. Theory 47 (2001) 619 (the linear program, the stability
condition); Chung, Richardson, Urbanke, ibid. 657 (Gaussian messages); Elkouss, Leverrier, Alleaume, Boutros,
arXiv:0901.2140 (such codes for key distillation; its printed distributions are not used).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

Floats = npt.NDArray[np.float64]

DEGREES = np.array([2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 24, 29, 35, 42, 50, 60])
TERMS = 250
GAP = 0.002
"""Share by which each step must shrink what is missing to full information."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Degrees of a code, as counts of the base matrix."""

    rows: int
    """Rows of the base matrix."""
    qber: float
    """Error rate of its predicted threshold."""
    degrees: tuple[tuple[int, int], ...]
    """(variable degree, columns that have it)."""


def _gaussian_information(means: Floats) -> Floats:
    # Mutual information of a consistent Gaussian log-likelihood ratio of each mean (variance 2 mean), in bits.
    grid = np.linspace(-6.0, 6.0, 241)
    weight = np.exp(-grid * grid / 2.0)
    weight /= weight.sum()
    ratios = means[:, None] + np.sqrt(2.0 * means)[:, None] * grid
    return np.asarray(1.0 - (np.logaddexp(0.0, -ratios) / np.log(2.0)) @ weight)


def _moments(qber: float, means: Floats, degrees: npt.NDArray[np.int64]) -> Floats:
    # E[tanh(L/2)^2k] of a variable's messages, (mean, degree, k): channel plus (degree - 1) Gaussian messages.
    grid = np.linspace(-6.0, 6.0, 121)
    weight = np.exp(-grid * grid / 2.0)
    weight /= weight.sum()
    channel = np.log((1.0 - qber) / qber)
    total = means[:, None] * (degrees - 1)[None, :]
    noise = np.sqrt(2.0 * total)[..., None] * grid
    out = np.zeros((*total.shape, TERMS))
    for share, shift in ((1.0 - qber, channel), (qber, -channel)):
        square = np.tanh((total[..., None] + shift + noise) / 2.0) ** 2
        power = np.ones_like(square)
        for term in range(TERMS):
            power *= square
            out[..., term] += share * (power @ weight)
    return out


def _check_information(moments: Floats, check_degree: float) -> tuple[Floats, Floats]:
    # Information of a check's messages for mixed moments (point, k), and its slope by each moment.
    order = np.arange(1, TERMS + 1)
    series = 1.0 / (2.0 * order * (2.0 * order - 1.0) * np.log(2.0))
    series[-1] += (1.0 - series.sum()) / 2.0  # what the cut leaves out, at about half the last power
    low = int(check_degree)
    share_high = (check_degree - low) * (low + 1) / check_degree  # of edges at checks of degree low + 1
    information = np.zeros(moments.shape[0])
    slope = np.zeros_like(moments)
    for share, degree in ((1.0 - share_high, low), (share_high, low + 1)):
        information += share * (moments ** (degree - 1)) @ series
        slope += share * (degree - 1) * moments ** (degree - 2) * series
    return information, slope


class Designer:
    """Designs ensembles for one error rate; keeps the moments that all check degrees share."""

    def __init__(self, qber: float, most: int) -> None:
        self.qber = qber
        self.degrees = DEGREES[most >= DEGREES]
        means = np.geomspace(1e-4, 40.0, 600)
        self._information = _gaussian_information(means)
        wanted = np.concatenate((np.linspace(0.004, 0.9, 70), 1.0 - np.geomspace(0.095, 0.02, 12)))
        self._wanted = wanted
        self._moments = _moments(qber, np.interp(wanted, self._information, means), self.degrees)

    def shares(self, check_degree: float) -> Floats | None:
        """Return the shares of edges of each degree that need the fewest checks, or None if there are none."""
        start: Floats = np.exp(2.0 * np.log(1.0 - 2.0 * self.qber) * np.arange(1, TERMS + 1))
        first = _check_information(start[None, :], check_degree)[0][0]
        used = self._wanted > 0.9 * first
        if used.sum() < 20:
            return None
        wanted, moments = self._wanted[used], self._moments[used]
        shares: Floats = np.full(self.degrees.size, 1.0 / self.degrees.size)
        stable = 1.0 / (2.0 * np.sqrt(self.qber * (1.0 - self.qber)) * (check_degree - 1.0))
        for _ in range(12):
            reached, slope = _check_information(np.einsum("pdk,d->pk", moments, shares), check_degree)
            gain = np.einsum("pdk,pk->pd", moments, slope)
            bound = reached - gain @ shares - wanted - GAP * (1.0 - wanted)
            bounds = [(0.0, stable if degree == 2 else 1.0) for degree in self.degrees]
            found = linprog(
                -1.0 / self.degrees, A_ub=-gain, b_ub=bound, A_eq=np.ones((1, shares.size)), b_eq=[1.0], bounds=bounds
            )
            if not found.success:
                return None
            best: Floats = np.asarray(found.x, np.float64)
            change = float(np.abs(best - shares).max())
            shares = 0.5 * (shares + best) if change > 0.05 else best
            if change < 1e-4:
                break
        return shares

    def leak(self, shares: Floats, check_degree: float) -> float:
        """Return checks over variables."""
        return float(1.0 / (check_degree * (shares / self.degrees).sum()))


def _counts(shares: Floats, degrees: npt.NDArray[np.int64], columns: int) -> tuple[tuple[int, int], ...]:
    exact = shares / degrees / (shares / degrees).sum() * columns
    whole = np.floor(exact).astype(int)
    for chosen in np.argsort(whole - exact)[: columns - int(whole.sum())]:
        whole[chosen] += 1
    return tuple((int(d), int(c)) for d, c in zip(degrees, whole, strict=True) if c)


def design(rows: int, columns: int, check_degree: float) -> Ensemble | None:
    """Return the ensemble of a mean check degree with the highest predicted error rate, or None if it is poor."""
    target = rows / columns
    limit = _entropy_inverse(target)
    low, high = 0.80 * limit, limit
    best: tuple[tuple[int, int], ...] | None = None
    for _ in range(9):
        qber = (low + high) / 2.0
        designer = Designer(qber, min(60, rows * 3 // 4))
        shares = designer.shares(check_degree)
        if shares is not None and designer.leak(shares, check_degree) <= target:
            low, best = qber, _counts(shares, designer.degrees, columns)
        else:
            high = qber
    return None if best is None else Ensemble(rows, low, best)


def _entropy_inverse(entropy: float) -> float:
    low, high = 1e-9, 0.5
    for _ in range(60):
        middle = (low + high) / 2.0
        h = -middle * np.log2(middle) - (1.0 - middle) * np.log2(1.0 - middle)
        low, high = (middle, high) if h < entropy else (low, middle)
    return low
