"""The mean photon number from detector counts, for a link without a power meter.

The detectors' efficiency and the loss between sender and detectors have to be known from elsewhere, each with its
uncertainty: options ``efficiency``, ``efficiency_sigma``, ``loss_db`` and ``loss_sigma_db``. Nothing guards against
wrong ones; the record shows what was assumed.

Sources: X. Ma, B. Qi, Y. Zhao, H.-K. Lo, Phys. Rev. A 72, 012326 (2005), eq. (7) and (10): a coherent pulse of mean
photon number mu gives a click with 1 - (1 - Y0) exp(-eta mu); G. Knoll, "Radiation Detection and Measurement",
4th ed., section 4.VII (live time of a non-paralyzable detector).
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ConfigError, NotEnoughSignalsError
from faintlink.instruments.calibration.fits import weighted_fit
from faintlink.instruments.calibration.lab import OUTCOMES
from faintlink.instruments.calibration.play import laser_off, play_bright, rates
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session

Floats = npt.NDArray[np.float64]
_KNOB = "attenuator.attenuation"
_DB = 10.0 / math.log(10.0)


class PhotonNumber(Routine):
    """Find the attenuation of the target mean photon number from the receiver's counts."""

    name = "photon_number"
    roles = ("sender", "laser", "attenuator", "intensity_modulator")
    options: ClassVar[Mapping[str, float]] = {
        "efficiency": 0.0,
        "efficiency_sigma": 0.0,
        "loss_db": 0.0,
        "loss_sigma_db": 0.0,
        "gated_share": 1.0,
        "afterpulse": 0.0,
        "points": 6,
        "step_db": 2.0,
        "duration_s": 0.2,
        "max_relative_error": 0.1,
        "max_slope_error": 0.05,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return pulse rate and target mean photon number."""
        source = link.source
        return {} if source is None else {"pulse_rate_hz": source.pulse_rate_hz, "mu": source.intensities[0]}

    def measure(self, session: Session) -> None:
        """Count at several attenuations, all pulses bright, and without light."""
        if not 0.0 < session.options["efficiency"] <= 1.0:
            raise ConfigError(
                "the mean photon number from counts needs the detectors' efficiency",
                hint="give --option photon_number.efficiency=…, efficiency_sigma=…, loss_db=… and loss_sigma_db=…",
            )
        play_bright(session)
        session.dim()
        laser_off(session, 1.0)
        least = float(session.get(_KNOB))
        for step in range(int(session.options["points"])):
            attenuation = least + step * session.options["step_db"]
            session.turn(_KNOB, attenuation)
            session.point("counts", {"attenuation_db": attenuation}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Turn counts into detected photons a pulse, fit their decibels, and solve for the target."""
        scan = scans["counts"]
        seen, error = detected_photons(scan, scans["dark"], options)
        usable = seen > 5.0 * error
        if np.count_nonzero(usable) < 3:
            raise NotEnoughSignalsError(
                f"{np.count_nonzero(usable)} of {seen.size} points show light", hint="count for longer"
            )
        x = scan["attenuation_db"][usable]
        y, sigma = 10.0 * np.log10(seen[usable]), _DB * error[usable] / seen[usable]
        design = np.stack([np.ones_like(x), -x], axis=1)
        fit = weighted_fit("photons", "level - slope * attenuation", ("level_db", "slope"), design, y, sigma)
        through_db = 10.0 * math.log10(options["efficiency"] * options["gated_share"]) - options["loss_db"]
        target = (fit["level_db"] - 10.0 * math.log10(options["mu"]) - through_db) / fit["slope"]
        slopes = np.array([1.0, -target])
        counted_db = math.sqrt(float(slopes @ np.array(fit.covariance) @ slopes))
        known_db = math.hypot(_DB * options["efficiency_sigma"] / options["efficiency"], options["loss_sigma_db"])
        relative = math.hypot(counted_db, known_db) / _DB
        criteria = (
            Criterion("relative error of the mean photon number", 0.0, relative, options["max_relative_error"],
                      "at most", 1.0),
            Criterion("deviation of the attenuator's slope from 1", abs(fit["slope"] - 1.0), fit.sigma("slope"),
                      options["max_slope_error"], "at most"),
        )  # fmt: skip
        results = {
            "attenuation_db": target,
            "attenuation_sigma_db": math.hypot(counted_db, known_db),
            "mu": options["mu"],
            "mu_sigma": options["mu"] * relative,
            "mu_sigma_counts": options["mu"] * counted_db / _DB,
        }
        return Decision((fit,), criteria, {_KNOB: target}, results, "state efficiency and loss more precisely")


def detected_photons(scan: Scan, dark: Scan, options: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Return (n,) photons detected a pulse, summed over the outcomes, and standard deviations.

    Each outcome's rate refers to its detector's live time; a click hides further photons of its pulse, so that
    the mean is -ln(1 - p). Dark counts, and the afterpulses of the stated chance, are taken off.
    """
    mean, variance = np.zeros(len(scan)), np.zeros(len(scan))
    for name in OUTCOMES:
        rate, sigma = rates(scan, name)
        background, doubt = rates(dark, name)
        light = np.maximum(rate - background[0], 0.0) / (1.0 + options["afterpulse"])
        chance = np.minimum(light / options["pulse_rate_hz"], 0.99)
        mean += -np.log1p(-chance)
        variance += (sigma**2 + float(doubt[0]) ** 2) / (options["pulse_rate_hz"] * (1.0 - chance)) ** 2
    return mean, np.sqrt(variance)
