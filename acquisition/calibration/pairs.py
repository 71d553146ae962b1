"""Calibrations of a link with a source of entangled pairs: coincidence peak, pump level, heralding, QBER.

Sources: D. Klyshko, Sov. J. Quantum Electron. 10, 1112 (1980): the chance that one photon of a pair is registered
given the other is the ratio of coincidences to the other's singles, no reference needed.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.calibration.coincidences import PairCounter, coincidence_totals, pair_errors
from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.core.units import PS_PER_S
from faintlink.instruments.calibration.fits import fit_peak, weighted_fit
from faintlink.instruments.calibration.lab import OUTCOMES
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session
from faintlink.postprocess.kernels.coincidence import delay_histogram

Floats = npt.NDArray[np.float64]
_ENABLED, _LEVEL = "pair_source.enabled", "pair_source.pair_rate"
_PEAK_BINS = 200


def pair_sign(link: LinkConfig) -> float:
    """Return 1 for a state of equal bits and -1 for one of opposite bits."""
    return -1.0 if link.pairs is not None and link.pairs.state == "psi-" else 1.0


class CoincidencePeak(Routine):
    """Find delay and width of the coincidence peak, and see that the window of the link file holds it."""

    name = "pair_window"
    roles = ("pair_source",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 0.5, "least_share": 0.95, "span_windows": 5.0}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the coincidence window."""
        return {"window_ps": float(link.pairs.window_ps)} if link.pairs else {}

    def measure(self, session: Session) -> None:
        """Turn the source on and keep the histogram of delays around the peak."""
        session.turn(_ENABLED, True)
        counter = PairCounter(session)
        seen = counter.stretch(session.options["duration_s"])
        bin_ps = max(round(session.options["span_windows"] * counter.pairs.window_ps / _PEAK_BINS), 1)
        start = -(_PEAK_BINS // 2) * bin_ps
        counts = delay_histogram(seen.alice.times_ps, seen.bob.times_ps, start, bin_ps, _PEAK_BINS)
        # A bin holds the whole picoseconds from its start on: their middle is half a picosecond before its own.
        delays: Floats = start + (np.arange(_PEAK_BINS, dtype=np.float64) + 0.5) * bin_ps - 0.5
        session.keep(Scan("delays", {"delay_ps": delays, "counts": counts.astype(np.int64)}))
        clock = seen.clock
        row = {"reference_ps": clock.reference_ps, "offset_ps": clock.offset_ps, "live_s": seen.live_s}
        session.add("clock", {**row, "frequency_ratio": clock.frequency_ratio})

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit the peak, and require that nearly all of it lies in the window around the tracked delay."""
        fit = fit_peak("coincidences", scans["delays"]["delay_ps"], scans["delays"]["counts"])
        centre, sigma = fit["centre_ps"], fit["sigma_ps"]
        half = 0.5 * options["window_ps"]
        share = _share(centre, sigma, half)
        doubt = max(abs(_share(centre, sigma + fit.sigma("sigma_ps"), half) - share),
                    abs(_share(abs(centre) + fit.sigma("centre_ps"), sigma, half) - share))  # fmt: skip
        criteria = (
            Criterion("coincidences in the peak", fit["area"], fit.sigma("area"), 0.0, "at least", 5.0),
            Criterion("share of the pairs in the window", share, doubt, options["least_share"], "at least"),
        )
        clock = scans["clock"]
        results = {
            "delay_ps": float(clock["offset_ps"][0]) + centre,
            "delay_sigma_ps": fit.sigma("centre_ps"),
            "frequency_ppm": float(clock["frequency_ratio"][0]) * 1e6,
            "peak_sigma_ps": sigma,
            "share_in_window": share,
            "window_99_ps": 2.0 * (abs(centre) + 2.576 * sigma),
        }
        return Decision((fit,), criteria, {_ENABLED: True}, results, "widen window_ps under `pairs` of the link file")


def _share(centre_ps: float, sigma_ps: float, half_ps: float) -> float:
    scale = math.sqrt(2.0) * sigma_ps
    return 0.5 * (math.erf((half_ps - centre_ps) / scale) + math.erf((half_ps + centre_ps) / scale))


class PairLevel(Routine):
    """Set the pump to the highest level at which coincidences still exceed accidentals by a wanted ratio."""

    name = "pair_level"
    roles = ("pair_source",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 0.3, "confirm_s": 1.0, "min_car": 100.0, "tolerance": 0.15}

    def measure(self, session: Session) -> None:
        """Count at levels from a quarter to the double of the present one."""
        session.turn(_ENABLED, True)
        counter = PairCounter(session)
        present = float(session.get(_LEVEL))
        for factor in (1.0, 0.25, 0.5, 1.5, 2.0):
            session.turn(_LEVEL, factor * present)
            counter.point("levels", {"pair_rate_hz": factor * present}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit accidentals over coincidences as a line in the level."""
        scan = scans["levels"]
        x = scan["pair_rate_hz"] / float(np.max(scan["pair_rate_hz"]))
        ratio, sigma = _accidental_ratio(scan)
        design = np.stack([np.ones_like(x), x], axis=1)
        fit = weighted_fit("accidentals", "floor + slope * level / highest", ("floor", "slope"), design, ratio, sigma)
        wanted = 1.0 / options["min_car"]
        share = min((wanted - fit["floor"]) / max(fit["slope"], 1e-12), 1.0)
        level = max(share, float(x.min())) * float(np.max(scan["pair_rate_hz"]))
        criteria = [
            Criterion("accidentals over coincidences at the lowest level", float(ratio[np.argmin(x)]),
                      float(sigma[np.argmin(x)]), wanted, "at most"),
        ]  # fmt: skip
        results = {"pair_rate_hz": level}
        if "confirmed" in scans:
            seen, doubt = _accidental_ratio(scans["confirmed"])
            limit = wanted * (1.0 + options["tolerance"])
            criteria.append(Criterion("accidentals over coincidences as set", float(seen[0]), float(doubt[0]), limit,
                                      "at most"))  # fmt: skip
            true, _, error, _ = coincidence_totals(scans["confirmed"])
            live = float(scans["confirmed"]["live_s"][0])
            results |= {"car": 1.0 / float(seen[0]), "car_sigma": float(doubt[0] / seen[0] ** 2)}
            results |= {"coincidence_hz": float(true[0]) / live, "coincidence_sigma_hz": float(error[0]) / live}
        proposal = {_ENABLED: True, _LEVEL: level}
        return Decision((fit,), tuple(criteria), proposal, results, "look for stray light, or lower the pump")

    def confirm(self, session: Session, decision: Decision) -> None:
        """Count at the proposed level."""
        counter = PairCounter(session)
        counter.point("confirmed", {"pair_rate_hz": decision.proposal[_LEVEL]}, session.options["confirm_s"])


def _accidental_ratio(scan: Scan) -> tuple[Floats, Floats]:
    true, _, error, doubt = coincidence_totals(scan)
    true = np.maximum(true, 1.0)
    side = np.maximum(scan["side_counts"], 1.0) / scan["side_windows"]
    ratio = side / true
    return ratio, ratio * np.hypot(doubt / side, error / true)


class Heralding(Routine):
    """Measure the efficiency of each arm from coincidences and singles, dark counts and accidentals taken off."""

    name = "heralding"
    roles = ("pair_source",)
    options: ClassVar[Mapping[str, float]] = {
        "duration_s": 1.0,
        "windows": 2,
        "dead_time_relative_sigma": 0.05,
        "min_efficiency": 0.001,
        "max_relative_sigma": 0.1,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the dead time of each receiver."""
        return {f"dead_{party}_ps": float(receiver.dead_time_ps) for party, receiver in link.receivers.items()}

    def measure(self, session: Session) -> None:
        """Count coincidences, and singles with the source off."""
        session.turn(_ENABLED, True)
        counter = PairCounter(session)
        # Wider than a run's window: what that cuts off is no loss of the arm.
        counter.point("pairs", {}, session.options["duration_s"], windows=int(session.options["windows"]))
        session.turn(_ENABLED, False)
        counter.singles("dark", session.options["duration_s"])
        session.turn(_ENABLED, True)

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Return the ratio of coincidences to the other arm's light, with its standard deviation.

        Clicks of an arm's own detectors that fell into dead time are corrected for, with one detector an outcome.
        """
        scan, dark = scans["pairs"], scans["dark"]
        true, _, error, _ = coincidence_totals(scan)
        live = float(scan["live_s"][0])
        criteria: list[Criterion] = []
        results: dict[str, float] = {}
        for arm, other in (("bob", "alice"), ("alice", "bob")):
            singles = float(scan[f"singles_{other}"][0])
            dark_s = max(float(dark[f"live_{other}_s"][0]), 1e-12)
            background = float(dark[f"singles_{other}"][0]) * live / dark_s
            light = max(singles - background, 1.0)
            efficiency = float(true[0]) / light
            # Coincidences are a part of the singles: their noise is binomial, that of the background adds.
            binomial = math.sqrt(max(efficiency * (1.0 - efficiency), 0.0) / light)
            extra = math.sqrt(max(float(error[0]) ** 2 - float(true[0]), 0.0)) / light
            off = efficiency * math.sqrt(background + background * live / dark_s) / light
            dead = _dead_share(scan, arm, options[f"dead_{arm}_ps"] / PS_PER_S)
            doubt = options["dead_time_relative_sigma"] * dead * efficiency / (1.0 - dead)
            sigma = math.sqrt(binomial**2 + extra**2 + off**2 + doubt**2) / (1.0 - dead)
            efficiency /= 1.0 - dead
            results |= {f"efficiency_{arm}": efficiency, f"efficiency_{arm}_sigma": sigma}
            criteria += [
                Criterion(f"efficiency of the arm of {arm}", efficiency, sigma, options["min_efficiency"], "at least"),
                Criterion(f"relative uncertainty of the arm of {arm}", sigma / max(efficiency, 1e-12), 0.0,
                          options["max_relative_sigma"], "at most"),
            ]  # fmt: skip
        return Decision((), tuple(criteria), {}, results, "check coupling and detectors")


def _dead_share(scan: Scan, arm: str, dead_s: float) -> float:
    """Return the share of an arm's photons that found their detector dead."""
    counts = [float(scan[f"singles_{arm}_{name}"][0]) for name in OUTCOMES]
    rate = sum(count**2 for count in counts) / max(sum(counts), 1.0) / float(scan["live_s"][0])
    return min(rate * dead_s, 0.9)


class PairErrors(Routine):
    """Count the errors of both bases: what all other routines of a pair link are for."""

    name = "pair_qber"
    roles = ("pair_source",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 2.0}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the greatest QBER that the policy allows, and the sign of the state."""
        return {"max_qber": link.security.max_qber, "sign": pair_sign(link)}

    def measure(self, session: Session) -> None:
        """Count coincidences for long."""
        session.turn(_ENABLED, True)
        PairCounter(session).point("sifted", {}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require both QBERs to be below the policy's limit."""
        criteria: list[Criterion] = []
        results: dict[str, float] = {}
        for name, basis in (("key", "z"), ("test", "x")):
            error, sigma = pair_errors(scans["sifted"], basis, sign=options["sign"])
            results |= {f"qber_{name}": float(error[0]), f"qber_{name}_sigma": float(sigma[0])}
            limit = options["max_qber"]
            criteria.append(Criterion(f"QBER of the {name} basis", float(error[0]), float(sigma[0]), limit, "at most"))
        return Decision((), tuple(criteria), {_ENABLED: True}, results, "calibrate pair_polarization again")
