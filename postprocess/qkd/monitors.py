"""Statistical monitors: what a block must look like for the security proof to apply to it.

Each monitor compares a measured figure with its limit and its statistical error. It objects only when the figure
is beyond the limit *and* that is no accident (``sigma`` standard errors away from the allowed range). A block to
which a monitor objects makes no key, and the reason is reported.

Sources: the attacks behind each monitor stand in its docstring; collected in L. Lydersen et al., Nature Photon.
4, 686 (2010) (blinding), B. Qi et al., Quantum Inf. Comput. 7, 73 (2007) (time shift), Y. Zhao et al.,
Phys. Rev. A 78, 042333 (2008).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Monitors, PulsedSource
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import Basis, Party
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.sifting import ones_and_repeats
from faintlink.postprocess.qkd.sift import SiftedBits

_OUTCOMES = ("Z0", "Z1", "X0", "X1")


@dataclass(frozen=True, slots=True)
class MonitorReading:
    """One figure, its limit, and whether it is a reason to refuse the block."""

    name: str
    """What was measured."""
    value: float
    """The figure."""
    limit: float
    """Largest allowed."""
    error: float
    """Standard error of the figure."""
    objects: bool
    """Whether the figure is significantly beyond the limit."""
    meaning: str
    """What a reader should think of when it objects."""

    @property
    def sentence(self) -> str:
        """The reading in words."""
        verdict = "exceeds" if self.objects else "is within"
        return f"{self.name}: {self.value:.4g} ± {self.error:.2g} {verdict} {self.limit:.4g} ({self.meaning})"


def reading(name: str, value: float, limit: float, error: float, policy: Monitors, meaning: str) -> MonitorReading:
    """Return the reading of a figure, which objects when it is beyond its limit by ``policy.sigma`` errors."""
    return MonitorReading(name, value, limit, error, value - limit > policy.sigma * error, meaning)


def bit_bias(bits: SiftedBits, policy: Monitors) -> list[MonitorReading]:
    """Return `party_bias` of both parties."""
    in_test = bits.basis == Basis.X
    both = ((Party.ALICE, bits.alice), (Party.BOB, bits.bob))
    return [one for party, values in both for one in party_bias(party, values[~in_test], values[in_test], policy)]


def party_bias(party: Party, key: Bits, test: Bits, policy: Monitors) -> list[MonitorReading]:
    """Compare the share of ones among one party's sifted bits with one half, by basis.

    A detector that is blind, a stuck modulator or a biased random source shows here. How often a bit equals the one
    before it is compared with chance, given how often ones and zeros come: a detector that is dead after its click
    makes the next bit predictable, however fair the bits are on average (H. Weier et al., New J. Phys. 13, 073024
    (2011)).

    Parameters
    ----------
    party
        Whose bits.
    key, test
        (n,) and (t,) uint8, in order of detection.
    policy
        Limits and significance.
    """
    return [one for basis, bits in ((Basis.Z, key), (Basis.X, test)) for one in _bias(party, basis, bits, policy)]


def _bias(party: Party, basis: Basis, bits: Bits, policy: Monitors) -> Iterator[MonitorReading]:
    n = bits.size
    ones, repeats = ones_and_repeats(bits)
    if n:
        what = f"bit bias of {party} in {basis.name}"
        meaning = "ones and zeros should be equally frequent; look for a dead detector or a stuck modulator"
        yield reading(what, abs(ones / n - 0.5), policy.max_bit_bias, 0.5 / math.sqrt(n), policy, meaning)
    if n > 1:
        what = f"repetition of {party}'s bits in {basis.name}"
        meaning = (
            "a bit should not depend on the one before; look at dead_time_ps or for light that deadens one detector"
        )
        value = abs(repeats / (n - 1) - (ones / n) ** 2 - (1.0 - ones / n) ** 2)
        yield reading(what, value, policy.max_repeat_bias, 0.5 / math.sqrt(n - 1), policy, meaning)


def detector_balance(clicks: npt.NDArray[np.int64], policy: Monitors, party: str) -> list[MonitorReading]:
    """Compare the clicks of the two detectors of each basis; ``clicks`` is (4,) int64 by outcome.

    An efficiency mismatch is the lever of time-shift and faked-state attacks.
    """
    readings = []
    for basis in Basis:
        zero, one = (int(clicks[2 * basis + bit]) for bit in (0, 1))
        total = zero + one
        if total:
            value, error = abs(zero - one) / total, 1.0 / math.sqrt(total)
            what = f"imbalance of {party}'s {basis.name} detectors"
            meaning = "the two detectors should click alike; look for a dead, blinded or misaligned detector"
            readings.append(reading(what, value, policy.max_detector_imbalance, error, policy, meaning))
    return readings


def timing_skew(moments: npt.NDArray[np.int64], policy: Monitors) -> list[MonitorReading]:
    """Compare the mean arrival of the outcomes; ``moments`` is (4, 3) int64: clicks, sum, sum of squares in ps.

    A public time stamp reveals the bit if the detectors' delays differ; a shifted detector is a time-shift attack.
    Where nobody measured arrivals, there is no reading.
    """
    if not moments[:, 1:].any():
        return []
    seen = [(name, *_mean_and_error(row)) for name, row in zip(_OUTCOMES, moments.tolist(), strict=True) if row[0] > 1]
    if len(seen) < 2:
        return []
    early, late = min(seen, key=lambda one: one[1]), max(seen, key=lambda one: one[1])
    what = f"arrival of {late[0]} after {early[0]} in ps"
    error = math.hypot(early[2], late[2])
    meaning = "all detectors should fire at the same place of the slot; align their delays"
    return [reading(what, late[1] - early[1], policy.max_timing_skew_ps, error, policy, meaning)]


def _mean_and_error(row: list[int]) -> tuple[float, float]:
    n, total, squares = row
    mean = total / n
    return mean, math.sqrt(max(squares / n - mean * mean, 0.0) / n)


def double_clicks(events: int, multi: int, policy: Monitors) -> list[MonitorReading]:
    """Compare the share of detections with more than one click with its limit.

    Bright light sent to control detectors makes them fire together.
    """
    if not events:
        return []
    value = multi / events
    error = math.sqrt(max(multi, 1)) / events
    meaning = "coincident clicks should be rare; look for bright light on the detectors"
    return [reading("share of multi-click slots", value, policy.max_double_click_ratio, error, policy, meaning)]


def intensity_ratio(sifted: DecoyCounts, source: PulsedSource, policy: Monitors) -> list[MonitorReading]:
    """Compare the gains of the dimmer intensities with the brightest one's, as weak coherent light predicts.

    For phase-randomised light and small click probabilities the gain is proportional to the mean photon number, so
    detections of intensity k are expected in the ratio p_k mu_k. An adversary who passes multi-photon pulses and
    blocks single ones (photon-number splitting) makes the dim pulses too rare.

    Parameters
    ----------
    sifted
        Detections of both bases.
    source, policy
        What was played, and the limit.
    """
    counts = [key + test for key, test in zip(sifted.n_key, sifted.n_test, strict=True)]
    readings = []
    for k in range(1, len(source.intensities)):
        if source.intensities[k] <= 0.0 or not counts[0] or not counts[k]:
            continue
        weight = [p * mu for p, mu in zip(source.probabilities, source.intensities, strict=True)]
        ratio = counts[k] / counts[0] * weight[0] / weight[k]
        error = ratio * math.sqrt(1 / counts[k] + 1 / counts[0])
        what = f"gain of intensity {k} against the signal's"
        meaning = "gains should follow the mean photon numbers; look for a wrong intensity or photon-number splitting"
        limit = policy.max_intensity_deviation
        readings.append(reading(what, abs(ratio - 1.0), limit, error, policy, meaning))
    return readings
