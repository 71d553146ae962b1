"""Characterise the receiver's detectors: dead time, afterpulses, and the ratio of their efficiencies."""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ConfigError
from faintlink.core.symbols import Party
from faintlink.instruments.calibration.play import laser_off, without_dark
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session
from faintlink.instruments.calibration.statistics import afterpulse_probability, dead_time_ps


class EfficiencyRatio(Routine):
    """Compare the two detectors of each basis under the random pattern, in which both bits are equally frequent."""

    name = "efficiency_ratio"
    roles = ("sender",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 0.5}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the imbalance that the monitors allow."""
        return {"max_imbalance": link.security.monitors.max_detector_imbalance}

    def measure(self, session: Session) -> None:
        """Count while the sender plays at random."""
        session.play()
        session.dim()
        laser_off(session, 0.2)
        session.point("random", {}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require the ratio of the rates to be as near to 1 as the monitors will."""
        criteria: list[Criterion] = []
        results: dict[str, float] = {}
        for basis in "zx":
            (a, da), (b, db) = (without_dark(scans, "random", f"{basis}{bit}") for bit in "01")
            ratio = float(a[0] / b[0])
            sigma = ratio * math.hypot(float(da[0] / a[0]), float(db[0] / b[0]))
            results[f"ratio_{basis}"], results[f"ratio_{basis}_sigma"] = ratio, sigma
            off = abs(ratio - 1.0)
            name = f"efficiency mismatch of basis {basis.upper()}"
            criteria.append(Criterion(name, off, sigma, options["max_imbalance"], "at most"))
        return Decision((), tuple(criteria), {}, results, "equalise the detectors, or the paths to them")


class DetectorGaps(Routine):
    """Find dead time and afterpulse probability of each detector in the gaps between its clicks."""

    name = "detector_gaps"
    options: ClassVar[Mapping[str, float]] = {
        "duration_s": 1.0,
        "window_us": 20.0,
        "rate_hz": 50_000.0,
        "max_afterpulse": 0.1,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the dead time that the receiver allows for."""
        receiver = link.receivers[Party.BOB]
        return {"allowed_dead_ps": float(receiver.dead_time_ps)}

    def measure(self, session: Session) -> None:
        """Record tags in faint light and keep the gaps of each detector."""
        if session.has("sender"):
            session.play()
        if session.has("pair_source"):
            session.turn("pair_source.enabled", True)
        detectors = session.lab.detectors
        busiest = max(session.count(0.02)[f"counts_{name}"] / 0.02 for name in detectors)
        if busiest > session.options["rate_hz"] and session.has("attenuator"):
            more_db = 10.0 * math.log10(busiest / session.options["rate_hz"])
            present = float(session.get("attenuator.attenuation"))
            session.turn("attenuator.attenuation", min(present + more_db, 60.0))
        block = session.lab.record(session.options["duration_s"])
        lookup = np.full(256, -1, np.int64)
        for name, channel in session.lab.channels.items():
            lookup[channel] = detectors[name]
        which = lookup[block.channels]
        for number in sorted(set(detectors.values())):
            gaps = np.diff(block.times_ps[which == number])
            session.keep(Scan(f"detector_{number}", {"gap_ps": gaps}))

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require that the link file allows for the dead time, and that afterpulses are few."""
        criteria: list[Criterion] = []
        results: dict[str, float] = {}
        for name in sorted(scan for scan in scans if scan.startswith("detector_")):
            gaps = scans[name].columns["gap_ps"].astype(np.int64)
            dead, error = dead_time_ps(gaps)
            chance, sigma = afterpulse_probability(gaps, dead_ps=dead, window_ps=options["window_us"] * 1e6)
            results |= {f"{name}_dead_ps": dead, f"{name}_dead_uncertainty_ps": error}
            results |= {f"{name}_afterpulse": chance, f"{name}_afterpulse_sigma": sigma}
            criteria.append(Criterion(f"afterpulse probability of {name}", chance, sigma, options["max_afterpulse"],
                                      "at most"))  # fmt: skip
            # The shortest gap is only an upper limit: what the gaps can prove is that the dead time is longer.
            criteria.append(Criterion(f"least dead time of {name} in ps that its gaps allow", dead - 3.0 * error, 0.0,
                                      options["allowed_dead_ps"], "at most"))  # fmt: skip
        if not criteria:
            raise ConfigError("the record holds no detector")
        return Decision((), tuple(criteria), {}, results, "raise dead_time_ps of the receiver in the link file")
