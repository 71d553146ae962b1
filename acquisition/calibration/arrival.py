"""When clicks arrive: skew of the detectors, centre and width of the gate, and the delay of the whole frame.

The clock and the frame are found in the tags as in any run; the fits look at arrival times alone, not at bits.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from faintlink.acquisition.calibration.sifting import count_errors, error_rate
from faintlink.core.calibration.records import Criterion, Decision, Fit, Scan
from faintlink.core.config.link import LinkConfig, PulsedSource
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S
from faintlink.instruments.calibration.fits import fit_peak
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.play import laser_off
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session
from faintlink.postprocess.qkd.clock import ClockTracker, SlottedTags
from faintlink.postprocess.qkd.slots import SlotCounter

_BINS = 500


class ArrivalTimes(Routine):
    """Find the arrival peak of each detector, take their skew out where they let us, and check the gate."""

    name = "arrival"
    version = 2
    roles = ("sender",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 0.2, "gate_sigmas": 2.5}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return gate, period and peak distance, and the skew that the monitors allow."""
        if link.source is None:
            return {}
        peaks = sorted(delay for delay, _ in link.source.peaks_ps)
        apart = min((b - a for a, b in itertools.pairwise(peaks)), default=link.source.period_ps)
        return {
            "period_ps": link.source.period_ps,
            "peaks_apart_ps": float(apart),
            "gate_center_ps": float(link.gate.center_ps),
            "gate_half_width_ps": float(link.gate.half_width_ps),
            "max_skew_ps": link.security.monitors.max_timing_skew_ps,
        }

    def measure(self, session: Session) -> None:
        """Record the pattern and fold the tags at the recovered clock; note which delays can be set."""
        for number in sorted(set(session.lab.detectors.values())):
            knob = _delay_knob(session, number)
            delay_s = float(session.get(knob)) if knob else 0.0
            session.add("detectors", {"number": number, "can_be_set": int(bool(knob)), "delay_s": delay_s})
        _fold(session, "arrival", "frame")

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit one peak a detector; require skew and gate once the delays are set."""
        detectors = scans["detectors"]
        numbers = [int(number) for number in detectors["number"]]
        fits = [arrival_peak(scans["arrival"], number, options) for number in numbers]
        skew = _skews(fits)
        settable = [bool(flag) for flag in detectors["can_be_set"]]
        proposal = _delays(detectors, skew)
        criteria = [
            Criterion(f"clicks in the peak of detector {number}", fit["area"], fit.sigma("area"), 0.0, "at least", 5.0)
            for number, fit in zip(numbers, fits, strict=True)
        ]
        results = {f"skew_{number}_ps": value for number, value in zip(numbers, skew, strict=True)}
        results["first_slot_s"] = float(scans["frame"]["first_slot_s"][0])
        if "aligned" in scans or not any(settable):
            final = (
                [arrival_peak(scans["aligned"], number, options) for number in numbers] if "aligned" in scans else fits
            )
            criteria += _gate_criteria(numbers, final, options, results)
            fits = [*fits, *final] if "aligned" in scans else fits
        return Decision(tuple(fits), tuple(criteria), proposal, results, "set the delays, or the gate of the link file")

    def confirm(self, session: Session, decision: Decision) -> None:
        """Fold once more with the new delays."""
        if decision.proposal:
            _fold(session, "aligned", "frame_aligned")


def _delay_knob(session: Session, number: int) -> str:
    role = f"detector_{number}"
    can_be_set = session.has(role) and getattr(getattr(session.lab.role(role), "delay", None), "settable", False)
    return f"{role}.delay" if can_be_set else ""


def _fold(session: Session, name: str, frame: str) -> None:
    """Add the histogram of arrival times in a slot by detector, and the time of the first slot."""
    lab = session.lab
    source = lab.link.source
    if source is None:
        return
    # The bench may be far too bright for the clock's sake, never too faint for a histogram.
    settle_s = source.preamble.slots / source.pulse_rate_hz + source.preamble.search_s
    block = session.play_recorded(settle_s + session.options["duration_s"])
    pieces = list(SlotCounter(source, lab.link.clock).stretches([block]))
    session.keep(Scan(name, fold_arrivals(lab, source, pieces)))
    model, first = pieces[0].model, pieces[0]
    slot = int(first.slots[0]) if first.slots.size else 0
    start_ps = int(first.times_ps[0]) - slot * model.period_ps if first.slots.size else 0.0
    session.add(frame, {"first_slot_s": start_ps / PS_PER_S, "period_ps": float(model.period_ps)})


def fold_arrivals(lab: Lab, source: PulsedSource, pieces: Iterable[SlottedTags]) -> dict[str, Any]:
    """Return the histogram of arrival times in a slot.

    Parameters
    ----------
    lab
        Says which detector stands behind each channel.
    source
        What was played.
    pieces
        Tags with the clock that was recovered from them.

    Returns
    -------
    dict
        ``phase_ps``, the middle of each bin, and ``counts_<number>`` of each detector.
    """
    pieces = list(pieces)
    period = source.period_ps
    edges = np.linspace(-period / 2.0, period / 2.0, _BINS + 1)
    columns: dict[str, Any] = {"phase_ps": 0.5 * (edges[1:] + edges[:-1])}
    detectors = lab.detectors
    for number in sorted(set(detectors.values())):
        channels = [lab.channels[outcome] for outcome in detectors if detectors[outcome] == number]
        counts = np.zeros(_BINS, np.int64)
        for piece in pieces:
            counts += np.histogram(piece.phases_ps[np.isin(piece.channels, channels)], edges)[0]
        columns[f"counts_{number}"] = counts
    return columns


def fold_block(lab: Lab, source: PulsedSource, block: TagBlock) -> Scan:
    """Return the histogram of arrival times of a block, by the clock alone: its preamble is not looked for.

    Raises
    ------
    ClockLostError
        No clock is in the tags.
    """
    clock = lab.link.clock
    tracker = ClockTracker(
        source.period_ps,
        peaks=source.peaks_ps,
        max_offset_ppm=clock.max_offset_ppm,
        interval_ps=round(clock.interval_ms * 1e-3 * PS_PER_S),
    )
    return Scan("arrival", fold_arrivals(lab, source, [*tracker.feed(block), *tracker.finish()]))


def arrival_peak(scan: Scan, number: int, options: Mapping[str, float]) -> Fit:
    """Return the fit of a detector's arrival peak; ``options`` are those of `ArrivalTimes`."""
    x, counts = scan["phase_ps"], scan[f"counts_{number}"]
    half = 0.5 * min(options["peaks_apart_ps"], options["period_ps"])
    inside = np.abs(x) <= half
    top = float(x[inside][int(np.argmax(counts[inside]))])
    near = np.abs(x - top) <= half
    return fit_peak(f"detector {number}", x[near], counts[near])


def _delays(detectors: Scan, skew: list[float]) -> dict[str, Any]:
    """Return the least delays in s that make all detectors that can be delayed click together."""
    wanted_ps = {
        int(number): float(delay_s) * PS_PER_S - skew[at]
        for at, (number, delay_s) in enumerate(zip(detectors["number"], detectors["delay_s"], strict=True))
        if detectors["can_be_set"][at]
    }
    least_ps = min(wanted_ps.values(), default=0.0)
    # Detectors resolve picoseconds at best.
    return {f"detector_{n}.delay": round(value - least_ps) / PS_PER_S for n, value in wanted_ps.items()}


def _skews(fits: list[Fit]) -> list[float]:
    middle = sum(fit["centre_ps"] for fit in fits) / len(fits)
    return [fit["centre_ps"] - middle for fit in fits]


def _gate_criteria(
    numbers: list[int], fits: list[Fit], options: Mapping[str, float], results: dict[str, float]
) -> list[Criterion]:
    criteria = []
    for number, fit, skew in zip(numbers, fits, _skews(fits), strict=True):
        error = fit.sigma("centre_ps")
        name = f"skew of detector {number} in ps"
        criteria.append(Criterion(name, abs(skew), error, options["max_skew_ps"], "at most"))
        reach = abs(fit["centre_ps"] - options["gate_center_ps"]) + options["gate_sigmas"] * fit["sigma_ps"]
        spread = math.hypot(error, options["gate_sigmas"] * fit.sigma("sigma_ps"))
        name = f"half width of the gate that detector {number} needs, in ps"
        criteria.append(Criterion(name, reach, spread, options["gate_half_width_ps"], "at most"))
        results[f"width_{number}_ps"] = fit["sigma_ps"]
    middle = sum(fit["centre_ps"] for fit in fits) / len(fits)
    results["gate_center_ps"] = middle
    results["gate_center_sigma_ps"] = math.sqrt(sum(fit.sigma("centre_ps") ** 2 for fit in fits)) / len(fits)
    # The gate of a run: as wide as the worst detector needs.
    widest = max(fits, key=lambda fit: abs(fit["centre_ps"] - middle) + options["gate_sigmas"] * fit["sigma_ps"])
    results["gate_half_width_ps"] = abs(widest["centre_ps"] - middle) + options["gate_sigmas"] * widest["sigma_ps"]
    results["gate_half_width_sigma_ps"] = options["gate_sigmas"] * widest.sigma("sigma_ps")
    return criteria


class SiftedErrors(Routine):
    """Play the link as in a run and count the errors of both bases: what all other routines are for."""

    name = "qber"
    roles = ("sender",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 0.6}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the greatest QBER that the policy allows."""
        return {"max_qber": link.security.max_qber}

    def measure(self, session: Session) -> None:
        """Record and sift with the functions that make the key."""
        laser_off(session, 0.2)
        key, test = count_errors(session, session.options["duration_s"])
        row = {"key_bits": key.bits, "key_errors": key.errors, "test_bits": test.bits, "test_errors": test.errors}
        session.add("sifted", row)

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require both QBERs to be below the policy's limit."""
        criteria: list[Criterion] = []
        results: dict[str, float] = {}
        for name in ("key", "test"):
            bits, errors = float(scans["sifted"][f"{name}_bits"][0]), float(scans["sifted"][f"{name}_errors"][0])
            rate, sigma = error_rate(bits, errors)
            results |= {f"qber_{name}": rate, f"qber_{name}_sigma": sigma, f"{name}_bits": bits}
            criteria.append(Criterion(f"QBER of the {name} basis", rate, sigma, options["max_qber"], "at most"))
        return Decision((), tuple(criteria), {}, results, "calibrate polarization or phases again")
