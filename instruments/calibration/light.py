"""Dark counts, laser, and the attenuation that gives the target mean photon number.

Sources: photon energy in vacuum, `faintlink.core.units`.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from faintlink.core.calibration.records import Criterion, Decision, Scan
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import NotEnoughSignalsError
from faintlink.core.units import photon_energy_j
from faintlink.instruments.calibration.fits import weighted_fit
from faintlink.instruments.calibration.lab import OUTCOMES
from faintlink.instruments.calibration.play import laser_off, play_bright, rates, total_rates
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session


class DarkCounts(Routine):
    """Count without light."""

    name = "dark_counts"
    roles = ("laser",)
    options: ClassVar[Mapping[str, float]] = {"duration_s": 1.0, "max_dark_hz": 20_000.0}

    def measure(self, session: Session) -> None:
        """Turn the laser off and count."""
        laser_off(session, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require that every outcome stays below the detectors' specified dark count rate."""
        criteria: list[Criterion] = []
        results: dict[str, float] = {}
        for name in OUTCOMES:
            rate, sigma = rates(scans["dark"], name)
            results[f"dark_{name}_hz"] = float(rate[0])
            criteria.append(
                Criterion(
                    f"dark count rate of {name} in Hz",
                    float(rate[0]),
                    float(sigma[0]),
                    options["max_dark_hz"],
                    "at most",
                )
            )
        return Decision((), tuple(criteria), {}, results, "look for stray light, or a detector bias set too high")


class LaserSetup(Routine):
    """Turn the laser on and see that it reads back as set and that the detectors see it."""

    name = "laser"
    roles = ("laser",)
    options: ClassVar[Mapping[str, float]] = {
        "reads": 8,
        "max_power_spread": 0.05,
        "wavelength_nm": 0.0,
        "max_wavelength_error_nm": 0.1,
        "duration_s": 0.5,
    }

    def measure(self, session: Session) -> None:
        """Count without light, read power and wavelength back, and count with light at two biases."""
        laser_off(session, session.options["duration_s"])
        session.turn("laser.enabled", True)
        for _ in range(int(session.options["reads"])):
            session.add("read_back", {name: float(session.get(f"laser.{name}")) for name in ("power", "wavelength")})
        # A modulator that happens to stand at its null would hide the light: one of two biases is open.
        session.brighten(1000.0)
        knob, offsets = "intensity_modulator.bias_voltage", [0.0]
        if session.has("intensity_modulator"):
            bias = session.get(knob)
            offsets = [0.0, float(max(session.get("intensity_modulator.drive_levels")))]
        for offset in offsets:
            if session.has("intensity_modulator"):
                session.turn(knob, bias + offset)
            session.dim()
            session.point("light", {"offset_v": offset}, session.options["duration_s"])

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Require a steady power, the right wavelength if one is given, and more counts than without light."""
        power, wavelength = scans["read_back"]["power"], scans["read_back"]["wavelength"]
        spread = float(np.std(power)) / max(float(np.mean(power)), 1e-300)
        with_light, error = total_rates(scans["light"])
        dark, dark_error = total_rates(scans["dark"])
        best = int(np.argmax(with_light))
        gain, sigma = float(with_light[best] - dark[0]), math.hypot(float(error[best]), float(dark_error[0]))
        criteria = [
            Criterion("spread of the power read back", spread, 0.0, options["max_power_spread"], "at most"),
            Criterion("counts by light in Hz", gain, sigma, 0.0, "at least", 5.0),
        ]
        if options["wavelength_nm"] > 0.0:
            off = abs(float(np.mean(wavelength)) - options["wavelength_nm"])
            sem = float(np.std(wavelength)) / math.sqrt(wavelength.size)
            limit = options["max_wavelength_error_nm"]
            criteria.append(Criterion("wavelength error in nm", off, sem, limit, "at most"))
        results = {"power_w": float(np.mean(power)), "wavelength_nm": float(np.mean(wavelength)), "light_hz": gain}
        proposal = {"laser.enabled": True}
        return Decision((), tuple(criteria), proposal, results, "check the laser, its interlock, and the fibre")


class Attenuation(Routine):
    """Find the attenuation at which the brightest pulse leaves the sender with the target mean photon number.

    The meter sees the sender's output (or a tap that it is corrected for). Faint light is below any meter, so the
    curve is measured at low attenuation, with the detectors off, and continued.
    """

    name = "attenuation"
    roles = ("sender", "attenuator", "power_meter", "intensity_modulator")
    options: ClassVar[Mapping[str, float]] = {
        "reads": 8,
        "step_db": 2.0,
        "steps": 8,
        "max_relative_error": 0.1,
        "max_slope_error": 0.05,
        "least_signal_to_noise": 10.0,
    }

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return pulse rate and target mean photon number."""
        source = link.source
        return {} if source is None else {"pulse_rate_hz": source.pulse_rate_hz, "mu": source.intensities[0]}

    def measure(self, session: Session) -> None:
        """Read the meter from high attenuation to low, all pulses bright."""
        play_bright(session)
        for role in [role for role in session.lab.roles if role.startswith("detector")]:
            session.turn(f"{role}.enabled", False)
        for step in reversed(range(int(session.options["steps"]))):
            attenuation = step * session.options["step_db"]
            session.turn("attenuator.attenuation", attenuation)
            reads = [float(session.get("power_meter.power")) for _ in range(int(session.options["reads"]))]
            row = {"power_w": float(np.mean(reads)), "spread_w": float(np.std(reads, ddof=1)), "reads": len(reads)}
            wavelength = float(session.get("power_meter.wavelength"))
            session.add("curve", {"attenuation_db": attenuation, **row, "wavelength_nm": wavelength})

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit power in dB against attenuation and solve for N f h c / lambda."""
        scan = scans["curve"]
        power, error = scan["power_w"], scan["spread_w"] / np.sqrt(scan["reads"])
        seen = power > options["least_signal_to_noise"] * error
        if np.count_nonzero(seen) < 4:
            raise NotEnoughSignalsError(
                f"the power meter sees light in {np.count_nonzero(seen)} of {power.size} points",
                hint="check the meter's range, and that it sees the sender's output",
            )
        x = scan["attenuation_db"][seen]
        y = 10.0 * np.log10(power[seen])
        # Readings may agree to the last digit; no meter is linear to better than a tenth of a per cent.
        sigma = 10.0 / math.log(10.0) * np.hypot(error[seen] / power[seen], 1e-3)
        design = np.stack([np.ones_like(x), -x], axis=1)
        fit = weighted_fit("attenuation", "level - slope * attenuation", ("level_dbw", "slope"), design, y, sigma)
        photon_w = options["pulse_rate_hz"] * photon_energy_j(float(scan["wavelength_nm"][0]))
        wanted = 10.0 * math.log10(options["mu"] * photon_w)
        target = (fit["level_dbw"] - wanted) / fit["slope"]
        slopes = np.array([1.0, -target])
        sigma_db = math.sqrt(float(slopes @ np.array(fit.covariance) @ slopes))
        criteria = (
            Criterion(
                "relative error of the mean photon number",
                0.0,
                math.log(10.0) / 10.0 * sigma_db,
                options["max_relative_error"],
                "at most",
            ),
            Criterion(
                "deviation of the attenuator's slope from 1",
                abs(fit["slope"] - 1.0),
                fit.sigma("slope"),
                options["max_slope_error"],
                "at most",
            ),
        )
        results = {"attenuation_db": target, "attenuation_sigma_db": sigma_db, "mu": options["mu"]}
        return Decision((fit,), criteria, {"attenuator.attenuation": target}, results, "check the meter and its tap")
