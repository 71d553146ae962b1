"""Entangled pairs at two receivers, made of a few numpy lines, with the truth about every pair."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, TimesPs
from tests.pulses import cut

SEEDS = {Party.ALICE: bytes(range(32)), Party.BOB: bytes(range(32, 64))}
LINK_TEXT = """
format: faintlink.link/1
name: small-pairs
protocol: bbm92
receivers:
  alice: &receiver
    tagger: alice_tagger
    dead_time_ps: {dead_time_ps}
    channels:
      1: {{basis: Z, bit: 0}}
      2: {{basis: Z, bit: 1}}
      3: {{basis: X, bit: 0}}
      4: {{basis: X, bit: 1}}
    ignored_channels: [9]
  bob:
    tagger: bob_tagger
    dead_time_ps: {dead_time_ps}
    channels:
      1: {{basis: Z, bit: 0}}
      2: {{basis: Z, bit: 1}}
      3: {{basis: X, bit: 0}}
      4: {{basis: X, bit: 1}}
    ignored_channels: [9]
pairs: {{state: {state}, window_ps: 2000, max_offset_s: 0.02}}
security:
  bound: tomamichel2012
  length: legacy
  eps_sec: 1e-6
  eps_cor: 1e-9
  block_s: {block_s}
"""


def link_text(*, state: str = "phi+", block_s: float = 1.0, dead_time_ps: int = 0) -> str:
    """Return a link file that fits `Pairs`."""
    return LINK_TEXT.format(state=state, block_s=block_s, dead_time_ps=dead_time_ps)


def pair_link(text: str = "") -> LinkConfig:
    """Return the link of a text, or of `link_text`."""
    return parse_yaml(text or link_text(), LinkConfig, "pairs.link.yaml")


@dataclass(frozen=True, eq=False)
class PairTags:
    """What two receivers recorded, and what is true of it."""

    tags: dict[Party, TagBlock]
    """By party, each on its own clock."""
    times: TimesPs
    """(n,) int64, Alice's time of each pair that both saw in one basis with one click each, sorted."""
    basis: npt.NDArray[np.uint8]
    """(n,) uint8."""
    alice: npt.NDArray[np.uint8]
    """(n,) uint8, her bits."""
    bob: npt.NDArray[np.uint8]
    """(n,) uint8, his bits as his detectors showed them."""


@dataclass(frozen=True)
class Pairs:
    """A source of pairs seen by two receivers whose clocks differ."""

    pairs_hz: float = 3e4
    seconds: float = 3.3
    keep: float = 0.7
    """Chance of each photon to be detected."""
    qber: float = 0.02
    double: float = 0.005
    """Share of detections with a second click."""
    dark_hz: float = 2e3
    jitter_ps: float = 120.0
    offset_ps: int = -7_123_456_789
    ppm: float = 4.0
    drift_per_s: float = 5e-8
    is_singlet: bool = False
    start_ps: int = 10**15
    late_s: tuple[float, float] = (0.0, 0.0)
    """How much later than the source Alice and Bob start to record."""
    dark_from_s: float = 1e9
    """From here on the source is off and only darks are left."""
    seed: int = 2

    def make(self) -> PairTags:
        """Return the tags and the truth; the same fields give the same arrays."""
        rng = np.random.default_rng(self.seed)
        n = rng.poisson(self.pairs_hz * self.seconds)
        emitted = np.sort(rng.integers(0, round(self.seconds * PS_PER_S), n))
        emitted = emitted[emitted < self.dark_from_s * PS_PER_S]
        n = emitted.size
        bases = rng.integers(0, 2, (2, n), dtype=np.uint8)
        bits = rng.integers(0, 2, (2, n), dtype=np.uint8)
        same = bases[0] == bases[1]
        flipped = (rng.random(n) < self.qber) ^ self.is_singlet
        bits[1] = np.where(same, bits[0] ^ flipped, bits[1])
        seen = rng.random((2, n)) < self.keep
        times = np.stack((emitted, self.on_bobs_clock(emitted)))
        times += np.rint(rng.normal(0.0, self.jitter_ps, times.shape)).astype(np.int64) + self.start_ps
        twice = rng.random((2, n)) < self.double
        for row, late in enumerate(self.late_s):
            seen[row] &= emitted >= late * PS_PER_S
        tags = {
            party: self._tags(
                rng, party, times[row][seen[row]], (2 * bases + bits)[row][seen[row]], twice[row][seen[row]]
            )
            for row, party in enumerate((Party.ALICE, Party.BOB))
        }
        good = np.flatnonzero(seen.all(axis=0) & ~twice.any(axis=0) & same)
        good = good[np.argsort(times[0][good], kind="stable")]
        return PairTags(tags, times[0][good], bases[0][good], bits[0][good], bits[1][good])

    def on_bobs_clock(self, times: TimesPs) -> TimesPs:
        """Return what Bob's clock shows at times (n,) int64 in ps of Alice's, both counted from the start."""
        at_s = times / PS_PER_S
        off = (self.ppm * 1e-6 * at_s + 0.5 * self.drift_per_s * at_s**2) * PS_PER_S
        return times + self.offset_ps + np.rint(off).astype(np.int64)

    def _tags(
        self,
        rng: np.random.Generator,
        party: Party,
        times: TimesPs,
        outcome: npt.NDArray[np.uint8],
        twice: npt.NDArray[np.bool_],
    ) -> TagBlock:
        row = (Party.ALICE, Party.BOB).index(party)
        first, last = round(self.late_s[row] * PS_PER_S), round(self.seconds * PS_PER_S)
        shift = self.start_ps + (self.offset_ps if party is Party.BOB else 0)
        darks = rng.integers(first, last, rng.poisson(self.dark_hz * (last - first) / PS_PER_S)) + shift
        second = times[twice] + rng.integers(0, 300, int(twice.sum()))
        other = (outcome[twice] + rng.integers(1, 4, second.size)) % 4
        all_times = np.concatenate((times, second, darks))
        channels = np.concatenate((outcome, other, rng.integers(0, 4, darks.size))) + 1
        order = np.argsort(all_times, kind="stable")
        return TagBlock.checked(all_times[order], channels[order].astype(np.uint8))


def write_pair_run(folder: Path, pairs: PairTags, *, text: str = "", blocks: int = 5) -> Path:
    """Write a run folder of both parties and return it; ``text`` is the link file."""
    text = text or link_text()
    manifest = create_run(folder, "run-2")
    for party, tags in pairs.tags.items():
        context = {"link": text, "squash_seed": SEEDS[party].hex()}
        writer = PartyWriter(folder, manifest, party, streams=[StreamSpec("tags", "tags")], context=context)
        for block in cut(tags, [len(tags) * k // blocks for k in range(1, blocks)]):
            writer.append_tags("tags", block)
            writer.commit()
        writer.seal()
    return folder
