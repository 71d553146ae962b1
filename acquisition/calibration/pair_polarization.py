"""Bring the bases of two receivers of photon pairs into agreement, with one polarization controller or two.

Both bases are measured at once: the correlations of all four pairs of bases are linear in the rotation between the
receivers, so that the search of `faintlink.instruments.calibration.polarization` serves unchanged.

Sources: C. Bennett, G. Brassard, N. Mermin, PRL 68, 557 (1992); see also `instruments.calibration.polarization`.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.calibration.coincidences import PairCounter, correlation, pair_errors
from faintlink.acquisition.calibration.pairs import pair_sign
from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.instruments.calibration.polarization import coordinate_search, newton_search, wrap_deg
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session

Floats = npt.NDArray[np.float64]
_PARTIES = (("bob", "polarization_controller"), ("alice", "polarization_controller_2"))
_STARTS = ((45.0, 0.0, 45.0), (0.0, 45.0, 90.0), (-45.0, 22.5, 0.0))
_BASES = ("z", "x")


class PairAlignment(Routine):
    """Minimise the QBER of both bases, at Bob first and then at Alice where she has a controller."""

    name = "pair_polarization"
    roles = ("pair_source", "polarization_controller")
    timeout_s = 3600.0
    options: ClassVar[Mapping[str, float]] = {
        "duration_s": 0.04,
        "fine_s": 0.2,
        "confirm_s": 1.0,
        "steps": 6,
        "step_deg": 8.0,
        "max_qber_excess": 0.01,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the greatest QBER that the policy allows, and the sign of the state."""
        return {"max_qber": link.security.max_qber, "sign": pair_sign(link)}

    def measure(self, session: Session) -> None:
        """Search each party's angles, once more from the best, and from others if that is a dead end."""
        session.turn("pair_source.enabled", True)
        counter = PairCounter(session)
        for party, role in _PARTIES:
            if not session.has(role):
                continue
            knob = f"{role}.angles"
            start = [float(angle) for angle in session.get(knob)]
            for other in (None, None, *_STARTS):
                _search(session, counter, party, knob, start if other is None else other)
                scan = session.scans[f"candidates_{party}"]
                best = _best(scan, session.options["sign"])
                start = _angles(scan, best)
                if all(c.is_met for c in _criteria(session.scans, session.options, party)):
                    break
            session.turn(knob, start)

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Take the best candidate of each party; both bases must be good, not their mean."""
        criteria: list[Criterion] = []
        proposal: dict[str, object] = {"pair_source.enabled": True}
        results: dict[str, float] = {}
        for party, role in _PARTIES:
            if f"candidates_{party}" not in scans:
                continue
            scan = scans[f"candidates_{party}"]
            best = _best(scan, options["sign"])
            criteria += _criteria(scans, options, party)
            proposal[f"{role}.angles"] = _angles(scan, best)
            for basis in _BASES:
                results[f"qber_{basis}"] = float(pair_errors(scan, basis, sign=options["sign"])[0][best])
        if "confirmed" in scans:
            for basis in _BASES:
                error, sigma = pair_errors(scans["confirmed"], basis, sign=options["sign"])
                criteria.append(Criterion(f"QBER of basis {basis.upper()}, set anew", float(error[0]),
                                          float(sigma[0]), options["max_qber"], "at most"))  # fmt: skip
                results[f"qber_{basis}"] = float(error[0])
        return Decision((), tuple(criteria), proposal, results, "check the source's visibility and both analysers")

    def confirm(self, session: Session, decision: Decision) -> None:
        """Count once more with the angles set anew."""
        del decision
        PairCounter(session).point("confirmed", {}, session.options["confirm_s"])


def _search(session: Session, counter: PairCounter, party: str, knob: str, start: Sequence[float]) -> None:
    sign = session.options["sign"]

    def contrasts(angles: Sequence[float] | Floats, duration_s: float) -> Floats:
        _point(session, counter, f"search_{party}", knob, angles, duration_s)
        scan = session.scans[f"search_{party}"]
        return sign * np.array([correlation(scan, a, b)[0][-1] for a in _BASES for b in _BASES])

    def error(angles: Sequence[float]) -> float:
        seen = contrasts(angles, session.options["duration_s"])
        return float(0.5 - 0.25 * (seen[0] + seen[3]))

    angles = coordinate_search(error, start, sweeps=1)
    found = newton_search(
        lambda at: contrasts(at, session.options["fine_s"]),
        angles,
        steps=int(session.options["steps"]),
        step_deg=session.options["step_deg"],
    )
    _point(session, counter, f"candidates_{party}", knob, found, session.options["confirm_s"])


def _point(
    session: Session, counter: PairCounter, scan: str, knob: str, angles: Sequence[float] | Floats, duration_s: float
) -> None:
    wrapped = [wrap_deg(float(angle)) for angle in angles]
    session.turn(knob, wrapped)
    counter.point(scan, {f"angle_{k}_deg": angle for k, angle in enumerate(wrapped)}, duration_s)


def _best(scan: Scan, sign: float) -> int:
    total = sum((pair_errors(scan, basis, sign=sign)[0] for basis in _BASES), np.zeros(len(scan)))
    return int(np.argmin(total))


def _angles(scan: Scan, row: int) -> list[float]:
    return [float(scan[name][row]) for name in scan.columns if name.startswith("angle_")]


def _criteria(scans: Mapping[str, Scan], options: Mapping[str, float], party: str) -> list[Criterion]:
    """Return what the best candidate must satisfy, basis by basis.

    Where a rotation is left over, the correlations of unlike bases show its sine: they are required to vanish to
    the QBER that the excess allows.
    """
    scan, sign = scans[f"candidates_{party}"], options["sign"]
    best = _best(scan, sign)
    criteria = []
    for basis in _BASES:
        error, sigma = pair_errors(scan, basis, sign=sign)
        criteria.append(Criterion(f"QBER of basis {basis.upper()} at {party}", float(error[best]), float(sigma[best]),
                                  options["max_qber"], "at most"))  # fmt: skip
    # sin^2(angle / 2) of the bits are wrong, and the correlation of unlike bases is sin(angle).
    limit = 2.0 * np.sqrt(options["max_qber_excess"])
    for a, b in ("zx", "xz"):
        value, sigma = correlation(scan, a, b)
        name = f"correlation of bases {a.upper()} and {b.upper()} at {party}"
        criteria.append(Criterion(name, abs(float(value[best])), float(sigma[best]), float(limit), "at most"))
    return criteria
