"""A pulsed link made of a few numpy lines: tags, settings, and the truth about both.

It shares no code with the simulated instruments, so that the two cannot be wrong together.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.preamble import preamble_pattern
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import SYNC_FLAG, Party, pack_settings
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, Slots, TimesPs

SQUASH_SEED = bytes(range(32))
DARK = -1
"""True slot of a click that no pulse made."""
LINK_TEXT = """
format: faintlink.link/1
name: small-pulsed
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
    ignored_channels: [9]
source:
  pulse_rate_hz: 10e6
  intensities: {intensities}
  probabilities: {probabilities}
  key_basis_probability: 0.6
  preamble: {{seed: 5, slots: 32768, search_s: 0.02}}
clock: {{interval_ms: 10.0}}
gate: {{half_width_ps: {half_width_ps}}}
security:
  bound: {bound}
  length: legacy
  eps_sec: 1e-6
  eps_cor: 1e-9
  block_s: {block_s}
  max_qber: {max_qber}
"""
"""Sender at 10 MHz with, by default, one intensity and the bound for single photons, so that small blocks give key."""


def link_text(
    *,
    block_s: float = 0.1,
    max_qber: float = 0.11,
    half_width_ps: int = 1000,
    dead_time_ps: int = 0,
    decoy: bool = False,
) -> str:
    """Return a link file that fits `PulsedLink`; ``decoy`` plays two intensities."""
    return LINK_TEXT.format(
        block_s=block_s,
        max_qber=max_qber,
        half_width_ps=half_width_ps,
        dead_time_ps=dead_time_ps,
        intensities="[0.5, 0.15]" if decoy else "[0.5]",
        probabilities="[0.7, 0.3]" if decoy else "[1.0]",
        bound="rusca2018" if decoy else "tomamichel2012",
    )


def small_link(text: str = "") -> LinkConfig:
    """Return the link of a text, or of `link_text`."""
    return parse_yaml(text or link_text(), LinkConfig, "small.link.yaml")


@dataclass(frozen=True, eq=False)
class Pulses:
    """What a link delivered, and what is true of it."""

    tags: TagBlock
    """Of the receiver, on his clock."""
    slots: Slots
    """(n,) int64 true slot of each tag, `DARK` for darks."""
    nearest: Slots
    """(n,) int64 slot of the pulse nearest to each tag, whatever made it."""
    codes: npt.NDArray[np.uint8]
    """(slots,) uint8, the sender's setting of every slot."""
    is_wrong: npt.NDArray[np.bool_]
    """(n,) whether a click shows the other bit than was sent, by the channel's errors; False for darks."""


@dataclass(frozen=True)
class PulsedLink:
    """A sender's pulses on a receiver's clock that is off by ``ppm`` and drifts."""

    seconds: float = 0.35
    gain: float = 0.2
    """Transmission and detector efficiency."""
    dark_hz: float = 2e4
    """Of all detectors together."""
    qber: float = 0.02
    double: float = 0.002
    """Share of clicks with which another detector fires."""
    jitter_ps: float = 150.0
    ppm: float = 7.0
    """How much longer the period is on the receiver's clock."""
    drift_per_s: float = 1e-7
    start_ps: int = 3 * 10**15 + 987_654_321
    early_s: float = 0.0
    """How long the receiver records darks before the first pulse."""
    has_preamble: bool = True
    holes_s: tuple[tuple[float, float], ...] = ()
    """Stretches without any light."""
    seed: int = 1
    link: LinkConfig | None = None

    def make(self) -> Pulses:
        """Return the tags and the truth; the same fields give the same arrays."""
        rng = np.random.default_rng(self.seed)
        link = self.link or small_link()
        source = link.source
        if source is None:
            raise ValueError("the link has no pulsed source")
        total = round(self.seconds * source.pulse_rate_hz)
        codes = self._codes(rng, total, link)
        mu = np.array([*source.intensities, 0.0])
        bright = np.where(codes & SYNC_FLAG, np.where(codes & 0x01, 0, mu.size - 1), (codes >> 2) & 3)
        chance = 1.0 - np.exp(-mu * self.gain)
        slots = np.flatnonzero(rng.random(total) < chance[bright]).astype(np.int64)
        for first, last in self.holes_s:
            rate = source.pulse_rate_hz
            slots = slots[(slots < first * rate) | (slots >= last * rate)]
        outcome, wrong = self._outcomes(rng, codes[slots])
        extra = np.flatnonzero(rng.random(slots.size) < self.double)
        slots = np.concatenate((slots, slots[extra]))
        wrong = np.concatenate((wrong, np.zeros(extra.size, np.bool_)))
        outcome = np.concatenate((outcome, (outcome[extra] + rng.integers(1, 4, extra.size)) % 4))
        times = self.on_receiver(slots, source.period_ps)
        times += np.rint(rng.normal(0.0, self.jitter_ps, times.size)).astype(np.int64)
        return self._with_darks(rng, times, slots, outcome, wrong, codes, source.period_ps)

    def on_receiver(self, slots: Slots, period_ps: float) -> TimesPs:
        """Return when the pulses of slots (n,) int64 arrive, (n,) int64 in ps."""
        at_s = slots * (period_ps / PS_PER_S)
        off = (self.ppm * 1e-6 * at_s + 0.5 * self.drift_per_s * at_s**2) * PS_PER_S
        times: TimesPs = self.start_ps + np.rint(slots * period_ps).astype(np.int64) + np.rint(off).astype(np.int64)
        return times

    def _codes(self, rng: np.random.Generator, total: int, link: LinkConfig) -> npt.NDArray[np.uint8]:
        source = link.source
        if source is None:
            raise ValueError("the link has no pulsed source")
        codes = pack_settings(
            bit=rng.integers(0, 2, total, dtype=np.uint8),
            basis=(rng.random(total) >= source.key_basis_probability).astype(np.uint8),
            intensity=np.searchsorted(np.cumsum(source.probabilities)[:-1], rng.random(total)),
        )
        if self.has_preamble:
            size = min(source.preamble.slots, total)
            codes[:size] = SYNC_FLAG | preamble_pattern(source.preamble.seed, source.preamble.slots)[:size]
        return codes

    def _outcomes(
        self, rng: np.random.Generator, codes: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        basis = (rng.random(codes.size) >= 0.6).astype(np.uint8)
        same = basis == (codes >> 1) & 1
        wrong = same & (rng.random(codes.size) < self.qber)
        bit = np.where(same, (codes & 1) ^ wrong, rng.integers(0, 2, codes.size, dtype=np.uint8))
        return (2 * basis + bit).astype(np.uint8), wrong

    def _with_darks(
        self,
        rng: np.random.Generator,
        times: TimesPs,
        slots: Slots,
        outcome: npt.NDArray[np.uint8],
        wrong: npt.NDArray[np.bool_],
        codes: npt.NDArray[np.uint8],
        period_ps: float,
    ) -> Pulses:
        first, last = self.start_ps - round(self.early_s * PS_PER_S), self.start_ps + round(self.seconds * PS_PER_S)
        darks = rng.integers(first, last, rng.poisson(self.dark_hz * (self.early_s + self.seconds)))
        channels = np.concatenate((outcome, rng.integers(0, 4, darks.size, dtype=np.uint8))) + np.uint8(1)
        times = np.concatenate((times, darks))
        slots = np.concatenate((slots, np.full(darks.size, DARK)))
        order = np.argsort(times, kind="stable")
        times = times[order]
        nearest = np.rint((times - self.start_ps) / (period_ps * (1.0 + self.ppm * 1e-6))).astype(np.int64)
        tags = TagBlock.checked(times, channels[order].astype(np.uint8))
        wrong = np.concatenate((wrong, np.zeros(darks.size, np.bool_)))[order]
        return Pulses(tags, slots[order], nearest, codes, wrong)


def cut(block: TagBlock, places: Sequence[int]) -> list[TagBlock]:
    """Return a block cut before the tags of these numbers."""
    edges = sorted({0, len(block), *(min(place, len(block)) for place in places)})
    return [TagBlock(block.times_ps[a:b], block.channels[a:b]) for a, b in itertools.pairwise(edges)]


def write_pulsed_run(
    folder: Path,
    pulses: Pulses,
    *,
    text: str = "",
    recorded: Slots | None = None,
    blocks: int = 7,
    contexts: dict[Party, dict[str, str]] | None = None,
) -> Path:
    """Write a run folder of both parties and return it.

    Parameters
    ----------
    text
        Link file; `link_text` if empty.
    recorded
        (m,) int64 slots whose settings Alice recorded; those of all clicks if None.
    blocks
        Blocks of the files.
    contexts
        Replaces the texts of a party.
    """
    text = text or link_text()
    usual = {Party.ALICE: {"link": text}, Party.BOB: {"link": text, "squash_seed": SQUASH_SEED.hex()}}
    texts = usual | (contexts or {})
    manifest = create_run(folder, "run-1")
    bob = PartyWriter(folder, manifest, Party.BOB, streams=[StreamSpec("tags", "tags")], context=texts[Party.BOB])
    size = len(pulses.tags)
    for block in cut(pulses.tags, [size * k // blocks for k in range(1, blocks)]):
        bob.append_tags("tags", block)
        bob.commit()
    bob.seal()
    streams = [StreamSpec("settings", "settings")]
    alice = PartyWriter(folder, manifest, Party.ALICE, streams=streams, context=texts[Party.ALICE])
    if recorded is None:
        recorded = np.unique(pulses.nearest[(pulses.nearest >= 0) & (pulses.nearest < pulses.codes.size)])
    for slots in np.array_split(recorded, blocks):
        alice.append("settings", (slots, pulses.codes[slots]))
        alice.commit()
    alice.seal()
    return folder
