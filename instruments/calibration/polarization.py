"""Undo the fibre's rotation of polarization with a controller, by the errors of two states.

Each angle is scanned once: behind a rotating retarder the error is a sum of the second and fourth harmonics of its
angle, so that ten points give the best angle of the whole circle and no step size has to be chosen. Alternating
scans would creep along curved valleys; damped Gauss-Newton steps on all four contrasts of the two states go
straight, and a simplex polishes. What the search found is then counted for long, and the decision looks at that.

Sources: D. Goldstein, "Polarized Light", 3rd ed., chapter 6 (rotated retarders); K. Levenberg, Quart. Appl. Math. 2
(1944) 164; J. Nelder, R. Mead, Comput. J. 7 (1965) 308.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.instruments.calibration.play import basis_contrast, hold, laser_off, play_bright
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session

Floats = npt.NDArray[np.float64]
Error = Callable[[Sequence[float]], float]
Contrasts = Callable[[Floats], Floats]
_STARTS = ((45.0, 0.0, 45.0), (0.0, 45.0, 90.0), (-45.0, 22.5, 0.0))
_POINTS = 10
_WANTED = np.array([1.0, 0.0, 0.0, 1.0])
_STATES = (("", "z", "H"), ("_d", "x", "D"))
"""Suffix of its scans, basis and name of each state."""
_KNOB = "polarization_controller.angles"
_LEVELS = "polarization_modulator.drive_levels"


class PolarizationAlignment(Routine):
    """Bring state H to the first detector of basis Z and state D to the first of basis X."""

    name = "polarization"
    roles = ("sender", "polarization_modulator", "polarization_controller")
    timeout_s = 3600.0
    options: ClassVar[Mapping[str, float]] = {
        "duration_s": 0.005,
        "fine_s": 0.03,
        "confirm_s": 0.1,
        "weak_factor": 5.0,
        "steps": 8,
        "step_deg": 6.0,
        "simplex_points": 20,
        "max_qber_excess": 0.01,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the greatest QBER that the policy allows."""
        return {"max_qber": link.security.max_qber}

    def measure(self, session: Session) -> None:
        """Search from the present angles, once more from the best, and from others if that is a dead end."""
        play_bright(session)
        session.dim()
        laser_off(session, 0.1)
        start = [float(angle) for angle in session.get(_KNOB)]
        for other in (None, None, *_STARTS):
            self._search(session, start if other is None else other)
            best = _best(session.scans)
            if all(criterion.is_met for criterion in _criteria(session.scans, session.options, best)):
                return
            start = _angles(session.scans, best)

    def _search(self, session: Session, start: Sequence[float]) -> None:
        coarse, fine = session.options["duration_s"], session.options["fine_s"]

        def contrasts(angles: Sequence[float] | Floats, duration_s: float) -> Floats:
            _measure_states(session, "search", [wrap_deg(float(angle)) for angle in angles], duration_s)
            seen = session.scans
            return np.array(
                [basis_contrast(seen, f"search{end}", basis)[0][-1] for end in ("", "_d") for basis in "zx"]
            )

        def error(angles: Sequence[float], duration_s: float = coarse) -> float:
            seen = contrasts(angles, duration_s)
            return float(0.5 - 0.25 * (seen[0] + seen[3]))

        angles = coordinate_search(error, start, sweeps=1)
        angles = newton_search(
            lambda at: contrasts(at, fine),
            angles,
            steps=int(session.options["steps"]),
            step_deg=session.options["step_deg"],
        )
        _measure_states(session, "candidates", angles, session.options["confirm_s"])
        simplex = np.array(angles) + 4.0 * np.vstack([np.zeros(len(angles)), np.eye(len(angles))])
        options: Any = {"initial_simplex": simplex, "maxfev": int(session.options["simplex_points"])}
        polish: Any = minimize  # its overloads follow the stubs of one version
        found = polish(lambda at: error([float(a) for a in at], fine), angles, method="Nelder-Mead", options=options)
        polished = [wrap_deg(float(angle)) for angle in found.x]
        _measure_states(session, "candidates", polished, session.options["confirm_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Take the best candidate; either state must be as good as ever seen, and well below the policy's limit."""
        best = _best(scans)
        criteria = _criteria(scans, options, best)
        limit = 0.5 * options["max_qber"]
        for end, basis, state in _STATES:
            if f"confirmed{end}" in scans:
                error, sigma = _errors(scans, f"confirmed{end}", basis)
                name = f"QBER of state {state}, set anew"
                criteria.append(Criterion(name, float(error[0]), float(sigma[0]), limit, "at most"))
        results = {f"qber_{basis}": float(_errors(scans, f"candidates{end}", basis)[0][best])
                   for end, basis, _ in _STATES}  # fmt: skip
        results["candidates"] = float(len(scans["candidates"]))
        proposal = {_KNOB: _angles(scans, best)}
        return Decision((), tuple(criteria), proposal, results, "check contrast of source and analyser")

    def confirm(self, session: Session, decision: Decision) -> None:
        """Count once more with the angles set anew."""
        play_bright(session)
        session.dim()
        _measure_states(session, "confirmed", decision.proposal[_KNOB], session.options["confirm_s"])


def _best(scans: Mapping[str, Scan]) -> int:
    total = sum((_errors(scans, f"candidates{end}", basis)[0] for end, basis, _ in _STATES), np.zeros(1))
    return int(np.argmin(total))


def _angles(scans: Mapping[str, Scan], row: int) -> list[float]:
    scan = scans["candidates"]
    return [float(scan[name][row]) for name in scan.columns if name.startswith("angle_")]


def _criteria(scans: Mapping[str, Scan], options: Mapping[str, float], row: int) -> list[Criterion]:
    """Return what a candidate must satisfy, state by state: a mean would hide a basis that is off."""
    criteria = []
    for end, basis, state in _STATES:
        error, sigma = _errors(scans, f"candidates{end}", basis)
        seen, spread = _errors(scans, f"search{end}", basis)
        # With two sigmas on top a lucky count of the search does not pass for the least error.
        least = min(float(np.min(error + 2.0 * sigma)), float(np.min(seen + 2.0 * spread)))
        value, doubt = float(error[row]), float(sigma[row])
        limit = 0.5 * options["max_qber"]
        criteria += [
            Criterion(f"QBER of state {state}", value, doubt, limit, "at most"),
            Criterion(f"QBER of state {state} above the least seen", value - least, doubt,
                      options["max_qber_excess"], "at most"),
        ]  # fmt: skip
    return criteria


def wrap_deg(angle: float) -> float:
    """Return an angle within -90..90 degrees: a wave plate looks alike from both sides."""
    return math.remainder(angle, 180.0)


def _measure_states(session: Session, scan: str, angles: Sequence[float], duration_s: float) -> None:
    """Add one row: angles, counts of state H, and counts of state D in a scan of its own."""
    levels = session.before.get(_LEVELS) or session.get(_LEVELS)
    session.turn(_KNOB, [float(angle) for angle in angles])
    set_points = {f"angle_{k}_deg": float(angle) for k, angle in enumerate(angles)}
    for end, drive, factor in (("", levels[0], 1.0), ("_d", levels[2], session.options["weak_factor"])):
        hold(session, "polarization_modulator", float(drive))
        session.point(f"{scan}{end}", set_points, factor * duration_s)


def _errors(scans: Mapping[str, Scan], scan: str, basis: str) -> tuple[Floats, Floats]:
    """Return (n,) errors of a state in its own basis and their standard deviations."""
    contrast, sigma = basis_contrast(scans, scan, basis)
    error: Floats = 0.5 - 0.5 * contrast
    return error, 0.5 * sigma


def coordinate_search(error: Error, start: Sequence[float], *, sweeps: int) -> list[float]:
    """Return angles in degrees of small error, found one after the other on the whole circle.

    Parameters
    ----------
    error
        Measures at given angles.
    start
        First angles.
    sweeps
        Most rounds over all angles; it ends sooner when a round moves none by more than half a degree.
    """
    angles = [float(angle) for angle in start]
    grid = np.arange(_POINTS) * 180.0 / _POINTS
    for _ in range(sweeps):
        before = list(angles)
        for k in range(len(angles)):
            seen = [error([*angles[:k], wrap_deg(float(angle)), *angles[k + 1 :]]) for angle in grid]
            angles[k] = best_angle_deg(grid, np.array(seen))
        if max(abs(wrap_deg(a - b)) for a, b in zip(angles, before, strict=True)) < 0.5:
            break
    return angles


def newton_search(contrasts: Contrasts, start: Sequence[float], *, steps: int, step_deg: float) -> list[float]:
    """Return angles in degrees at which both states have full contrast in their own basis and none in the other.

    Parameters
    ----------
    contrasts
        Measures, at angles (p,), the contrasts (4,): H in Z, H in X, D in Z, D in X.
    start
        First angles.
    steps
        Most Gauss-Newton steps; it ends sooner when no damped step helps, or when one is small.
    step_deg
        Distance of the points of each difference.
    """
    angles = np.array(start, float)
    rest, damping = _WANTED - contrasts(angles), 1e-3
    for _ in range(steps):
        turns = step_deg * np.eye(angles.size)
        slopes = np.stack([(contrasts(angles + t) - contrasts(angles - t)) / (2.0 * step_deg) for t in turns], axis=1)
        normal = slopes.T @ slopes
        for _ in range(4):
            damped = normal + damping * np.diag(np.diag(normal) + 1e-7)
            step = np.clip(np.linalg.solve(damped, slopes.T @ rest), -25.0, 25.0)
            tried = _WANTED - contrasts(angles + step)
            if tried @ tried < rest @ rest:
                break
            damping *= 10.0
        else:
            break
        angles, rest, damping = angles + step, tried, max(damping / 5.0, 1e-4)
        if float(np.abs(step).max()) < 0.3:
            break
    return [wrap_deg(float(angle)) for angle in angles]


def best_angle_deg(angles_deg: Floats, error: Floats) -> float:
    """Return the angle of least error of a rotating retarder, from errors (n,) at angles (n,) in degrees."""
    values = np.linalg.lstsq(_harmonics(angles_deg), error, rcond=None)[0]
    fine = np.arange(-90.0, 90.0, 0.05)
    return float(fine[int(np.argmin(_harmonics(fine) @ values))])


def _harmonics(angles_deg: Floats) -> Floats:
    t = np.radians(angles_deg)
    return np.stack([np.ones_like(t), np.cos(2 * t), np.sin(2 * t), np.cos(4 * t), np.sin(4 * t)], axis=1)
