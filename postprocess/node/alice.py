"""Alice's side of a block, as a program of `faintlink.postprocess.node.machine`.

She prepared the pulses: she says what is kept, answers parities, and draws the seeds of the hashes. Her word releases
the key: once it is on her disk, both sides have it.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import PulsedSource, SecurityPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError, VerificationFailedError
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.core.symbols import MAX_INTENSITIES, Basis, Party
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.kernels.sifting import keep_equal_bases, tally
from faintlink.postprocess.node.distilling import SEED_BYTES, Amplify, Check, Checked, Prepared, Reconcile, Release
from faintlink.postprocess.node.keys import KeySink, amplified, description
from faintlink.postprocess.node.machine import Program, Say, Settled, Steps, Vouch, hear, say_and_hear
from faintlink.postprocess.node.reconciling import answer_all
from faintlink.postprocess.node.sifting import Bases, Committed, Detections, Sifted, Tested
from faintlink.postprocess.qkd import decisions, monitors
from faintlink.postprocess.qkd.decisions import Disclosed
from faintlink.postprocess.qkd.hash_families import FAMILIES, HashFamily
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.stages import StageLog
from faintlink.postprocess.qkd.verify import VerificationCost, verification_tag
from faintlink.postprocess.security.ledger import EpsilonLedger

Lookup = Callable[[Slots], tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]]
"""Takes slots (n,) int64 and returns the setting codes (n,) uint8 and whether each is on record, (n,) bool."""


@dataclass(frozen=True, slots=True)
class AliceSide:
    """What Alice's program works with."""

    source: PulsedSource
    """Intensities and probabilities."""
    policy: SecurityPolicy
    """Fixed before the block."""
    settings: Lookup
    """Her record of what she played."""
    entropy: Entropy
    """All random bits."""
    keys: KeySink
    """Where keys go."""
    family: HashFamily = FAMILIES["toeplitz"]
    """Hash of privacy amplification, the same on both sides."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Alice's sifted detections."""

    basis: npt.NDArray[np.uint8]
    intensity: npt.NDArray[np.uint8]
    bits: Bits


def alice_block(number: int, side: AliceSide) -> Program:
    """Return Alice's program of one block; it ends in a `Settled`."""
    decisions.heed_policy(side.policy)
    log = StageLog()
    with log.stage("sift") as facts:
        kept, counts = yield from _sift(side)
        facts.update(n_key=counts.key.bits, n_test=counts.test.bits, qber_test=counts.test.rate)
    with log.stage("monitor"):
        decisions.heed_monitors(_readings(kept, side), side.policy)
    decisions.accept_test(counts, side.policy)
    bits = kept.bits[kept.basis == Basis.Z]
    with log.stage("reconcile") as facts:
        disclosed, errors = yield from _reconcile(bits, counts, side)
        facts.update(leak_ec=disclosed.parities, tag_bits=disclosed.tag_bits)
    counts = replace(counts, m_key=_fitting(errors, counts))
    decisions.accept_key(counts, side.policy)
    with log.stage("bound") as facts:
        given = decisions.bound_input(
            counts,
            disclosed,
            side.policy,
            intensities=side.source.intensities,
            probabilities=side.source.probabilities,
        )
        bound = decisions.key_length(given, side.policy)
        facts.update(length=bound.length)
        ledger = decisions.accept_length(bound, given, side.policy)
    with log.stage("amplify"):
        key_id = uuid.UUID(bytes=side.entropy.draw(16, "key id"), version=4)
        seed = side.entropy.draw(side.family.seed_bytes(bits.size, bound.length), side.family.name)
        yield Say(Amplify(key_id, bound.length, seed))
        key = amplified(bits, seed, bound.length, str(key_id), ledger, side.family)
        yield from _release(key, number, bound.bound, ledger, side)
    return Settled(number, counts, bound, ledger, tuple(log.reports), key, None)


def _sift(side: AliceSide) -> Steps[tuple[_Kept, DecoyCounts]]:
    slots = (yield from hear(Detections)).slots
    codes, found = side.settings(slots)
    bases = (yield from say_and_hear(Committed(slots.size), Bases)).bits
    if bases.size != codes.size:
        raise RemoteProtocolError(f"{bases.size} bases for {codes.size} detections")
    keep, basis, intensity, bits = (np.empty(codes.size, np.uint8) for _ in range(4))
    rows = keep_equal_bases(codes, found, bases, keep, basis, intensity, bits)
    kept = _Kept(basis[:rows], intensity[:rows], bits[:rows])
    own = kept.bits[kept.basis == Basis.X]
    theirs = (yield from say_and_hear(Sifted(keep, kept.intensity, own), Tested)).bits
    if theirs.size != own.size:
        raise RemoteProtocolError(f"{theirs.size} test bits, expected {own.size}")
    return kept, sifted_counts(kept.basis, kept.intensity, own != theirs, len(side.source.intensities))


def sifted_counts(
    basis: npt.NDArray[np.uint8], intensity: npt.NDArray[np.uint8], wrong: npt.NDArray[np.bool_], intensities: int
) -> DecoyCounts:
    """Return the counts that both sides know after the test; errors of the key basis come later.

    Parameters
    ----------
    basis, intensity
        (n,) uint8 of the sifted detections.
    wrong
        (t,) bool, which of the test basis differ.
    intensities
        Number of intensities.

    Raises
    ------
    LocalProtocolError
        A detection has an intensity that the link does not have.
    """
    table = np.zeros((3, MAX_INTENSITIES), np.int64)
    tally(basis, intensity, wrong, table)
    if table[:, intensities:].any():
        raise LocalProtocolError(
            f"the record names an intensity beyond the link's {intensities}", hint="use the link file of the run"
        )
    n_key, n_test, m_test = (tuple(row) for row in table[:, :intensities].tolist())
    return DecoyCounts(n_key, n_test, (0,) * intensities, m_test)


def _readings(kept: _Kept, side: AliceSide) -> list[MonitorReading]:
    """Return what Alice can watch: her bits, and the gains of her intensities."""
    policy = side.policy.monitors
    readings = monitors.party_bias(Party.ALICE, kept.basis, kept.bits, policy)
    return readings + monitors.intensity_ratio(kept.intensity, side.source, policy)


def _reconcile(bits: Bits, counts: DecoyCounts, side: AliceSide) -> Steps[tuple[Disclosed, tuple[int, ...]]]:
    """Answer until the hashes agree; return what was disclosed and Bob's errors by intensity."""
    disclosed = Disclosed()
    hint = decisions.first_hint(counts)
    eps_cor = decisions.eps_cor_of_attempt(side.policy)
    cost = VerificationCost.for_key(eps_cor, bits.size)
    for _ in range(decisions.ATTEMPTS):
        public = side.entropy.draw(SEED_BYTES, "cascade")
        yield Say(Reconcile(public))
        parities, flipped = yield from answer_all(bits, hint, public)
        disclosed = Disclosed(disclosed.parities + parities, disclosed.tag_bits + cost.bits)
        seed = side.entropy.draw(cost.seed_bytes, "verification")
        tag = verification_tag(bits, seed, eps_cor=eps_cor)
        checked = yield from say_and_hear(Check(seed, tag), Checked)
        if checked.agrees:
            return disclosed, checked.errors
        hint = decisions.second_hint(hint, min(flipped / bits.size, 1.0))
    raise VerificationFailedError(
        f"the keys of {bits.size} bits still differ after {decisions.ATTEMPTS} reconciliations",
        hint="the error rate of the key basis may be far from that of the test basis",
    )


def _fitting(errors: tuple[int, ...], counts: DecoyCounts) -> tuple[int, ...]:
    """Return Bob's errors by intensity if they can be true."""
    if len(errors) != len(counts.n_key) or any(m > n for m, n in zip(errors, counts.n_key, strict=True)):
        raise RemoteProtocolError(f"errors {errors} of the key basis do not fit its {counts.n_key} detections")
    return errors


def _release(key: SecretKey, number: int, bound: str, ledger: EpsilonLedger, side: AliceSide) -> Steps[None]:
    """Store the key once Bob has his: from that moment it is both's."""
    told = yield from hear(Prepared)
    if str(told.key_id) != key.key_id:
        raise RemoteProtocolError("another key was prepared than the one that was made")
    side.keys.prepare(key, description(number, bound, ledger))
    yield Vouch()
    side.keys.release(key.key_id)
    yield Say(Release(told.key_id))
