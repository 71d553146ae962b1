"""Blocks of clicks of a one-decoy link, honest or attacked, in a few numpy lines.

The sender plays 80 MHz; a block has about 100,000 clicks of photons and 20,000 darks in a second,
jitter 100 ps, an error rate of 0.5 % before darks. The clock is taken as found: attacks act on what comes after it.

Sources: the attacks' papers stand at `tests.attacks.cases`.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.entropy import SeededEntropy
from faintlink.core.symbols import Party, pack_settings
from faintlink.core.units import Slots
from faintlink.postprocess.node.distil import BlockResult, KeyBlock
from faintlink.postprocess.pipeline import _distil, _readings
from faintlink.postprocess.qkd.clock import ClockModel, SlottedTags
from faintlink.postprocess.qkd.detection import ArrivalStatistics, Detections, PulsedDetector
from faintlink.postprocess.qkd.sift import SiftedBits, join, sift

PERIOD_PS = 12_500
RATE_HZ = 80e6
FLOOR_HZ = 20_000.0
MU = np.array([0.5, 0.15])
PLAYED = np.array([0.5, 0.5])
STRETCH_SLOTS = 1_600_000
"""20 ms."""
SECRET = bytes(range(32))
LINK_TEXT = """
format: faintlink.link/1
name: attacked
protocol: bb84-decoy
receivers:
  bob:
    tagger: bob_tagger
    dead_time_ps: {dead_time_ps}
    channels:
      1: {{basis: Z, bit: 0}}
      2: {{basis: Z, bit: 1}}
      3: {{basis: X, bit: 0}}
      4: {{basis: X, bit: 1}}
source:
  pulse_rate_hz: 80e6
  intensities: [0.5, 0.15]
  probabilities: [0.5, 0.5]
  key_basis_probability: 0.6
gate: {{half_width_ps: 500}}
security:
  bound: rusca2018
  length: legacy
  eps_sec: 1e-6
  eps_cor: 1e-9
  block_s: 1.0
  monitors: {{floor_hz: {floor_hz}, vetoes: {vetoes}}}
"""


def attacked_link(*, dead_time_ps: int = 0, floor_hz: float = 0.0, vetoes: bool = True) -> LinkConfig:
    """Return the link with all limits at their defaults."""
    text = LINK_TEXT.format(dead_time_ps=dead_time_ps, floor_hz=floor_hz, vetoes=str(vetoes).lower())
    return parse_yaml(text, LinkConfig, "attacked.link.yaml")


@dataclass(frozen=True, eq=False)
class Clicks:
    """Clicks of one block, in any order, with the sender's setting of their slots."""

    slots: Slots
    """(n,) int64."""
    phases: npt.NDArray[np.int32]
    """(n,) int32 in ps from the slot's pulse."""
    outcomes: npt.NDArray[np.uint8]
    """(n,) uint8, 2*basis + bit."""
    is_dark: npt.NDArray[np.bool_]
    """(n,) whether no pulse made it."""
    setting_slots: Slots
    """(m,) int64 strictly increasing."""
    settings: npt.NDArray[np.uint8]
    """(m,) uint8."""

    def keep(self, which: npt.NDArray[np.bool_]) -> "Clicks":
        """Return the clicks of a mask, with all settings."""
        return replace(
            self,
            slots=self.slots[which],
            phases=self.phases[which],
            outcomes=self.outcomes[which],
            is_dark=self.is_dark[which],
        )

    def and_also(self, slots: Slots, phases: npt.NDArray[np.int32], outcomes: npt.NDArray[np.uint8]) -> "Clicks":
        """Return these clicks and more, in slots that have a setting or whose setting nobody recorded."""
        return replace(
            self,
            slots=np.concatenate((self.slots, slots)),
            phases=np.concatenate((self.phases, phases.astype(np.int32))),
            outcomes=np.concatenate((self.outcomes, outcomes.astype(np.uint8))),
            is_dark=np.concatenate((self.is_dark, np.zeros(slots.size, np.bool_))),
        )

    @property
    def code(self) -> npt.NDArray[np.uint8]:
        """(n,) uint8, the sender's setting at each click."""
        return self.settings[np.searchsorted(self.setting_slots, self.slots)]


@dataclass(frozen=True)
class Light:
    """What arrives at the receiver in one block."""

    photons: int = 100_000
    seconds: float = 1.0
    floor_hz: float = FLOOR_HZ
    qber: float = 0.005
    double: float = 0.002
    """Share of slots in which another detector fires too."""
    jitter_ps: float = 100.0
    gains: tuple[float, float] = (0.5, 0.15)
    """Relative click probability of each intensity."""
    resent: float = 0.0
    """Share of pulses that were measured in a random basis and sent again."""
    shift_ps: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Delay of each detector."""
    efficiency: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Of each detector, relative."""

    def clicks(self, rng: np.random.Generator) -> Clicks:
        """Return one block."""
        total = round(self.seconds * RATE_HZ)
        slots = np.unique(rng.integers(0, total, rng.poisson(self.photons)))
        n = slots.size
        darks = rng.integers(0, total, rng.poisson(self.floor_hz * self.seconds))
        codes, outcomes = self._outcomes(rng, n)
        extra = np.flatnonzero(rng.random(n) < self.double)
        others = (outcomes[extra] + rng.integers(1, 4, extra.size)) % 4
        outcomes = np.concatenate((outcomes, others, rng.integers(0, 4, darks.size))).astype(np.uint8)
        lit = n + extra.size
        phases = np.concatenate(
            (rng.normal(0.0, self.jitter_ps, lit), rng.uniform(-PERIOD_PS / 2, PERIOD_PS / 2, darks.size))
        )
        phases[:lit] += np.array(self.shift_ps)[outcomes[:lit]]
        setting_slots, settings = self._settings(rng, slots, codes, darks)
        all_slots = np.concatenate((slots, slots[extra], darks))
        is_dark = np.arange(all_slots.size) >= lit
        made = Clicks(all_slots, np.rint(phases).astype(np.int32), outcomes, is_dark, setting_slots, settings)
        if self.efficiency == (1.0, 1.0, 1.0, 1.0):
            return made
        return made.keep(is_dark | (rng.random(all_slots.size) < np.array(self.efficiency)[outcomes]))

    def _outcomes(self, rng: np.random.Generator, n: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        weights = PLAYED * np.array(self.gains)
        bit, intensity = rng.integers(0, 2, n), (rng.random(n) >= weights[0] / weights.sum()).astype(np.int64)
        basis, seen = ((rng.random(n) >= 0.6).astype(np.int64) for _ in range(2))
        sent_bit, sent_basis = bit.copy(), basis.copy()
        if self.resent:
            tapped, eve = rng.random(n) < self.resent, rng.integers(0, 2, n)
            sent_bit = np.where(tapped & (eve != basis), rng.integers(0, 2, n), bit)
            sent_basis = np.where(tapped, eve, basis)
        result = np.where(seen == sent_basis, sent_bit ^ (rng.random(n) < self.qber), rng.integers(0, 2, n))
        return pack_settings(bit=bit, basis=basis, intensity=intensity), (2 * seen + result).astype(np.uint8)

    @staticmethod
    def _settings(
        rng: np.random.Generator, slots: Slots, codes: npt.NDArray[np.uint8], darks: Slots
    ) -> tuple[Slots, npt.NDArray[np.uint8]]:
        n = darks.size
        intensity = (rng.random(n) >= PLAYED[0]).astype(np.int64)
        dark_codes = pack_settings(
            bit=rng.integers(0, 2, n), basis=(rng.random(n) >= 0.6).astype(np.int64), intensity=intensity
        )
        # The first of equal slots is a photon's, whose setting decided on its click.
        found, at = np.unique(np.concatenate((slots, darks)), return_index=True)
        return found, np.concatenate((codes, dark_codes))[at]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the receiver and the pipeline make of a block."""

    bits: SiftedBits
    arrivals: ArrivalStatistics
    block: KeyBlock
    link: LinkConfig = field(repr=False)

    @property
    def objections(self) -> list[str]:
        """Names of the monitors that object."""
        return [one.name for one in self.block.monitors if one.objects]

    def distil(self, seed: int = 1) -> BlockResult:
        """Return the key or its refusal."""
        return _distil(self.block, self.link, SeededEntropy(seed))


def watch(clicks: Clicks, link: LinkConfig) -> Seen:
    """Detect, sift and watch a block, in stretches of 20 ms, with the stages and monitors of the pipeline."""
    receiver = link.receivers[Party.BOB]
    detector = PulsedDetector(receiver, link.gate, period_ps=float(PERIOD_PS), squash_seed=SECRET)
    times = clicks.slots * PERIOD_PS + clicks.phases
    order = np.argsort(times, kind="stable")
    times, slots, phases = times[order], clicks.slots[order], clicks.phases[order]
    channels = clicks.outcomes[order] + np.uint8(1)
    model = ClockModel(0, 0, float(PERIOD_PS), 100.0, 1000)
    arrivals, parts = ArrivalStatistics.zero(), []
    last = int(slots[-1]) if slots.size else -1
    edges = np.searchsorted(slots, np.arange(0, last + 1 + STRETCH_SLOTS, STRETCH_SLOTS))
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        cut = slice(first, end)
        found, seen = detector.detect(SlottedTags(times[cut], channels[cut], slots[cut], phases[cut], model, False))
        arrivals += seen
        parts.append(_sifted(found, clicks))
    bits = join(parts)
    readings = tuple(_readings(bits, {Party.BOB: arrivals}, link))
    return Seen(bits, arrivals, KeyBlock(0, 0, bits, readings), link)


def _sifted(found: Detections, clicks: Clicks) -> SiftedBits:
    if not found.slots.size:
        return sift(found, clicks.setting_slots[:0], clicks.settings[:0])[0]
    first, end = np.searchsorted(clicks.setting_slots, (found.slots[0], found.slots[-1] + 1)).tolist()
    return sift(found, clicks.setting_slots[first:end], clicks.settings[first:end])[0]
