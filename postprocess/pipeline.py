"""The pipeline: a recorded run and its link configuration in, blocks of key with their statements out.

One deterministic chain of pure stages: the same files, the same configuration and the same random bits give the
same keys. Memory is bounded by the block size, not by the run. A refused block is a result like any other.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from faintlink.core import __version__
from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ClockLostError, NotEnoughSignalsError
from faintlink.core.records import LossCount
from faintlink.core.runfile.folder import SIMULATION, Run
from faintlink.core.symbols import Party, Protocol
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.node.distil import BlockResult, KeyBlock, distil
from faintlink.postprocess.qkd import decisions, monitors
from faintlink.postprocess.qkd.detection import ArrivalStatistics
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.pairs import CHUNK_PS, PairRun
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.pulsed import PulsedRun
from faintlink.postprocess.qkd.receiver_watch import receiver_readings
from faintlink.postprocess.qkd.sift import BlockCutter, SiftedBits
from faintlink.postprocess.qkd.stages import Fact
from faintlink.postprocess.series import RunSeries

_log = logging.getLogger(__name__)

BlockSink = Callable[[BlockResult], None]
"""Called with each finished block, for example to store its keys."""


@dataclass(slots=True, eq=False, repr=False)
class Analysis:
    """Everything that an analysis of a run found."""

    run_id: str
    """Of the run."""
    link: LinkConfig
    """The configuration that was used."""
    config_sha256: str
    """Of the configuration as JSON with all defaults filled in."""
    software_version: str
    """Version of faintlink."""
    series: RunSeries
    """The run over time."""
    origin: str = "unknown"
    """Where the data came from, see `Run.origin`."""
    clock: dict[str, Fact] = field(default_factory=dict)
    """What the clock stage found."""
    losses: dict[Party, LossCount] = field(default_factory=dict)
    """Tags and known losses of each receiver."""
    blocks: list[BlockResult] = field(default_factory=list)
    """Each block, with its key or its refusal."""
    left_over: int = 0
    """Sifted bits of the last, incomplete block; they make no key."""
    ended_early: str = ""
    """Why the stream was given up before its end, if it was; blocks that were whole by then count."""

    @property
    def key_bits(self) -> int:
        """Secret bits of all blocks together."""
        return sum(block.key_bits for block in self.blocks)

    def __repr__(self) -> str:
        return f"<Analysis of run {self.run_id}: {self.key_bits} bits of key from {self.blocks}>"


def process(run: Run, link: LinkConfig, entropy: Entropy, *, on_block: BlockSink | None = None) -> Analysis:
    """Turn a recorded run into keys.

    Parameters
    ----------
    run
        The parties' files.
    link
        Protocol, parameters and security policy.
    entropy
        Random bits for reconciliation, verification and amplification.
    on_block
        Called with each block as soon as it is finished.

    Raises
    ------
    ConfigError
        The policy takes its bound for what it is not.
    StreamError
        No clock or no coincidences were found, or the stream is broken.
    RunfileError
        A file cannot be used.
    """
    decisions.heed_policy(link.security)
    source = PulsedRun(run, link) if link.protocol is Protocol.BB84_DECOY else PairRun(run, link)
    analysis = Analysis(run.run_id, link, config_sha256(link), __version__, RunSeries(_bin_s(link)), run.origin)
    for party in link.receivers:
        recording = run[party]
        analysis.losses[party] = recording.loss(recording.only_stream("tags").name)
    for block in _blocks(source.pieces(), link, analysis):
        result = _distil(block, link, entropy)
        if run.origin == SIMULATION:
            result = replace(result, is_usable=False)
        analysis.blocks.append(result)
        _log.info("block %d: %s bits of key", result.number, result.key_bits)
        if on_block is not None:
            on_block(result)
    analysis.clock = source.clock_facts()
    if not analysis.blocks:
        raise NotEnoughSignalsError(
            f"the run holds no whole block of {link.security.block_s} s; {analysis.left_over} sifted bits are left",
            hint="record longer, or fix a shorter security: block_s before the next run",
        )
    return analysis


def _bin_s(link: LinkConfig) -> float:
    """Return the width of a bin of the time axis: a whole number of pieces, so that all bins hold as many."""
    return 10 * link.clock.interval_ms * 1e-3 if link.source is not None else CHUNK_PS / PS_PER_S


def _distil(block: KeyBlock, link: LinkConfig, entropy: Entropy) -> BlockResult:
    pulsed = link.source
    return distil(
        block,
        link.security,
        intensities=pulsed.intensities if pulsed else (),
        probabilities=pulsed.probabilities if pulsed else (),
        entropy=entropy,
        distillation=link.distillation,
    )


def block_length(link: LinkConfig) -> int:
    """Return the length of a key block: slots of a pulsed link, picoseconds of a pair source."""
    return link.block_slots if link.source is not None else round(link.security.block_s * 1e12)


def _blocks(pieces: Iterator[SiftedPiece], link: LinkConfig, analysis: Analysis) -> Iterator[KeyBlock]:
    """Cut pieces into blocks and take their readings; the run's statistics go into ``analysis``."""
    cutter: BlockCutter | None = None
    gathered: dict[Party, ArrivalStatistics] = {}
    number = 0
    for piece in _until_clock_is_lost(pieces, analysis):
        analysis.series.add(piece)
        for party, statistics in piece.arrivals.items():
            gathered[party] = gathered.get(party, ArrivalStatistics.zero()) + statistics
        if cutter is None:
            cutter = BlockCutter(block_length(link), start=0 if link.source else piece.start)
        ended = False
        for start, bits in cutter.feed(piece.bits, piece.reached):
            ended = True
            yield KeyBlock(number, start, bits, tuple(_readings(bits, gathered, link)))
            number += 1
        if ended:
            # Only now: blocks that end in one piece are all watched by its arrivals.
            gathered = {}
    analysis.left_over = cutter.left_over if cutter else 0


def _until_clock_is_lost(pieces: Iterator[SiftedPiece], analysis: Analysis) -> Iterator[SiftedPiece]:
    """Pass pieces on; a clock that is lost after a whole block ends the stream there instead of losing the block."""
    try:
        yield from pieces
    except ClockLostError as error:
        if not analysis.blocks:
            raise
        analysis.ended_early = error.message
        _log.warning("the stream ends early: %s", error.message)


def _readings(bits: SiftedBits, arrivals: dict[Party, ArrivalStatistics], link: LinkConfig) -> Iterator[MonitorReading]:
    policy = link.security.monitors
    yield from monitors.bit_bias(bits, policy)
    for party, statistics in arrivals.items():
        yield from receiver_readings(party, statistics, policy)
    if link.source is not None:
        counts = bits.counts(len(link.source.intensities))
        yield from monitors.intensity_ratio(counts, link.source, policy)
