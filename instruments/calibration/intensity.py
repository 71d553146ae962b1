"""Bias and drive levels of the intensity modulator.

Sources: a Mach-Zehnder modulator transmits sin^2(pi (v - null) / (2 half-wave voltage)); G. P. Agrawal,
"Fiber-Optic Communication Systems", 4th ed., section 3.6.4.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from faintlink.core.calibration.records import Criterion, Decision, Fit, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.instruments.calibration.fits import fit_fringes
from faintlink.instruments.calibration.play import hold, laser_off, total_rates
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session

_BIAS, _DRIVE = "intensity_modulator.bias_voltage", "intensity_modulator.drive_levels"


class IntensityBias(Routine):
    """Bias the intensity modulator at its null and set the drive of every intensity."""

    name = "intensity_bias"
    roles = ("sender", "intensity_modulator")
    options: ClassVar[Mapping[str, float]] = {
        "points": 25,
        "duration_s": 0.01,
        "confirm_s": 0.4,
        "max_leak_share": 0.1,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the intensities, and how far they may deviate."""
        if link.source is None:
            return {}
        intensities = {f"mu_{k}": mu for k, mu in enumerate(link.source.intensities)}
        return {**intensities, "max_deviation": link.security.monitors.max_intensity_deviation}

    def measure(self, session: Session) -> None:
        """Scan the bias over more than a period, undriven."""
        nominal = max(abs(float(level)) for level in session.get(_DRIVE)) or 1.0
        start = float(session.get(_BIAS))
        session.add("start", {"bias_v": start, "nominal_half_wave_v": nominal})
        hold(session, "intensity_modulator", 0.0)
        session.play()
        for offset in np.linspace(-1.0, 1.0, 5):
            session.turn(_BIAS, start + float(offset) * nominal)
            session.dim()
        laser_off(session, 0.1)
        for offset in np.linspace(-1.3, 1.3, int(session.options["points"])):
            bias = start + float(offset) * nominal
            session.turn(_BIAS, bias)
            session.point("bias", {"bias_v": bias}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit the sine, choose the null nearest to 0 V and invert the curve at every intensity."""
        fit = _bias_fit(scans)
        null, half_wave = _null(fit), fit["half_wave_v"]
        floor = _floor(fit, scans)
        mus = [options[f"mu_{k}"] for k in range(16) if f"mu_{k}" in options]
        drives = [_drive(mu / mus[0], floor, half_wave) for mu in mus]
        weakest = min(mu for mu in mus if mu > 0.0) / mus[0]
        # A bias off by d leaks (pi d / 2 half-wave)^2 of the peak.
        shift = math.pi * fit.sigma("maximum_0_v") / (2.0 * half_wave)
        limit = options["max_leak_share"] * weakest
        criteria = [
            Criterion("amplitude of the bias curve in Hz", fit["amplitude_0"], fit.sigma("amplitude_0"), 0.0,
                      "at least", 5.0),
            Criterion("leak by the error of the bias", (3.0 * shift) ** 2, 0.0, limit, "at most"),
        ]  # fmt: skip
        results = {"null_v": null, "half_wave_v": half_wave, "floor": floor}
        if "levels" in scans:
            criteria += _confirmed(scans, mus, options, results, limit)
        return Decision(
            (fit,), tuple(criteria), {_BIAS: null, _DRIVE: drives}, results, "check the modulator's polarization"
        )

    def confirm(self, session: Session, decision: Decision) -> None:
        """Count at every level and undriven."""
        levels = list(decision.proposal[_DRIVE])
        hold(session, "intensity_modulator", levels[0])
        session.play()
        session.dim()
        laser_off(session, session.options["confirm_s"])
        for level in levels:
            hold(session, "intensity_modulator", level)
            session.point("levels", {"drive_v": float(level)}, session.options["confirm_s"])
        hold(session, "intensity_modulator", 0.0)
        session.point("undriven", {}, session.options["confirm_s"])


def _bias_fit(scans: Mapping[str, Scan]) -> Fit:
    rate, sigma = total_rates(scans["bias"])
    nominal = float(scans["start"]["nominal_half_wave_v"][0])
    x = scans["bias"]["bias_v"]
    first = fit_fringes("bias", x, [(rate, sigma)], half_wave=(0.4 * nominal, 2.5 * nominal))
    # Weights from the model: those of the counts themselves pull the curve towards low counts.
    model = first["offset_0"] + first["amplitude_0"] * np.cos(np.pi * (x - first["maximum_0_v"]) / first["half_wave_v"])
    live = scans["bias"]["live_z0_s"]
    sigma = np.sqrt(np.maximum(model, 1.0 / live) / live)
    return fit_fringes("bias", x, [(rate, sigma)], half_wave=(0.4 * nominal, 2.5 * nominal))


def _null(fit: Fit) -> float:
    peak, half_wave = fit["maximum_0_v"], fit["half_wave_v"]
    return min((peak + turns * half_wave for turns in (-3, -1, 1, 3)), key=abs)


def _floor(fit: Fit, scans: Mapping[str, Scan]) -> float:
    dark = float(total_rates(scans["dark"])[0][0]) if "dark" in scans else 0.0
    low = fit["offset_0"] - fit["amplitude_0"] - dark
    return min(max(low / (fit["offset_0"] + fit["amplitude_0"] - dark), 0.0), 0.05)


def _drive(share: float, floor: float, half_wave: float) -> float:
    wanted = min(max((share - floor) / (1.0 - floor), 0.0), 1.0)
    return half_wave * 2.0 / math.pi * math.asin(math.sqrt(wanted))


def _confirmed(
    scans: Mapping[str, Scan],
    mus: list[float],
    options: Mapping[str, float],
    results: dict[str, float],
    limit: float,
) -> list[Criterion]:
    """Return the criteria on the measured levels, dark counts taken off with the newest dark point."""
    seen, error = total_rates(scans["levels"])
    dark, dark_error = total_rates(scans["dark"]) if "dark" in scans else (np.zeros(1), np.zeros(1))
    low, low_error = total_rates(scans["undriven"])
    peak = float(seen[0] - dark[-1])
    leak = float(low[0] - dark[-1]) / peak
    sigma = math.hypot(float(low_error[0]), float(dark_error[-1])) / peak
    results["leak"] = leak
    criteria = [Criterion("leak of undriven pulses against the brightest", leak, sigma, limit, "at most")]
    for k, mu in enumerate(mus[1:], start=1):
        if mu <= 0.0:
            continue
        ratio = float(seen[k] - dark[-1]) / peak
        results[f"ratio_{k}"] = ratio
        spread = math.hypot(float(error[k]), float(dark_error[-1])) / peak / (mu / mus[0])
        off = abs(ratio / (mu / mus[0]) - 1.0)
        criteria.append(
            Criterion(f"deviation of intensity {k} from its ratio", off, spread, options["max_deviation"], "at most")
        )
    return criteria
