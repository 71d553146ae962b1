"""Weighted fits of calibration scans: fringes, lines and peaks, each with its covariance.

Routines call them from their decisions, live and in a replay; they are deterministic and know no instrument. A
covariance is scaled by chi2/dof where the scatter exceeds the stated errors, so that a model that does not
describe the data shows as a large uncertainty and not as a wrong certainty.

Sources: W. Press et al., "Numerical Recipes", 3rd ed., chapter 15 (linear and nonlinear least squares).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from faintlink.core.calibration.records import Fit

Floats = npt.NDArray[np.float64]
_REFINEMENTS = 30


def weighted_fit(name: str, model: str, parameters: Sequence[str], design: Floats, y: Floats, sigma: Floats) -> Fit:
    """Return the linear least-squares fit ``y = design @ parameters``.

    Parameters
    ----------
    name, model, parameters
        Of the fit.
    design
        (n, p) float64.
    y, sigma
        (n,) float64: data and their standard deviations, positive.
    """
    scaled = design / sigma[:, None]
    normal = scaled.T @ scaled
    values: Floats = np.linalg.lstsq(scaled, y / sigma, rcond=None)[0].astype(np.float64)
    chi2 = float(np.sum(((y - design @ values) / sigma) ** 2))
    return _fit(name, model, parameters, values, normal, chi2, y.size - values.size)


def _fit(
    name: str, model: str, parameters: Sequence[str], values: Floats, normal: Floats, chi2: float, dof: int
) -> Fit:
    scale = max(1.0, chi2 / dof) if dof > 0 else 1.0
    covariance = np.linalg.pinv(normal, hermitian=True) * scale
    rows = tuple(tuple(float(entry) for entry in row) for row in covariance)
    return Fit(name, model, tuple(parameters), tuple(float(v) for v in values), rows, chi2, dof)


def fit_fringes(
    name: str, x: Floats, curves: Sequence[tuple[Floats, Floats]], *, half_wave: tuple[float, float]
) -> Fit:
    """Return the joint fit of cosines of one unknown period to several curves over the same set points.

    Parameters
    ----------
    name
        Of the fit.
    x
        (n,) float64 set points in V.
    curves
        (y, sigma) of each curve, (n,) float64.
    half_wave
        Least and greatest half-wave voltage to look for, in V.

    Returns
    -------
    Fit
        ``half_wave_v``, then for curve k: ``offset_k``, ``amplitude_k`` (positive) and ``maximum_k_v``, the set
        point of a maximum, within one half-wave voltage of the middle of the scan.

    Notes
    -----
    y_k = offset_k + amplitude_k cos(pi (x - maximum_k) / half_wave). The period is looked for on a grid, the rest
    is linear; then Gauss and Newton refine all parameters together.
    """
    middle = 0.5 * float(x.min() + x.max())
    grid = np.geomspace(half_wave[0], half_wave[1], 200)
    best = min(grid, key=lambda v: sum(_linear_cosine(x - middle, y, s, v)[1] for y, s in curves))
    start = [float(best)]
    for y, sigma in curves:
        (offset, a, b), _ = _linear_cosine(x - middle, y, sigma, float(best))
        start += [offset, math.hypot(a, b), math.atan2(b, a) * best / math.pi]
    values, normal, chi2 = _refine(lambda p: _fringe_residuals(p, x - middle, curves), np.array(start))
    for k in range(len(curves)):
        values[3 + 3 * k] += middle
    names = ["half_wave_v"]
    for k in range(len(curves)):
        names += [f"offset_{k}", f"amplitude_{k}", f"maximum_{k}_v"]
    dof = x.size * len(curves) - values.size
    return _fit(name, "offset + amplitude cos(pi (v - maximum) / half_wave)", names, values, normal, chi2, dof)


def _linear_cosine(x: Floats, y: Floats, sigma: Floats, half_wave: float) -> tuple[Floats, float]:
    phase = np.pi * x / half_wave
    design = np.stack([np.ones_like(x), np.cos(phase), np.sin(phase)], axis=1) / sigma[:, None]
    values: Floats = np.linalg.lstsq(design, y / sigma, rcond=None)[0].astype(np.float64)
    return values, float(np.sum((y / sigma - design @ values) ** 2))


def _fringe_residuals(p: Floats, x: Floats, curves: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    residuals, slopes = [], []
    for k, (y, sigma) in enumerate(curves):
        offset, amplitude, maximum = p[1 + 3 * k : 4 + 3 * k]
        phase = np.pi * (x - maximum) / p[0]
        slope = np.zeros((x.size, p.size))
        slope[:, 0] = amplitude * np.sin(phase) * phase / p[0]
        slope[:, 1 + 3 * k], slope[:, 2 + 3 * k] = 1.0, np.cos(phase)
        slope[:, 3 + 3 * k] = amplitude * np.sin(phase) * np.pi / p[0]
        residuals.append((y - offset - amplitude * np.cos(phase)) / sigma)
        slopes.append(slope / sigma[:, None])
    return np.concatenate(residuals), np.concatenate(slopes)


def _refine(residuals: Callable[[Floats], tuple[Floats, Floats]], start: Floats) -> tuple[Floats, Floats, float]:
    """Return (values, normal matrix, chi2) of a Gauss-Newton descent that halves steps which do not help."""
    values = start.copy()
    rest, slope = residuals(values)
    chi2 = float(rest @ rest)
    for _ in range(_REFINEMENTS):
        step = np.linalg.lstsq(slope, rest, rcond=None)[0]
        for shrink in (1.0, 0.5, 0.25, 0.1, 0.01):
            tried = values + shrink * step
            new_rest, new_slope = residuals(tried)
            if float(new_rest @ new_rest) <= chi2:
                break
        else:
            break
        gain = chi2 - float(new_rest @ new_rest)
        values, rest, slope, chi2 = tried, new_rest, new_slope, float(new_rest @ new_rest)
        if gain <= 1e-12 * max(chi2, 1.0):
            break
    return values, slope.T @ slope, chi2


def fit_peak(name: str, x_ps: Floats, counts: Floats) -> Fit:
    """Return the fit of a Gaussian on a flat floor to a histogram.

    Returns
    -------
    Fit
        ``area``, ``centre_ps``, ``sigma_ps`` (positive) and ``floor`` (counts of a bin).
    """
    floor = float(np.median(counts))
    net = np.clip(counts - floor, 0.0, None)
    centre = float(x_ps[int(np.argmax(net))])
    width = float(x_ps[1] - x_ps[0])
    near = net > 0.5 * net.max()
    spread = max(width, width * float(np.count_nonzero(near)) / 2.355)
    start = np.array([float(net.sum()), centre, spread, floor])
    error = np.sqrt(np.maximum(counts, 1.0))
    for _ in range(2):
        # The second pass takes its errors from the model: those of the counts themselves favour low bins.
        values, normal, chi2 = _refine(lambda p: _peak_residuals(p, x_ps, counts, error, width), start)  # noqa: B023
        start = values
        error = np.sqrt(np.maximum(counts - _peak_residuals(values, x_ps, counts, error, width)[0] * error, 1.0))
    values[2] = abs(values[2])
    model = "floor + area N(x; centre, sigma)"
    return _fit(name, model, ("area", "centre_ps", "sigma_ps", "floor"), values, normal, chi2, x_ps.size - 4)


def _peak_residuals(p: Floats, x: Floats, counts: Floats, error: Floats, width: float) -> tuple[Floats, Floats]:
    area, centre, sigma, floor = p
    z = (x - centre) / sigma
    bell = width / (abs(sigma) * math.sqrt(2.0 * math.pi)) * np.exp(-0.5 * z * z)
    slope = np.stack([bell, area * bell * z / sigma, area * bell * (z * z - 1.0) / sigma, np.ones_like(x)], axis=1)
    return (counts - floor - area * bell) / error, slope / error[:, None]


def fit_bell(name: str, x: Floats, y: Floats, sigma: Floats) -> Fit:
    """Return the fit of a Gaussian on a flat floor to a scan of few points with known errors.

    Parameters
    ----------
    name
        Of the fit.
    x
        (n,) float64 set points, rising.
    y, sigma
        (n,) float64: data and their standard deviations, positive.

    Returns
    -------
    Fit
        ``height``, ``centre``, ``sigma`` (positive) and ``floor``, in the units of the data.
    """
    floor = float(np.min(y))
    top = int(np.argmax(y))
    height = max(float(y[top]) - floor, 1e-12)
    above = y - floor > 0.5 * height
    width = max(float(x[1] - x[0]), float(np.count_nonzero(above)) * float(x[-1] - x[0]) / x.size) / 2.355
    start = np.array([height, float(x[top]), width, floor])
    values, normal, chi2 = _refine(lambda p: _bell_residuals(p, x, y, sigma), start)
    values[2] = abs(values[2])
    parameters = ("height", "centre", "sigma", "floor")
    return _fit(name, "floor + height exp(-(x - centre)^2 / 2 sigma^2)", parameters, values, normal, chi2, x.size - 4)


def _bell_residuals(p: Floats, x: Floats, y: Floats, error: Floats) -> tuple[Floats, Floats]:
    height, centre, sigma, floor = p
    z = (x - centre) / sigma
    bell = np.exp(-0.5 * z * z)
    slope = np.stack([bell, height * bell * z / sigma, height * bell * z * z / sigma, np.ones_like(x)], axis=1)
    return (y - floor - height * bell) / error, slope / error[:, None]
