"""Bob's side of a block, as a program of `faintlink.postprocess.node.machine`.

He detected: he commits to his slots before any basis is spoken of, asks parities and corrects his bits. He computes
the key's length himself and refuses another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import PulsedSource, SecurityPolicy
from faintlink.core.errors import RemoteProtocolError, VerificationFailedError
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import Basis, Party
from faintlink.core.units import Bits
from faintlink.postprocess.node.alice import sifted_counts
from faintlink.postprocess.node.distilling import Amplify, Check, Checked, Prepared, Reconcile, Release
from faintlink.postprocess.node.keys import KeySink, amplified, description
from faintlink.postprocess.node.machine import Program, Say, Settled, Steps, Vouch, hear, say_and_hear
from faintlink.postprocess.node.reconciling import ask_all
from faintlink.postprocess.node.sifting import Bases, Committed, Detections, Sifted, Tested
from faintlink.postprocess.qkd import decisions, monitors
from faintlink.postprocess.qkd import detection as stage
from faintlink.postprocess.qkd.decisions import Disclosed
from faintlink.postprocess.qkd.hash_families import FAMILIES, HashFamily
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.stages import StageLog
from faintlink.postprocess.qkd.verify import VerificationCost, tags_agree, verification_tag


@dataclass(frozen=True, slots=True)
class BobSide:
    """What Bob's program works with."""

    source: PulsedSource
    """Intensities and probabilities, as the link file says."""
    policy: SecurityPolicy
    """Fixed before the block."""
    keys: KeySink
    """Where keys go."""
    family: HashFamily = FAMILIES["toeplitz"]
    """Hash of privacy amplification, the same on both sides."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """Bob's sifted detections."""

    basis: npt.NDArray[np.uint8]
    intensity: npt.NDArray[np.uint8]
    bits: Bits


def bob_block(number: int, detections: stage.Detections, readings: Sequence[MonitorReading], side: BobSide) -> Program:
    """Return Bob's program of one block; it ends in a `Settled`.

    Parameters
    ----------
    number
        Of the block.
    detections
        All detections of the block.
    readings
        What Bob's monitors say of his clicks.
    side
        Policy and keys.
    """
    decisions.heed_policy(side.policy)
    log = StageLog()
    with log.stage("sift") as facts:
        kept, counts = yield from _sift(detections, side)
        facts.update(n_key=counts.key.bits, n_test=counts.test.bits, qber_test=counts.test.rate)
    with log.stage("monitor"):
        bias = monitors.party_bias(Party.BOB, kept.basis, kept.bits, side.policy.monitors)
        decisions.heed_monitors([*readings, *bias], side.policy)
    decisions.accept_test(counts, side.policy)
    in_key = kept.basis == Basis.Z
    with log.stage("reconcile") as facts:
        bits, disclosed, counts = yield from _reconcile(kept.bits[in_key], kept.intensity[in_key], counts, side)
        facts.update(leak_ec=disclosed.parities, tag_bits=disclosed.tag_bits, qber_key=counts.key.rate)
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
        told = yield from hear(Amplify)
        if told.length != bound.length or len(told.seed) != side.family.seed_bytes(bits.size, bound.length):
            raise RemoteProtocolError(
                f"Alice makes a key of {told.length} bits, the counts allow {bound.length}",
                hint="both nodes must hold the same link file and program version",
            )
        key = amplified(bits, told.seed, bound.length, str(told.key_id), ledger, side.family)
        side.keys.prepare(key, description(number, bound.bound, ledger))
        yield Say(Prepared(told.key_id))
        yield Vouch()
        released = yield from hear(Release)
        if released.key_id != told.key_id:
            raise RemoteProtocolError("another key was released than the one that was prepared")
        side.keys.release(key.key_id)
    return Settled(number, counts, bound, ledger, tuple(log.reports), key, None)


def _sift(detections: stage.Detections, side: BobSide) -> Steps[tuple[_Kept, DecoyCounts]]:
    basis, bits = detections.outcomes >> np.uint8(1), detections.outcomes & np.uint8(1)
    committed = yield from say_and_hear(Detections(detections.slots), Committed)
    if committed.count != basis.size:
        raise RemoteProtocolError(f"Alice committed to {committed.count} detections, {basis.size} were sent")
    heard = yield from say_and_hear(Bases(basis), Sifted)
    keep = heard.kept.astype(bool)
    if keep.size != basis.size or heard.intensities.size != np.count_nonzero(keep):
        raise RemoteProtocolError("the sifted detections do not fit those that were sent")
    if heard.intensities.size and int(heard.intensities.max()) >= len(side.source.intensities):
        raise RemoteProtocolError("an intensity is named that the link does not have")
    kept = _Kept(basis[keep], heard.intensities, bits[keep])
    own = kept.bits[kept.basis == Basis.X]
    if heard.test_bits.size != own.size:
        raise RemoteProtocolError(f"{heard.test_bits.size} test bits, expected {own.size}")
    yield Say(Tested(own))
    wrong = own != heard.test_bits
    return kept, sifted_counts(kept.basis, kept.intensity, wrong, len(side.source.intensities))


def _reconcile(
    bits: Bits, intensity: npt.NDArray[np.uint8], counts: DecoyCounts, side: BobSide
) -> Steps[tuple[Bits, Disclosed, DecoyCounts]]:
    """Ask until the hashes agree; return the corrected bits, what was disclosed, and all counts."""
    disclosed = Disclosed()
    hint = decisions.first_hint(counts)
    eps_cor = decisions.eps_cor_of_attempt(side.policy)
    cost = VerificationCost.for_key(eps_cor, bits.size)
    corrected = bits
    for _ in range(decisions.ATTEMPTS):
        public = (yield from hear(Reconcile)).seed
        corrected, parities, flipped = yield from ask_all(corrected, hint, public)
        disclosed = Disclosed(disclosed.parities + parities, disclosed.tag_bits + cost.bits)
        check = yield from hear(Check)
        if len(check.seed) != cost.seed_bytes:
            raise RemoteProtocolError(f"a seed of {len(check.seed)} bytes for a hash that takes {cost.seed_bytes}")
        if tags_agree(verification_tag(corrected, check.seed, eps_cor=eps_cor), check.tag):
            errors = np.bincount(intensity[corrected != bits], minlength=len(counts.n_key))
            by_intensity = tuple(errors.tolist())
            yield Say(Checked(True, by_intensity))
            return corrected, disclosed, replace(counts, m_key=by_intensity)
        yield Say(Checked(False, ()))
        hint = decisions.second_hint(hint, flipped / bits.size)
    raise VerificationFailedError(
        f"the keys of {bits.size} bits still differ after {decisions.ATTEMPTS} reconciliations",
        hint="the error rate of the key basis may be far from that of the test basis",
    )
