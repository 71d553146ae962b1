"""Distil one block of sifted bits into a secret key, or say why it gives none.

The order is that of the security proofs: monitors and error rate first, then reconciliation (every disclosed
bit is counted), verification, the key length from the block's own counts, and privacy amplification with fresh
random bits. A refusal is a `faintlink.core.errors.SecurityAbort`; it becomes part of the result and is never
silenced.

Sources: R. Renner, PhD thesis, ETH 2005 (order and composition); the bound's own paper for the length.
"""

import math
import uuid
from dataclasses import dataclass, field, replace

import numpy as np

from faintlink.core.config.link import SecurityPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import (
    SecurityAbort,
    VerificationFailedError,
)
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.core.symbols import Basis, Party
from faintlink.core.units import Bits
from faintlink.postprocess.qkd import decisions
from faintlink.postprocess.qkd.amplify import seed_bytes, toeplitz_hash
from faintlink.postprocess.qkd.cascade.reconcile import ReconcileReport, reconcile
from faintlink.postprocess.qkd.estimate import RateEstimate, error_rate
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.sift import SiftedBits
from faintlink.postprocess.qkd.stages import StageLog, StageReport
from faintlink.postprocess.qkd.verify import VerificationCost, verify
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


@dataclass(frozen=True, slots=True, eq=False)
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


def distil(
    block: KeyBlock,
    policy: SecurityPolicy,
    *,
    intensities: tuple[float, ...],
    probabilities: tuple[float, ...],
    entropy: Entropy,
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

    Raises
    ------
    ConfigError
        The bound may not decide on a length in the way that the policy asks for.
    """
    decisions.heed_policy(policy)
    work = _Distillation(block, policy, intensities, probabilities, entropy)
    try:
        work.run()
    except SecurityAbort as refusal:
        work.refusal = refusal
    return work.result()


class _Distillation:
    """The stages of one block, with what they have found so far."""

    def __init__(
        self,
        block: KeyBlock,
        policy: SecurityPolicy,
        intensities: tuple[float, ...],
        probabilities: tuple[float, ...],
        entropy: Entropy,
    ) -> None:
        self.block = block
        self.policy = policy
        self.intensities = intensities
        self.probabilities = probabilities
        self.entropy = entropy
        self.log = StageLog()
        self.key_basis = block.bits.in_basis(Basis.Z)
        self.counts = block.bits.counts(max(len(intensities), 1))
        self.disclosed = decisions.Disclosed()
        self.bound: BoundResult | None = None
        self.ledger = EpsilonLedger()
        self.keys: dict[Party, SecretKey] = {}
        self.refusal: SecurityAbort | None = None

    def run(self) -> None:
        self.watch()
        self.estimate()
        corrected = self.reconcile()
        self.bound_length()
        self.amplify(corrected)

    def watch(self) -> None:
        with self.log.stage("monitor") as facts:
            objections = sum(reading.objects for reading in self.block.monitors)
            facts.update(readings=len(self.block.monitors), objections=objections)
            decisions.heed_monitors(self.block.monitors, self.policy)

    def estimate(self) -> None:
        with self.log.stage("estimate") as facts:
            counts = self.counts
            facts.update(n_key=counts.key.bits, n_test=counts.test.bits, qber_test=counts.test.rate)
            decisions.accept_test(counts, self.policy)

    def reconcile(self) -> Bits:
        """Return Bob's corrected bits, equal to Alice's up to eps_cor; a failed verification is tried once more."""
        hint = decisions.first_hint(self.counts)
        first = self.correct(self.key_basis.bob, hint)
        try:
            self.verify(first.bits)
            return self._settle(first.bits)
        except VerificationFailedError:
            second = self.correct(first.bits, decisions.second_hint(hint, first.error_rate))
        self.verify(second.bits)
        return self._settle(second.bits)

    def correct(self, bob: Bits, hint: float) -> ReconcileReport:
        with self.log.stage("reconcile") as facts:
            report = reconcile(self.key_basis.alice, bob, hint, self.entropy)
            # What a failed attempt disclosed stays disclosed.
            self.disclosed = replace(self.disclosed, parities=self.disclosed.parities + report.leaked_bits)
            facts.update(
                frames=report.frames,
                messages=report.messages,
                corrected=report.corrected_errors,
                qber_key=report.error_rate,
                leak_ec=self.disclosed.parities,
                f_ec=None if math.isnan(report.efficiency) else report.efficiency,
            )
        return report

    def verify(self, corrected: Bits) -> None:
        """Compare both sides' hashes and count the tag's bits."""
        with self.log.stage("verify") as facts:
            eps_cor = decisions.eps_cor_of_attempt(self.policy)
            cost = VerificationCost.for_key(eps_cor, corrected.size)
            self.disclosed = replace(self.disclosed, tag_bits=self.disclosed.tag_bits + cost.bits)
            facts.update(agrees=False, tag_bits=cost.bits, collision_bound=cost.collision_bound)
            verify(self.key_basis.alice, corrected, eps_cor=eps_cor, entropy=self.entropy)
            facts.update(agrees=True)

    def _settle(self, corrected: Bits) -> Bits:
        """Count the errors of the key basis: what reconciliation changed, by intensity."""
        changed = self.key_basis.intensity[corrected != self.key_basis.bob]
        errors = np.bincount(changed, minlength=len(self.counts.n_key)).tolist()
        was = self.counts
        self.counts = DecoyCounts(was.n_key, was.n_test, tuple(errors), was.m_test)
        decisions.accept_key(self.counts, self.policy)
        return corrected

    def bound_length(self) -> None:
        with self.log.stage("bound") as facts:
            given = decisions.bound_input(
                self.counts,
                self.disclosed,
                self.policy,
                intensities=self.intensities,
                probabilities=self.probabilities,
            )
            self.bound = decisions.key_length(given, self.policy)
            facts.update(bound=self.bound.bound, length=self.bound.length, label=self.bound.label)
            self.ledger = decisions.accept_length(self.bound, given, self.policy)

    def amplify(self, corrected: Bits) -> None:
        with self.log.stage("amplify") as facts:
            length = self.bound.length if self.bound else 0
            n = corrected.size
            seed = self.entropy.draw(seed_bytes(n, length), "toeplitz")
            key_id = str(uuid.UUID(bytes=self.entropy.draw(16, "key id"), version=4))
            for party, bits in ((Party.ALICE, self.key_basis.alice), (Party.BOB, corrected)):
                data = np.packbits(toeplitz_hash(bits, seed, length)).tobytes()
                self.keys[party] = SecretKey(key_id, length, data, self.ledger.total)
            facts.update(bits_in=n, bits_out=length, seed_bits=8 * len(seed), epsilon=self.ledger.total)

    def result(self) -> BlockResult:
        return BlockResult(
            number=self.block.number,
            start=self.block.start,
            counts=self.counts,
            qber_key=error_rate(self.counts.key),
            qber_test=error_rate(self.counts.test),
            monitors=self.block.monitors,
            stages=tuple(self.log.reports),
            bound=self.bound,
            ledger=self.ledger,
            refusal=self.refusal,
            keys=self.keys,
            is_usable=bool(self.keys) and self.entropy.is_secret_grade and self.policy.monitors.vetoes,
        )
