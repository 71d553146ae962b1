"""Scans of delays: a delay line for the best visibility, a gate's delay for the most counts; coarse, then fine.

The interferometers' path difference shows as lost contrast, a Gaussian of the delay for pulses of a Gaussian
spectrum. Each point holds two opposite phases; the length of the arrow that both bases draw is free of the phase,
which turns with the delay.

Sources: W. Tittel et al., Rev. Mod. Phys. 74 145 (2002), section IV (phase coding); B. Saleh, M. Teich, "Fundamentals
of Photonics", 2nd ed., section 11.2 (visibility and coherence time).
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.instruments.calibration.fits import fit_bell
from faintlink.instruments.calibration.play import basis_contrast, hold, laser_off, play_bright, total_rates
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session

Floats = npt.NDArray[np.float64]
_KNOB, _LEVELS = "delay_line.delay", "phase_modulator.drive_levels"
_GATE = "gate_delay.delay"


class DelayScan(Routine):
    """Set the delay line to the delay of best visibility."""

    name = "delay_line"
    roles = ("sender", "phase_modulator", "delay_line")
    timeout_s = 600.0
    options: ClassVar[Mapping[str, float]] = {
        "reach_ps": 30.0,
        "points": 21,
        "fine_points": 15,
        "fine_share": 0.25,
        "duration_s": 0.02,
        "fine_s": 0.1,
        "confirm_s": 0.5,
        "max_loss": 0.01,
        "min_visibility": 0.3,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the interfering share of the light."""
        peaks = link.source.peaks_ps if link.source else ((0, 1.0),)
        central = max(weight for _, weight in peaks) / sum(weight for _, weight in peaks)
        return {"interfering_share": central}

    def measure(self, session: Session) -> None:
        """Scan coarsely around the present delay, never below zero, then finely around the best of that."""
        start, reach = float(session.get(_KNOB)), session.options["reach_ps"]
        play_bright(session)
        session.dim()
        laser_off(session, 0.1)
        low = max(start - reach, 0.0)
        for delay in np.linspace(low, start + reach, int(session.options["points"])):
            _point(session, "coarse", float(delay), session.options["duration_s"])
        seen, _ = _visibility(session.scans, "coarse", session.options["interfering_share"])
        best = float(session.scans["coarse"]["delay_ps"][int(np.argmax(seen))])
        half = session.options["fine_share"] * reach
        for delay in np.linspace(max(best - half, 0.0), best + half, int(session.options["fine_points"])):
            _point(session, "fine", float(delay), session.options["fine_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit the fine scan; what the error of the centre may cost is bounded, and so is what is reached."""
        seen, sigma = _visibility(scans, "fine", options["interfering_share"])
        delays = scans["fine"]["delay_ps"]
        fit = fit_bell("visibility", delays, seen, sigma)
        centre, width = fit["centre"], max(fit["sigma"], 1e-9)
        loss = 0.5 * (3.0 * fit.sigma("centre") / width) ** 2
        inside = min(centre - float(delays[0]), float(delays[-1]) - centre)
        criteria = [
            Criterion("height of the visibility's peak", fit["height"], fit.sigma("height"), 0.0, "at least", 5.0),
            Criterion("distance of the peak from the scan's ends, in ps", inside, fit.sigma("centre"), 0.0, "at least"),
            Criterion("visibility lost by the error of the delay", loss, 0.0, options["max_loss"], "at most"),
        ]
        results = {"delay_ps": centre, "delay_sigma_ps": fit.sigma("centre"), "coherence_sigma_ps": fit["sigma"]}
        if "confirmed" in scans:
            reached, doubt = _visibility(scans, "confirmed", options["interfering_share"])
            results |= {"visibility": float(reached[0]), "visibility_sigma": float(doubt[0])}
            # The half-wave voltages may not be calibrated yet: `visibility` judges what is reached in the end.
            criteria.append(Criterion("visibility at the delay set", float(reached[0]), float(doubt[0]),
                                      options["min_visibility"], "at least"))  # fmt: skip
        advice = "widen reach_ps, or move the delay line nearer to where light interferes"
        return Decision((fit,), tuple(criteria), {_KNOB: max(centre, 0.0)}, results, advice)

    def confirm(self, session: Session, decision: Decision) -> None:
        """Count with the delay set."""
        play_bright(session)
        session.dim()
        _point(session, "confirmed", decision.proposal[_KNOB], session.options["confirm_s"])


class GateDelay(Routine):
    """Set the delay of the detectors' gates to that of the most counts."""

    name = "gate_delay"
    roles = ("sender", "gate_delay")
    timeout_s = 600.0
    options: ClassVar[Mapping[str, float]] = {
        "reach_ps": 1000.0,
        "points": 21,
        "fine_points": 15,
        "fine_share": 0.3,
        "duration_s": 0.02,
        "fine_s": 0.1,
        "confirm_s": 0.5,
        "max_loss": 0.01,
    }

    def measure(self, session: Session) -> None:
        """Count without light, then at delays around the present one, then around the best of these."""
        start, reach = float(session.get(_GATE)), session.options["reach_ps"]
        play_bright(session)
        laser_off(session, 0.2)
        for delay in np.linspace(max(start - reach, 0.0), start + reach, int(session.options["points"])):
            _gate_point(session, "coarse", float(delay), session.options["duration_s"])
        best = float(session.scans["coarse"]["delay_ps"][int(np.argmax(total_rates(session.scans["coarse"])[0]))])
        session.turn(_GATE, best)
        session.dim()
        half = session.options["fine_share"] * reach
        for delay in np.linspace(max(best - half, 0.0), best + half, int(session.options["fine_points"])):
            _gate_point(session, "fine", float(delay), session.options["fine_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit the fine scan, and require the peak within it."""
        rate, sigma = total_rates(scans["fine"])
        delays = scans["fine"]["delay_ps"]
        fit = fit_bell("gated counts", delays, rate, sigma)
        centre, width = fit["centre"], max(fit["sigma"], 1e-9)
        inside = min(centre - float(delays[0]), float(delays[-1]) - centre)
        loss = 0.5 * (3.0 * fit.sigma("centre") / width) ** 2
        criteria = [
            Criterion("height of the gate in Hz", fit["height"], fit.sigma("height"), 0.0, "at least", 5.0),
            Criterion("distance of the peak from the scan's ends, in ps", inside, fit.sigma("centre"), 0.0, "at least"),
            Criterion("counts lost by the error of the delay", loss, 0.0, options["max_loss"], "at most"),
        ]
        results = {"delay_ps": centre, "delay_sigma_ps": fit.sigma("centre"), "gate_sigma_ps": fit["sigma"]}
        if "confirmed" in scans:
            # In the light of one confirmation: that of the scan may have been attenuated otherwise.
            reached, doubt = total_rates(scans["confirmed"])
            beside = 1 + int(np.argmax(reached[1:]))
            gain, spread = float(reached[0] - reached[beside]), float(np.hypot(doubt[0], doubt[beside]))
            criteria.append(Criterion("counts at the delay set above those beside it, in Hz", gain, spread, 0.0,
                                      "at least"))  # fmt: skip
        proposal = {_GATE: max(centre, 0.0)}
        return Decision((fit,), tuple(criteria), proposal, results, "widen reach_ps, or check the trigger")

    def confirm(self, session: Session, decision: Decision) -> None:
        """Count with the delay set, and one width to either side."""
        play_bright(session)
        session.dim()
        width = decision.results["gate_sigma_ps"]
        for offset in (0.0, -width, width):
            delay_ps = max(decision.proposal[_GATE] + offset, 0.0)
            _gate_point(session, "confirmed", delay_ps, session.options["confirm_s"])


def _gate_point(session: Session, scan: str, delay_ps: float, duration_s: float) -> None:
    session.turn(_GATE, delay_ps)
    session.point(scan, {"delay_ps": delay_ps}, duration_s)


def _point(session: Session, scan: str, delay_ps: float, duration_s: float) -> None:
    levels = session.before.get(_LEVELS) or session.get(_LEVELS)
    session.turn(_KNOB, delay_ps)
    for end, level in (("", levels[0]), ("_opposite", levels[1])):
        hold(session, "phase_modulator", float(level))
        session.point(f"{scan}{end}", {"delay_ps": delay_ps}, duration_s)


def _visibility(scans: Mapping[str, Scan], name: str, share: float) -> tuple[Floats, Floats]:
    """Return (n,) visibilities and standard deviations, the noise's length taken off that of the arrow."""
    square = np.zeros(len(scans[name]))
    variance = np.zeros(len(scans[name]))
    for basis in "zx":
        a, sigma_a = basis_contrast(scans, name, basis)
        b, sigma_b = basis_contrast(scans, f"{name}_opposite", basis)
        part, error = (a - b) / (2.0 * share), np.hypot(sigma_a, sigma_b) / (2.0 * share)
        square += part**2 - error**2
        variance += (part * error) ** 2 + 0.5 * error**4
    length: Floats = np.sqrt(np.maximum(square, 0.0))
    floor = np.sqrt(np.sqrt(variance))
    sigma: Floats = np.sqrt(variance) / np.maximum(length, floor)
    return length, sigma
