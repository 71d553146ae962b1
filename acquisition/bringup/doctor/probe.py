"""A short look at an open table: dark counts, light, leak, power, clock, arrival times and errors, in a few seconds.

It works through roles as the calibrations do, lasts about two seconds of the tagger's clock, and puts every knob back
at its end. What one part cannot measure is left out, so that the rest can still be judged.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from faintlink.acquisition.bringup.doctor.evidence import Arrivals, ClockSeen, DetectorSeen, Estimate, Probe
from faintlink.acquisition.calibration.arrival import fold_block
from faintlink.acquisition.calibration.sifting import error_rate, errors_in
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.config.link import PulsedSource
from faintlink.core.errors import ClockLostError, FaintlinkError, TagOverflowError
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, db_to_ratio
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.play import hold, play_bright, total_rates
from faintlink.instruments.calibration.session import Session
from faintlink.postprocess.qkd.clock import acquire

_log = logging.getLogger(__name__)
DARK_S = 0.3
LIGHT_S = 0.3
_LEVEL_S = 0.1
_METER_READS = 8
_BINS = 500
_COHERENT_PS = 5 * PS_PER_S // 1000
"""Around the moment for which a clock was found: it needs no following so near."""
_WIDE = 20.0
"""Times the allowed frequency error in which a comb is looked for that the link file does not allow for."""


def probe(lab: Lab, passed: Mapping[str, CalibrationRecord], *, timeout_s: float = 120.0) -> Probe:
    """Look at the table for a few seconds.

    Parameters
    ----------
    lab
        The instruments, with the settings of a bring-up in force.
    passed
        Newest passed record by routine: what to compare with.
    timeout_s
        Time for all of it.
    """
    session = Session(lab, {"settle_s": 0.0, "blind_share": 0.03}, timeout_s=timeout_s)
    seen = _Seen(session)
    try:
        seen.dark()
        if lab.link.source is not None:
            seen.light(lab.link.source)
            seen.leak()
            seen.power(passed.get("attenuation"))
        else:
            seen.pair_errors()
    finally:
        for trouble in session.restore():
            _log.warning("after the probe: %s", trouble)
    return Probe(**seen.parts)


class _Seen:
    """Collects the parts of a probe; each part stands or falls by itself."""

    def __init__(self, session: Session) -> None:
        self._session, self._lab = session, session.lab
        self.parts: dict[str, Any] = {}

    def _guarded(self, what: str, measure: Callable[[], None]) -> None:
        try:
            measure()
        except TagOverflowError as error:
            self.parts["lost_tags"] = int(error.fields.get("lost", 0))
        except FaintlinkError as error:
            _log.info("the probe leaves out %s: %s", what, error.message)
        finally:
            self._session.rest()

    def _record(self, light: bool, duration_s: float) -> TagBlock:
        for role in ("laser", "pair_source"):
            if self._session.has(role):
                self._session.turn(f"{role}.enabled", light)
        return self._lab.record(duration_s)

    def dark(self) -> None:
        """Count with every source of light off."""
        was = {role: self._session.get(f"{role}.enabled") for role in ("laser", "pair_source")
               if self._session.has(role)}  # fmt: skip

        def measure() -> None:
            counts = self._per_detector(self._record(False, DARK_S))
            dead_s = self._lab.receiver.dead_time_ps / PS_PER_S
            self.parts["detectors"] = tuple(
                DetectorSeen(number, count, DARK_S, dead_time_s=dead_s) for number, count in counts.items()
            )

        self._guarded("the dark counts", measure)
        for role, value in was.items():
            self._session.turn(f"{role}.enabled", value)

    def _per_detector(self, block: TagBlock) -> dict[int, int]:
        tally = np.bincount(block.channels, minlength=256)
        counts: dict[int, int] = {}
        for outcome, number in self._lab.detectors.items():
            counts[number] = counts.get(number, 0) + int(tally[self._lab.channels[outcome]])
        return dict(sorted(counts.items()))

    def _lit(self, block: TagBlock, duration_s: float) -> None:
        counts = self._per_detector(block)
        self.parts["detectors"] = tuple(
            replace(one, light_counts=counts[one.number], light_s=duration_s) for one in self.parts.get("detectors", ())
        )

    def light(self, source: PulsedSource) -> None:
        """Play as in a run; count, and fold the arrival times at the recovered clock."""

        def measure() -> None:
            settle_s = source.preamble.slots / source.pulse_rate_hz + source.preamble.search_s
            duration_s = settle_s + LIGHT_S
            block = self._session.play_recorded(duration_s)
            self._lit(block, duration_s)
            self._fold(source, block)
            key, test = errors_in(self._session, block)
            self.parts |= {
                "errors": {
                    name: Estimate(*error_rate(count.bits, count.errors))
                    for name, count in (("key", key), ("test", test))
                }
            }
            # The preamble carries no key.
            self.parts["sifted_hz"] = key.bits / (duration_s - source.preamble.slots / source.pulse_rate_hz)

        self._guarded("the light", measure)

    def _fold(self, source: PulsedSource, block: TagBlock) -> None:
        try:
            folded = fold_block(self._lab, source, block)
        except ClockLostError as error:
            self.parts["clock"] = ClockSeen(False, error.message, self._elsewhere(source, block))
            self.parts["arrivals"] = self._twice_as_often(source, block)
            return
        counts = sum(
            (folded[f"counts_{number}"].astype(np.int64) for number in set(self._lab.detectors.values())),
            np.zeros(len(folded), np.int64),
        )
        self.parts |= {"clock": ClockSeen(True), "arrivals": Arrivals(folded["phase_ps"], counts)}

    def _elsewhere(self, source: PulsedSource, block: TagBlock) -> float | None:
        """Return how far off, in ppm, pulses come that the link file does not allow for."""
        allowed = self._lab.link.clock.max_offset_ppm
        try:
            found = acquire(block.times_ps, source.period_ps, max_offset_ppm=_WIDE * allowed, peaks=source.peaks_ps)
        except ClockLostError:
            return None
        off = (source.period_ps / found.period_ps - 1.0) * 1e6
        return off if abs(off) > allowed else None

    def _twice_as_often(self, source: PulsedSource, block: TagBlock) -> Arrivals | None:
        """Return the arrival times in a slot if pulses come twice in it, equally strong: that hides the slots."""
        try:
            half = acquire(block.times_ps, source.period_ps / 2.0, max_offset_ppm=self._lab.link.clock.max_offset_ppm)
        except ClockLostError:
            return None
        model = replace(half, period_ps=2.0 * half.period_ps)
        near = block.between(half.t0_ps - _COHERENT_PS, half.t0_ps + _COHERENT_PS)
        _, phases = model.slots(near.times_ps)
        edges = np.linspace(-0.5 * source.period_ps, 0.5 * source.period_ps, _BINS + 1)
        return Arrivals(0.5 * (edges[1:] + edges[:-1]), np.histogram(phases, edges)[0])

    def leak(self) -> None:
        """Compare undriven pulses with the brightest."""
        if not self._session.has("intensity_modulator"):
            return

        def measure() -> None:
            levels = list(self._session.get("intensity_modulator.drive_levels"))
            play_bright(self._session)
            self._session.dim()
            self._session.point("bright", {}, _LEVEL_S)
            hold(self._session, "intensity_modulator", 0.0)
            self._session.point("undriven", {}, _LEVEL_S)
            self._session.turn("intensity_modulator.drive_levels", levels)
            self.parts["leak"] = self._ratio()

        self._guarded("the leak", measure)

    def _ratio(self) -> Estimate | None:
        bright, bright_sigma = total_rates(self._session.scans["bright"])
        low, low_sigma = total_rates(self._session.scans["undriven"])
        dark = sum(one.dark_hz for one in self.parts.get("detectors", ()))
        dark_sigma = np.sqrt(sum(one.dark_counts for one in self.parts.get("detectors", ()))) / DARK_S
        peak = float(bright[0]) - dark
        if peak < 5.0 * float(bright_sigma[0]):
            return None
        return Estimate((float(low[0]) - dark) / peak, float(np.hypot(low_sigma[0], dark_sigma)) / peak)

    def power(self, record: CalibrationRecord | None) -> None:
        """Compare the power meter with the record of the attenuation, at the same attenuation and with all bright."""
        if record is None or not self._session.has("power_meter") or "curve" not in record.scans:
            return

        def measure() -> None:
            curve = record.scans["curve"]
            at = int(np.argmax(curve["power_w"]))
            knob = "attenuator.attenuation"
            present = float(self._session.before.get(knob, self._session.get(knob)))
            play_bright(self._session)
            for role in [role for role in self._lab.roles if role.startswith("detector")]:
                self._session.turn(f"{role}.enabled", False)
            self._session.turn(knob, float(curve["attenuation_db"][at]))
            reads = [float(self._session.get("power_meter.power")) for _ in range(_METER_READS)]
            mu = float(record.decision.results["mu"])
            shift_db = present - float(record.decision.results["attenuation_db"])
            ratio = float(np.mean(reads)) / float(curve["power_w"][at]) * db_to_ratio(shift_db)
            spread = float(np.std(reads, ddof=1)) / max(abs(float(np.mean(reads))), 1e-300) / _METER_READS**0.5
            self.parts["mean_photons"] = Estimate(mu * max(ratio, 0.0), mu * abs(ratio) * spread)

        self._guarded("the power", measure)

    def pair_errors(self) -> None:
        """Correlate both receivers of a pair link."""
        from faintlink.acquisition.calibration.coincidences import PairCounter, pair_errors
        from faintlink.acquisition.calibration.pairs import pair_sign

        def measure() -> None:
            self._lit(self._record(True, LIGHT_S), LIGHT_S)
            try:
                PairCounter(self._session).point("sifted", {}, 1.0)
            except ClockLostError as error:
                self.parts["clock"] = ClockSeen(False, error.message)
                return
            self.parts["clock"] = ClockSeen(True)
            sign = pair_sign(self._lab.link)
            self.parts["errors"] = {
                name: Estimate(float(rate[0]), float(sigma[0]))
                for name, basis in (("key", "z"), ("test", "x"))
                for rate, sigma in (pair_errors(self._session.scans["sifted"], basis, sign=sign),)
            }

        self._guarded("the errors", measure)
