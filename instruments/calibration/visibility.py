"""Follow phase and visibility of the interferometers over time, with the Allan deviation of the phase.

Each sample holds two opposite phases in turn; differences of their contrasts are free of the detectors' imbalance.
Basis Z sees the cosine and basis X the sine, so that every sample gives phase and visibility without a scan.

Sources: IEEE Std 1139-2008 (Allan deviation).
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.instruments.calibration.play import basis_contrast, hold, laser_off, play_bright
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session
from faintlink.instruments.calibration.statistics import allan_deviation


class VisibilityTracking(Routine):
    """Follow the interferometers' phase and visibility."""

    name = "visibility"
    roles = ("sender", "phase_modulator")
    options: ClassVar[Mapping[str, float]] = {"samples": 24, "duration_s": 0.02, "max_wander_rad": 0.2}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the interfering share of the light and the greatest QBER."""
        peaks = link.source.peaks_ps if link.source else ((0, 1.0),)
        central = max(weight for _, weight in peaks) / sum(weight for _, weight in peaks)
        return {"interfering_share": central, "max_qber": link.security.max_qber}

    def measure(self, session: Session) -> None:
        """Alternate between the states Z0 and Z1."""
        levels = [float(level) for level in session.get("phase_modulator.drive_levels")]
        play_bright(session)
        session.dim()
        laser_off(session, 0.1)
        for _ in range(int(session.options["samples"])):
            for name, level in (("zero", levels[0]), ("one", levels[1])):
                hold(session, "phase_modulator", level)
                session.point(name, {"drive_v": level}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require the visibility that the policy's QBER needs, and a phase that stays."""
        share = options["interfering_share"]
        parts, errors = [], []
        for basis in "zx":
            a, sigma_a = basis_contrast(scans, "zero", basis)
            b, sigma_b = basis_contrast(scans, "one", basis)
            parts.append((a - b) / (2.0 * share))
            errors.append(np.hypot(sigma_a, sigma_b) / (2.0 * share))
        cosine, sine = parts
        phase = np.unwrap(np.arctan2(sine, cosine))
        # The mean of each part first: the length of a noisy arrow is too long.
        turned = float(np.mean(cosine * np.cos(phase.mean()) + sine * np.sin(phase.mean())))
        sigma = float(np.sqrt(np.mean(errors[0] ** 2) / phase.size))
        times, deviations, spreads = allan_deviation(phase, 2.0 * options["duration_s"])
        longest = len(times) - 1
        results = {"visibility": turned, "visibility_sigma": sigma, "phase_rad": float(phase.mean())}
        results |= {f"allan_rad_{t:.3g}_s": float(d) for t, d in zip(times, deviations, strict=True)}
        criteria = (
            Criterion("visibility", turned, sigma, 1.0 - 2.0 * options["max_qber"], "at least"),
            Criterion("Allan deviation of the phase at the longest averaging time, in rad",
                      float(deviations[longest]), float(spreads[longest]), options["max_wander_rad"], "at most"),
            Criterion("distance of the mean phase from the working point, in rad",
                      abs(math.remainder(float(phase.mean()), 2.0 * math.pi)),
                      float(np.std(phase)) / math.sqrt(phase.size), 2.0 * options["max_wander_rad"], "at most"),
        )  # fmt: skip
        return Decision((), criteria, {}, results, "calibrate sender_phase again, and insulate the interferometers")
