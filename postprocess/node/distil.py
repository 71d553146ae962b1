"""Distil one block of sifted bits into a secret key, or say why it gives none: both nodes' programs in one process.

The order is that of the security proofs: monitors and error rate first, then reconciliation (every disclosed
bit is counted), verification, the key length from the block's own counts, and privacy amplification with fresh
random bits. All of it is done by the programs that two nodes run over a network, `alice.alice_key` and `bob.bob_key`;
their messages pass as bytes and through no channel. A refusal is a `faintlink.core.errors.SecurityAbort`; it becomes
part of the result and is never silenced. The stages' reports are Bob's, whose stages span Alice's work as well.

Sources: R. Renner, PhD thesis, ETH 2005 (order and composition); the bound's own paper for the length.
"""

from dataclasses import dataclass, field

from faintlink.core.config.link import Distillation, SecurityPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import SecurityAbort
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.core.symbols import Basis, Party
from faintlink.postprocess.node.alice import alice_key
from faintlink.postprocess.node.bob import bob_key
from faintlink.postprocess.node.inprocess import run_block
from faintlink.postprocess.node.kept import Kept
from faintlink.postprocess.node.keys import MemorySink
from faintlink.postprocess.node.machine import BlockMachine
from faintlink.postprocess.node.record import BlockRecord
from faintlink.postprocess.node.terms import Terms
from faintlink.postprocess.qkd import hash_families
from faintlink.postprocess.qkd.estimate import RateEstimate, error_rate
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.sift import SiftedBits
from faintlink.postprocess.qkd.stages import StageReport
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.security.result import BoundResult

PUBLIC_PURPOSES = frozenset({"cascade", "ldpc", "verification", "toeplitz", "modular", "key id"})
"""Purposes of random bits that both parties learn; a replay needs them and they are no secret."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyBlock:
    """The sifted bits of one block and what the monitors say of it."""

    number: int
    """Of the block within the run, from 0."""
    start: int
    """First slot, or time in ps for a pair source."""
    bits: SiftedBits
    """Both bases."""
    monitors: tuple[MonitorReading, ...]
    """Readings for this block."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BlockResult:
    """What became of one block."""

    number: int
    """Of the block within the run, from 0."""
    start: int
    """First slot, or time in ps for a pair source."""
    counts: DecoyCounts
    """Detections and errors; errors in the key basis are those that reconciliation corrected, once it ran."""
    qber_key: RateEstimate
    """Error rate in the key basis."""
    qber_test: RateEstimate
    """Error rate in the test basis."""
    monitors: tuple[MonitorReading, ...]
    """All readings."""
    stages: tuple[StageReport, ...]
    """One report per stage that ran."""
    bound: BoundResult | None
    """Key length with every term; None if the block was refused before."""
    ledger: EpsilonLedger
    """Every way in which the key may be imperfect; empty without a key."""
    refusal: SecurityAbort | None
    """Why there is no key; None when there is one."""
    keys: dict[Party, SecretKey] = field(repr=False)
    """The key as each party has it; empty when refused."""
    is_usable: bool
    """False for rehearsals: a simulated run, random bits from a seed, or monitors without veto."""

    @property
    def key_bits(self) -> int:
        """Length of the key; 0 when refused."""
        return next((key.bits for key in self.keys.values()), 0)

    def __repr__(self) -> str:
        outcome = f"{self.key_bits} bits" if self.refusal is None else type(self.refusal).__name__
        return f"<block {self.number}: {outcome}, QBER test {self.qber_test.rate:.2%}>"


def distil(
    block: KeyBlock,
    policy: SecurityPolicy,
    *,
    intensities: tuple[float, ...],
    probabilities: tuple[float, ...],
    entropy: Entropy,
    distillation: Distillation | None = None,
) -> BlockResult:
    """Return the key of a block, or the reason for its refusal.

    Parameters
    ----------
    block
        Sifted bits of both bases with the monitors' readings.
    policy
        Bound, epsilons and limits, fixed before the block.
    intensities, probabilities
        Of the source, brightest first; empty for a pair source.
    entropy
        Source of all random bits.
    distillation
        Who corrects, verifies and amplifies; the defaults if None.

    Raises
    ------
    ConfigError
        The bound may not decide on a length in the way that the policy asks for.
    """
    wanted = distillation or Distillation()
    terms = Terms(policy, wanted, hash_families.get(wanted.hash_family), intensities, probabilities)
    counts = block.bits.counts(max(len(intensities), 1))
    record, sink = BlockRecord(block.number, counts=counts), MemorySink()
    bits, in_test = block.bits, block.bits.basis == Basis.X
    kept = Kept(bits.bob[~in_test], bits.intensity[~in_test], bits.bob[in_test], bits.intensity[in_test])
    alice = BlockMachine(
        alice_key(
            bits.alice[~in_test],
            counts,
            block.monitors,
            terms=terms,
            entropy=entropy,
            keys=sink,
            record=BlockRecord(block.number),
        )
    )
    bob = BlockMachine(bob_key(kept, counts, block.monitors, terms=terms, keys=sink, record=record))
    run_block(alice, bob)
    return _result(block, record, alice, bob, is_secret=entropy.is_secret_grade and policy.monitors.vetoes)


def _result(
    block: KeyBlock, record: BlockRecord, alice: BlockMachine, bob: BlockMachine, *, is_secret: bool
) -> BlockResult:
    counts = record.counts or DecoyCounts.zero(1)
    keys = {
        party: machine.settled.key
        for party, machine in ((Party.ALICE, alice), (Party.BOB, bob))
        if machine.settled is not None and machine.settled.key is not None
    }
    # What a side found itself says more than what it was told of the other's refusal.
    own = [machine for machine in (bob, alice) if machine.aborted is not None and machine.has_refused]
    return BlockResult(
        number=block.number,
        start=block.start,
        counts=counts,
        qber_key=error_rate(counts.key),
        qber_test=error_rate(counts.test),
        monitors=block.monitors,
        stages=tuple(record.log.reports),
        bound=record.bound,
        ledger=record.ledger,
        refusal=own[0].aborted if own else None,
        keys=keys,
        is_usable=bool(keys) and is_secret,
    )
