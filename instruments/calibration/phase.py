"""Half-wave voltages, drive levels and the working point of phase and polarization modulators.

The receiver counts all arrival times of a pulse alike, so that no clock is needed: side peaks only lower the
contrast of the fringe, which the fit finds anyway.

Sources: W. Tittel et al., Rev. Mod. Phys. 74 145 (2002), section IV (phase coding).
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from faintlink.core.calibration.records import Criterion, Decision, Fit, Scan
from faintlink.instruments.calibration.fits import fit_fringes
from faintlink.instruments.calibration.play import basis_contrast, hold, laser_off, play_bright
from faintlink.instruments.calibration.routine import Routine
from faintlink.instruments.calibration.session import Session

STATE_TURNS = (0.0, 1.0, 0.5, 1.5)
"""Phase of each state in units of pi, by bit + 2 basis."""
_RANGE = (0.45, 2.2)


def scan_drive(session: Session, role: str) -> None:
    """Add the scans ``start``, ``dark`` and ``drive``: all levels of a modulator alike, over more than a period."""
    levels = [float(level) for level in session.get(f"{role}.drive_levels")]
    # Four states span three half-wave voltages of two; a choice between two bases spans half of one.
    nominal = (max(levels) - min(levels)) / (1.5 if len(levels) > 2 else 0.5) or 1.0
    session.add("start", {"nominal_half_wave_v": nominal})
    play_bright(session)
    session.dim()
    laser_off(session, 0.1)
    for turn in np.linspace(-0.2, 2.6, int(session.options["points"])):
        hold(session, role, float(turn) * nominal)
        session.point("drive", {"drive_v": float(turn) * nominal}, session.options["duration_s"])


def fit_drive(scans: Mapping[str, Scan]) -> Fit:
    """Return the joint fit of the contrast in both bases: curve 0 is Z, curve 1 is X."""
    nominal = float(scans["start"]["nominal_half_wave_v"][0])
    curves = [basis_contrast(scans, "drive", basis) for basis in "zx"]
    window = (_RANGE[0] * nominal, _RANGE[1] * nominal)
    return fit_fringes("drive", scans["drive"]["drive_v"], curves, half_wave=window)


def half_wave_criteria(fit: Fit, max_excess: float) -> list[Criterion]:
    """Return what both kinds of modulator require: a fringe, and a half-wave voltage that costs little QBER."""
    strongest = max((0, 1), key=lambda k: fit[f"amplitude_{k}"] / max(fit.sigma(f"amplitude_{k}"), 1e-300))
    name = f"amplitude_{strongest}"
    # The outermost state is 3/2 half-wave voltages away: sin^2(delta / 2) of its bits are wrong.
    worst = 1.5 * math.pi * 3.0 * fit.sigma("half_wave_v") / fit["half_wave_v"]
    return [
        Criterion("amplitude of the fringe", fit[name], fit.sigma(name), 0.0, "at least", 5.0),
        Criterion("QBER by the error of the half-wave voltage", math.sin(min(worst, math.pi) / 2.0) ** 2, 0.0,
                  max_excess, "at most"),
    ]  # fmt: skip


class ReceiverPhase(Routine):
    """Measure the half-wave voltage of the receiver's phase modulator and set its two bases apart by pi/2."""

    name = "receiver_phase"
    roles = ("sender", "phase_modulator", "phase_modulator_2")
    options: ClassVar[Mapping[str, float]] = {"points": 25, "duration_s": 0.03, "max_qber_excess": 0.005}

    def measure(self, session: Session) -> None:
        """Scan the receiver's drive with the sender's phase held."""
        hold(session, "phase_modulator", 0.0)
        scan_drive(session, "phase_modulator_2")

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit the fringe."""
        fit = fit_drive(scans)
        half_wave = fit["half_wave_v"]
        criteria = half_wave_criteria(fit, options["max_qber_excess"])
        proposal = {"phase_modulator_2.drive_levels": [0.0, half_wave / 2.0]}
        return Decision((fit,), tuple(criteria), proposal, {"half_wave_v": half_wave}, "check the receiver's driver")


class SenderPhase(Routine):
    """Measure the sender's half-wave voltage and bring both interferometers into phase.

    The fringes of both bases must be a quarter of a period apart: that is the receiver's choice of basis, and it
    is set by `ReceiverPhase` before.
    """

    name = "sender_phase"
    roles = ("sender", "phase_modulator")
    options: ClassVar[Mapping[str, float]] = {
        "points": 25,
        "duration_s": 0.03,
        "confirm_s": 0.3,
        "max_qber_excess": 0.01,
    }

    def measure(self, session: Session) -> None:
        """Scan the sender's drive while the receiver plays its bases."""
        session.add("bias", {"bias_v": float(session.get("phase_modulator.bias_voltage"))})
        scan_drive(session, "phase_modulator")

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit the fringes of both bases and place state 0 at the maximum of basis Z."""
        fit = fit_drive(scans)
        half_wave = fit["half_wave_v"]
        apart = math.pi * (fit["maximum_1_v"] - fit["maximum_0_v"]) / half_wave - math.pi / 2.0
        off = math.remainder(apart, 2.0 * math.pi)
        sigma = math.pi / half_wave * math.hypot(fit.sigma("maximum_0_v"), fit.sigma("maximum_1_v"))
        excess = options["max_qber_excess"]
        criteria = half_wave_criteria(fit, excess)
        # Half of the error goes to either basis, and sin^2(delta / 2) of the bits are wrong.
        limit = 4.0 * math.asin(math.sqrt(excess))
        criteria.append(
            Criterion("distance of the receiver's bases from pi/2, in rad", abs(off), sigma, limit, "at most")
        )
        shift = fit["maximum_0_v"] + off / 2.0 * half_wave / math.pi
        bias = math.remainder(float(scans["bias"]["bias_v"][0]) + shift, 2.0 * half_wave)
        levels = [turn * half_wave for turn in STATE_TURNS]
        proposal = {"phase_modulator.bias_voltage": bias, "phase_modulator.drive_levels": levels}
        results = {"half_wave_v": half_wave, "bases_off_rad": off}
        if "states" in scans:
            criteria += _state_criteria(scans, excess, results)
        advice = "bind the receiver's modulator as phase_modulator_2 and calibrate receiver_phase first"
        return Decision((fit,), tuple(criteria), proposal, results, advice)

    def confirm(self, session: Session, decision: Decision) -> None:
        """Hold each of the four states."""
        play_bright(session)
        session.dim()
        for level in decision.proposal["phase_modulator.drive_levels"]:
            hold(session, "phase_modulator", level)
            session.point("states", {"drive_v": float(level)}, session.options["confirm_s"])


def _state_criteria(scans: Mapping[str, Scan], excess: float, results: dict[str, float]) -> list[Criterion]:
    """Return the criteria on the phase error of each basis.

    States of the same basis show the cosine of the error and those of the other its sine, both as differences of
    opposite states: neither the contrast nor the detectors' imbalance has to be known.
    """
    criteria = []
    for k, basis in enumerate("zx"):
        value, sigma = basis_contrast(scans, "states", basis)
        same, other = 2 * k, 2 - 2 * k
        cosine, sine = (float(value[at] - value[at + 1]) for at in (same, other))
        error = math.atan2(sine, cosine)
        full = max(math.hypot(cosine, sine), 1e-300)
        spread = math.hypot(float(sigma[other]), float(sigma[other + 1])) / full
        results[f"phase_error_{basis}_rad"] = error
        # sin^2(error / 2) of the bits are wrong.
        limit = 2.0 * math.asin(math.sqrt(excess))
        name = f"phase error of basis {basis.upper()}, in rad"
        criteria.append(Criterion(name, abs(error), spread, limit, "at most"))
    return criteria


class PolarizationDrive(Routine):
    """Measure the voltage that turns the sender's polarization by 90 degrees, whatever the fibre does to it."""

    name = "polarization_drive"
    roles = ("sender", "polarization_modulator")
    options: ClassVar[Mapping[str, float]] = {"points": 25, "duration_s": 0.03, "max_qber_excess": 0.005}

    def measure(self, session: Session) -> None:
        """Scan the drive: a great circle of the sphere, of which the two bases together always see enough."""
        scan_drive(session, "polarization_modulator")

    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Fit both contrasts with one period."""
        fit = fit_drive(scans)
        half_wave = fit["half_wave_v"]
        proposal = {"polarization_modulator.drive_levels": [turn * half_wave for turn in STATE_TURNS]}
        criteria = half_wave_criteria(fit, options["max_qber_excess"])
        return Decision((fit,), tuple(criteria), proposal, {"half_wave_v": half_wave}, "check the modulator's driver")
