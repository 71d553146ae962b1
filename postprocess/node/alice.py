"""Alice's side of a block, as a program of `faintlink.postprocess.node.machine`.

She prepared the pulses, or measured the other photon of each pair: she says what is kept, answers parities, and draws
the seeds of the hashes. Her word releases the key: once it is on her disk, both sides have it.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Distillation, PulsedSource, SecurityPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import RemoteProtocolError
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.core.symbols import Party
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.kernels.sifting import mark_equal_bases
from faintlink.postprocess.node.attempts import Attempts
from faintlink.postprocess.node.distilling import (
    SEED_BYTES,
    Amplify,
    Check,
    Checked,
    Counted,
    Opened,
    Prepared,
    Reconcile,
    Release,
)
from faintlink.postprocess.node.kept import Kept
from faintlink.postprocess.node.keys import KeySink, amplified, description
from faintlink.postprocess.node.machine import Program, Say, Steps, Vouch, hear, say_and_hear, work
from faintlink.postprocess.node.reconciling import answer_all
from faintlink.postprocess.node.record import BlockRecord
from faintlink.postprocess.node.sifting import Bases, Committed, Detections, Sifted, Tested
from faintlink.postprocess.node.terms import Terms
from faintlink.postprocess.qkd import monitors
from faintlink.postprocess.qkd.decisions import Disclosed
from faintlink.postprocess.qkd.frames import frame_seed_bytes, frame_tags
from faintlink.postprocess.qkd.hash_families import FAMILIES, HashFamily
from faintlink.postprocess.qkd.monitors import MonitorReading


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What Alice has on record for Bob's detections."""

    codes: npt.NDArray[np.uint8] = field(repr=False)
    """(n,) uint8 setting codes; for pairs, her own outcome as one."""
    found: npt.NDArray[np.bool_]
    """(n,) bool, whether there is one."""
    readings: tuple[MonitorReading, ...] = ()
    """What monitors say of her own receiver, if she has one."""


Lookup = Callable[[Slots], Recorded]
"""Takes Bob's slots, or times in ps, (n,) int64, block by block."""


@dataclass(frozen=True, slots=True)
class AliceSide:
    """What Alice's program works with."""

    source: PulsedSource | None
    """Intensities and probabilities; None for a source of pairs."""
    policy: SecurityPolicy
    """Fixed before the block."""
    settings: Lookup
    """Her record of what she played or measured."""
    entropy: Entropy
    """All random bits."""
    keys: KeySink
    """Where keys go."""
    family: HashFamily = FAMILIES["toeplitz"]
    """Hash of privacy amplification, the same on both sides."""
    distillation: Distillation = field(default_factory=Distillation)
    """Reconciliation and verification, the same on both sides; ``family`` stands for its hash family."""


def alice_block(number: int, side: AliceSide) -> Program:
    """Return Alice's program of one block; it ends in a `Settled`."""
    terms = Terms.of_source(side.source, side.policy, side.distillation, side.family)
    record = BlockRecord(number)
    with record.log.stage("sift") as facts:
        kept, counts, seen = yield from _sift(side.settings, terms.levels)
        facts.update(kept=kept.size)
    policy = side.policy.monitors
    readings = [*seen, *(yield from work(partial(monitors.party_bias, Party.ALICE, kept.key, kept.test, policy)))]
    if side.source is not None:
        readings += monitors.intensity_ratio(counts, side.source, policy)
    return (
        yield from alice_key(
            kept.key, counts, readings, terms=terms, entropy=side.entropy, keys=side.keys, record=record
        )
    )


def alice_key(
    bits: Bits,
    counts: DecoyCounts,
    readings: Sequence[MonitorReading],
    *,
    terms: Terms,
    entropy: Entropy,
    keys: KeySink,
    record: BlockRecord,
) -> Program:
    """Return Alice's program of a block that is sifted; it ends in a `Settled`.

    Parameters
    ----------
    bits
        Hers of the key basis, (n,) uint8.
    counts
        After the test; errors of the key basis come later.
    readings
        What her monitors say.
    terms
        Agreed before.
    entropy, keys
        All random bits, and where keys go.
    record
        Is filled as the block goes on.
    """
    terms.accept(counts, readings, record)
    disclosed, errors = yield from _reconcile(bits, counts, terms, entropy, record)
    counts = replace(counts, m_key=_fitting(errors, counts))
    length = terms.decide_length(counts, disclosed, record)
    with record.log.stage("amplify") as facts:
        family = terms.family
        seed = entropy.draw(family.seed_bytes(bits.size, length), family.name)
        key_id = uuid.UUID(bytes=entropy.draw(16, "key id"), version=4)
        yield Say(Amplify(key_id, length, seed))
        key = yield from work(partial(amplified, bits, seed, length, str(key_id), record.ledger, family))
        facts.update(bits_in=bits.size, bits_out=length, seed_bits=8 * len(seed), epsilon=record.ledger.total)
        yield from _release(key, record, keys)
    return record.settled(counts, key)


def _sift(lookup: Lookup, levels: int) -> Steps[tuple[Kept, DecoyCounts, tuple[MonitorReading, ...]]]:
    slots = (yield from hear(Detections)).slots
    recorded = yield from work(partial(lookup, slots))
    codes = recorded.codes
    bases = (yield from say_and_hear(Committed(slots.size), Bases)).bits
    if bases.size != codes.size:
        raise RemoteProtocolError(f"{bases.size} bases for {codes.size} detections")
    sifted, kept = yield from work(partial(_keep, codes, recorded.found, bases))
    theirs = (yield from say_and_hear(sifted, Tested)).bits
    if theirs.size != kept.test.size:
        raise RemoteProtocolError(f"{theirs.size} test bits, expected {kept.test.size}")
    return kept, (yield from work(partial(kept.counts, theirs, levels))), recorded.readings


def _keep(
    codes: npt.NDArray[np.uint8], found: npt.NDArray[np.bool_], bases: npt.NDArray[np.uint8]
) -> tuple[Sifted, Kept]:
    marks, intensity = np.empty(codes.size, np.uint8), np.empty(codes.size, np.uint8)
    levels = intensity[: mark_equal_bases(codes, found, bases, marks, intensity)]
    kept = Kept.of(codes, marks, levels)
    return Sifted(marks, levels, kept.test), kept


def _reconcile(
    bits: Bits, counts: DecoyCounts, terms: Terms, entropy: Entropy, record: BlockRecord
) -> Steps[tuple[Disclosed, tuple[int, ...]]]:
    """Answer until every frame agrees or is opened; return what was disclosed, and Bob's errors."""
    todo = Attempts(counts, terms.policy, terms.distillation)
    errors: tuple[int, ...] = ()
    while not todo.is_done:
        own, plan = bits[todo.left], todo.plan
        with record.log.stage("reconcile") as facts:
            public = entropy.draw(SEED_BYTES, plan.purpose)
            yield Say(Reconcile(plan.reconciler, public))
            todo.corrected(*(yield from answer_all(own, plan, public)))
            facts.update(frames=len(plan.frames()), leak_ec=todo.disclosed.parities)
        with record.log.stage("verify") as facts:
            seed = entropy.draw(frame_seed_bytes(todo.frames, eps_cor=todo.eps_cor), "verification")
            tags = yield from work(partial(frame_tags, own, todo.frames, seed, eps_cor=todo.eps_cor))
            checked = yield from say_and_hear(Check(seed, b"".join(tags)), Checked)
            todo.checked(checked.agreeing, facts)
            errors = checked.errors
            if todo.to_open.size:
                todo.opened(facts)
                errors = (yield from say_and_hear(Opened(bits[todo.to_open]), Counted)).errors
    return todo.disclosed, errors


def _fitting(errors: tuple[int, ...], counts: DecoyCounts) -> tuple[int, ...]:
    """Return Bob's errors by intensity if they can be true."""
    if len(errors) != len(counts.n_key) or any(m > n for m, n in zip(errors, counts.n_key, strict=True)):
        raise RemoteProtocolError(f"errors {errors} of the key basis do not fit its {counts.n_key} detections")
    return errors


def _release(key: SecretKey, record: BlockRecord, keys: KeySink) -> Steps[None]:
    """Store the key once Bob has his: from that moment it is both's."""
    told = yield from hear(Prepared)
    if str(told.key_id) != key.key_id:
        raise RemoteProtocolError("another key was prepared than the one that was made")
    keys.prepare(key, description(record.number, record.bound.bound if record.bound else "", record.ledger))
    yield Vouch()
    keys.release(key.key_id)
    yield Say(Release(told.key_id))
