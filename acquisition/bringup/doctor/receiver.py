"""Diagnoses of the receiver: detectors that are silent, latched or noisy, pulses at the wrong time, no clock."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.bringup.doctor.evidence import Arrivals, DetectorSeen, Evidence, detector_numbers
from faintlink.acquisition.bringup.doctor.finding import Finding

_SIGMAS = 5.0
NOISY = 2.5
"""Dark counts over those on record from which a detector is noisy."""
BLIND = 0.3
"""Share of dead time from which a detector cannot be counted with."""
_LEAST_DARK = 10.0
_LEAST_LIGHT = 100
NEAR = 0.08
"""A second peak whose height is this near to the first leaves open which is the right one."""


def detector_latched(evidence: Evidence) -> Iterator[Finding]:
    """Report detectors that are dead most of the time without any light."""
    for seen in _detectors(evidence):
        if seen.blind_in_dark > BLIND:
            yield Finding(
                "detector-latched",
                f"detector {seen.number} clicks as fast as it can without light",
                seen.blind_in_dark,
                BLIND,
                "of the time dead",
                "at most",
                "it latched, oscillates with its bias or threshold, or stray light reaches it",
                f"take the bias of detector {seen.number} off and on again, check its threshold, cover the fibre",
            )


def detector_silent(evidence: Evidence) -> Iterator[Finding]:
    """Report detectors that count neither dark counts nor light."""
    detectors, outcomes = _detectors(evidence), detector_numbers(evidence.link)
    for seen in detectors:
        if seen.dark_counts or seen.light_counts:
            continue
        dark = evidence.dark_hz(seen.number, outcomes)
        expected = 0.0 if dark is None else dark.value
        others = [other.light_hz for other in detectors if other.number != seen.number and other.light_hz]
        light = float(np.median(others)) if others else 0.0
        if expected * seen.dark_s < _LEAST_DARK and light * seen.light_s < _LEAST_LIGHT:
            continue
        yield Finding(
            "detector-silent",
            f"detector {seen.number} counts nothing, with light or without",
            0.0,
            max(light, expected),
            "Hz",
            "about",
            "its bias is off, it is latched or warm, its cable is out, or the tagger's threshold hides its pulses",
            f"switch detector {seen.number} on, take its bias off and on, check cable and threshold of its channels",
        )


def detector_noisy(evidence: Evidence) -> Iterator[Finding]:
    """Report detectors whose dark counts are several times those on record."""
    outcomes = detector_numbers(evidence.link)
    for seen in _detectors(evidence):
        dark = evidence.dark_hz(seen.number, outcomes)
        if dark is None or not seen.dark_s or seen.blind_in_dark > BLIND:
            continue
        sigma = float(np.hypot(np.sqrt(max(seen.dark_counts, 1)) / seen.dark_s, dark.sigma))
        if seen.dark_hz > NOISY * dark.value and seen.dark_hz - dark.value > _SIGMAS * sigma:
            yield Finding(
                "dark-counts",
                f"detector {seen.number} counts {seen.dark_hz / max(dark.value, 1e-9):.1f} times its record "
                "without light",
                seen.dark_hz,
                dark.value,
                "Hz",
                "about",
                "stray light (an open cap, the room's lamp), a detector that is too warm, or a bias set too high",
                f"cover the fibre of detector {seen.number}, check its temperature and bias; if it stays, calibrate "
                "dark_counts anew",
            )


def detector_saturated(evidence: Evidence) -> Iterator[Finding]:
    """Report detectors that the light keeps dead most of the time."""
    for seen in _detectors(evidence):
        if seen.blind_in_light > BLIND >= seen.blind_in_dark:
            yield Finding(
                "detector-saturated",
                f"detector {seen.number} is dead most of the time: too much light",
                seen.blind_in_light,
                BLIND,
                "of the time dead",
                "at most",
                "an attenuator in the line is out, the fibre is shorter than planned, or its dead time is set too long",
                "attenuate the line, or shorten the detector's dead time",
            )


def no_light(evidence: Evidence) -> Iterator[Finding]:
    """Report that the source is on and no detector sees its light."""
    detectors = [seen for seen in _detectors(evidence) if seen.light_s]
    if not detectors:
        return
    gain = sum(seen.light_hz - seen.dark_hz for seen in detectors)
    sigma = float(np.sqrt(sum(max(seen.light_counts, 1) / seen.light_s**2 for seen in detectors)))
    if gain < _SIGMAS * sigma:
        yield Finding(
            "no-light",
            "the source is on, and no detector sees its light",
            max(gain, 0.0),
            _SIGMAS * sigma,
            "Hz",
            "at least",
            "the fibre is unplugged or broken, a switch stands wrong, or the gates are closed when light comes",
            "follow the light with a power meter from the sender on; calibrate gate_delay where there are gates",
        )


def clock_not_locked(evidence: Evidence) -> Iterator[Finding]:
    """Report that the tags show no periodic pulses, and at which frequency they do if they do elsewhere."""
    probe, source = evidence.probe, evidence.link.source
    if probe is None or probe.clock is None or probe.clock.is_locked:
        return
    clock, allowed = probe.clock, evidence.link.clock.max_offset_ppm
    if source is not None and clock.found_ppm is not None:
        yield Finding(
            "clock-not-locked",
            "the pulses come at another rate than the link file says",
            abs(clock.found_ppm),
            allowed,
            "ppm off",
            "at most",
            "a reference clock (10 MHz) is not connected or not locked, or pulse_rate_hz of the link file is wrong",
            "lock sender and tagger to their reference; by the tagger's clock "
            f"{source.pulse_rate_hz * (1 + clock.found_ppm * 1e-6):.9g} Hz were seen, the link file says "
            f"{source.pulse_rate_hz:.9g} Hz",
        )
        return
    name, found = ("clock-not-locked", "clock") if source is not None else ("no-coincidences", "coincidence peak")
    cause, remedy = _NO_CLOCK[name]
    yield Finding(name, f"no {found} is found in the tags: {clock.words}", 0.0, 1.0, "peaks", "at least", cause, remedy)


_NO_CLOCK = {
    "clock-not-locked": (
        "the sender plays at another repetition rate or not at all, or noise hides the pulses",
        "check that the sender plays, pulse_rate_hz and preamble of the link file, and the reference clock",
    ),
    "no-coincidences": (
        "one arm is dark, the taggers' clocks stand further apart than the link file says, or noise hides the pairs",
        "check the light in both arms, the clocks' reference, and max_offset_s under `pairs` of the link file",
    ),
}


def second_peak(evidence: Evidence) -> Iterator[Finding]:
    """Report a second peak nearly as high as the first, or a gate that stands on a lesser peak."""
    probe, link = evidence.probe, evidence.link
    if probe is None or probe.arrivals is None or link.source is None:
        return
    width = min(float(link.gate.half_width_ps), link.source.period_ps / 20.0)
    weights = sorted((weight for _, weight in link.source.peaks_ps), reverse=True)
    planned = weights[1] / weights[0] if len(weights) > 1 else 0.0
    (first_ps, first), (second_ps, second) = two_peaks(probe.arrivals, width)
    if first <= 0.0:
        return
    inside = window(probe.arrivals, float(link.gate.center_ps), width)
    if second / first > 1.0 - NEAR > planned:
        yield _ambiguous(first_ps, second_ps, second / first, planned)
    elif inside < (1.0 - NEAR) * first and abs(first_ps - link.gate.center_ps) > 3.0 * width:
        yield _on_lesser_peak(float(link.gate.center_ps), first_ps, inside / first)


def _ambiguous(first_ps: float, second_ps: float, share: float, planned: float) -> Finding:
    return Finding(
        "second-peak",
        f"the peak at {second_ps:.0f} ps is within {100 * NEAR:.0f} % of the highest, at {first_ps:.0f} ps: "
        "the gate may stand on the wrong one",
        share,
        planned,
        "of the highest",
        "about",
        "the gates are off by part of a slot, the interferometers' paths differ from the plan, or the sender plays "
        "at twice the rate",
        "calibrate gate_delay and delay_line, check peaks_ps of the link file, then `faintlink up --from TIMED`",
    )


def _on_lesser_peak(gate_ps: float, first_ps: float, share: float) -> Finding:
    return Finding(
        "second-peak",
        f"the gate at {gate_ps:.0f} ps stands on a lesser peak; the highest is at {first_ps:.0f} ps",
        share,
        1.0,
        "of the highest",
        "about",
        "the gate was set on a side peak of the interferometer",
        f"set gate.center_ps of the link file to {first_ps:.0f}, or calibrate arrival and run with --calibration",
    )


def two_peaks(arrivals: Arrivals, half_width_ps: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return place and light of the two highest peaks, the floor taken off.

    Parameters
    ----------
    arrivals
        Histogram of one slot.
    half_width_ps
        Of the window in which a peak is counted; the second is looked for beyond three of it.
    """
    light = _windows(arrivals, half_width_ps)
    first = int(np.argmax(light))
    phase = arrivals.phase_ps
    period = float(phase[-1] - phase[0]) + float(phase[1] - phase[0])
    away = np.abs((phase - phase[first] + period / 2.0) % period - period / 2.0)
    rest = np.where(away > 3.0 * half_width_ps, light, -np.inf)
    second = int(np.argmax(rest))
    return (float(phase[first]), float(light[first])), (float(phase[second]), float(max(rest[second], 0.0)))


def window(arrivals: Arrivals, center_ps: float, half_width_ps: float) -> float:
    """Return the light in a window around a place, the floor taken off."""
    nearest = int(np.argmin(np.abs(arrivals.phase_ps - center_ps)))
    return float(_windows(arrivals, half_width_ps)[nearest])


def _windows(arrivals: Arrivals, half_width_ps: float) -> npt.NDArray[np.float64]:
    step = float(arrivals.phase_ps[1] - arrivals.phase_ps[0])
    half = max(round(half_width_ps / step), 1)
    floor = float(np.median(arrivals.counts))
    counts = arrivals.counts.astype(np.float64) - floor
    # The slot is a circle: what leaves at its end comes in at its start.
    around = np.concatenate((counts[-half:], counts, counts[:half]))
    summed: npt.NDArray[np.float64] = np.convolve(around, np.ones(2 * half + 1), "valid")
    return summed


def _detectors(evidence: Evidence) -> list[DetectorSeen]:
    return [] if evidence.probe is None else list(evidence.probe.detectors)
