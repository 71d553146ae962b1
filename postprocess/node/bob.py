"""Bob's side of a block, as a program of `faintlink.postprocess.node.machine`.

He detected: he commits to his slots before any basis is spoken of, asks parities and corrects his bits. He computes
the key's length himself and refuses another one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Distillation, PulsedSource, SecurityPolicy
from faintlink.core.errors import RemoteProtocolError
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.core.symbols import Party
from faintlink.core.units import Bits
from faintlink.postprocess.node.attempts import Attempts
from faintlink.postprocess.node.distilling import (
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
from faintlink.postprocess.node.reconciling import ask_all
from faintlink.postprocess.node.record import BlockRecord
from faintlink.postprocess.node.sifting import Bases, Committed, Detections, Sifted, Tested
from faintlink.postprocess.node.terms import Terms
from faintlink.postprocess.qkd import detection as stage
from faintlink.postprocess.qkd import monitors
from faintlink.postprocess.qkd.cascade.reconcile import efficiency
from faintlink.postprocess.qkd.decisions import Disclosed
from faintlink.postprocess.qkd.frames import compare_frames, frame_seed_bytes, frame_tags
from faintlink.postprocess.qkd.hash_families import FAMILIES, HashFamily
from faintlink.postprocess.qkd.monitors import MonitorReading


@dataclass(frozen=True, slots=True)
class BobSide:
    """What Bob's program works with."""

    source: PulsedSource | None
    """Intensities and probabilities, as the link file says; None for a source of pairs."""
    policy: SecurityPolicy
    """Fixed before the block."""
    keys: KeySink
    """Where keys go."""
    family: HashFamily = FAMILIES["toeplitz"]
    """Hash of privacy amplification, the same on both sides."""
    distillation: Distillation = field(default_factory=Distillation)
    """Reconciliation and verification, the same on both sides; ``family`` stands for its hash family."""


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
    terms = Terms.of_source(side.source, side.policy, side.distillation, side.family)
    record = BlockRecord(number)
    with record.log.stage("sift") as facts:
        kept, counts = yield from _sift(detections, terms.levels)
        facts.update(kept=kept.size)
    bias = yield from work(partial(monitors.party_bias, Party.BOB, kept.key, kept.test, side.policy.monitors))
    return (yield from bob_key(kept, counts, [*readings, *bias], terms=terms, keys=side.keys, record=record))


def bob_key(
    kept: Kept,
    counts: DecoyCounts,
    readings: Sequence[MonitorReading],
    *,
    terms: Terms,
    keys: KeySink,
    record: BlockRecord,
) -> Program:
    """Return Bob's program of a block that is sifted; it ends in a `Settled`.

    Parameters
    ----------
    kept
        His sifted detections.
    counts
        After the test; errors of the key basis come later.
    readings
        What his monitors say.
    terms
        Agreed before.
    keys
        Where keys go.
    record
        Is filled as the block goes on.
    """
    terms.accept(counts, readings, record)
    bits, disclosed, counts = yield from _reconcile(kept, counts, terms, record)
    length = terms.decide_length(counts, disclosed, record)
    with record.log.stage("amplify") as facts:
        told = yield from hear(Amplify)
        family = terms.family
        if told.length != length or len(told.seed) != family.seed_bytes(bits.size, length):
            raise RemoteProtocolError(
                f"Alice makes a key of {told.length} bits, the counts allow {length}",
                hint="both nodes must hold the same link file and program version",
            )
        key = yield from work(partial(amplified, bits, told.seed, length, str(told.key_id), record.ledger, family))
        facts.update(bits_in=bits.size, bits_out=length, seed_bits=8 * len(told.seed), epsilon=record.ledger.total)
        yield from _release(key, told, record, keys)
    return record.settled(counts, key)


def _release(key: SecretKey, told: Amplify, record: BlockRecord, keys: KeySink) -> Steps[None]:
    keys.prepare(key, description(record.number, record.bound.bound if record.bound else "", record.ledger))
    yield Say(Prepared(told.key_id))
    yield Vouch()
    released = yield from hear(Release)
    if released.key_id != told.key_id:
        raise RemoteProtocolError("another key was released than the one that was prepared")
    keys.release(key.key_id)


def _sift(detections: stage.Detections, levels: int) -> Steps[tuple[Kept, DecoyCounts]]:
    outcomes = detections.outcomes
    committed = yield from say_and_hear(Detections(detections.slots), Committed)
    if committed.count != outcomes.size:
        raise RemoteProtocolError(f"Alice committed to {committed.count} detections, {outcomes.size} were sent")
    heard = yield from say_and_hear(Bases(outcomes >> np.uint8(1)), Sifted)
    if heard.kept.size != outcomes.size:
        raise RemoteProtocolError("the sifted detections do not fit those that were sent")
    if heard.intensities.size and int(heard.intensities.max()) >= levels:
        raise RemoteProtocolError("an intensity is named that the link does not have")
    kept = yield from work(partial(Kept.of, outcomes, heard.kept, heard.intensities))
    if heard.test_bits.size != kept.test.size:
        raise RemoteProtocolError(f"{heard.test_bits.size} test bits, expected {kept.test.size}")
    yield Say(Tested(kept.test))
    return kept, (yield from work(partial(kept.counts, heard.test_bits, levels)))


def _reconcile(
    kept: Kept, counts: DecoyCounts, terms: Terms, record: BlockRecord
) -> Steps[tuple[Bits, Disclosed, DecoyCounts]]:
    """Ask until every frame agrees or is opened; return the corrected bits, what was disclosed, and all counts."""
    todo = Attempts(counts, terms.policy, terms.distillation)
    bits = kept.key.copy()

    def errors() -> tuple[int, ...]:
        return tuple(np.bincount(kept.key_intensity[bits != kept.key], minlength=len(counts.n_key)).tolist())

    while not todo.is_done:
        plan = todo.plan
        with record.log.stage("reconcile") as facts:
            told = yield from hear(Reconcile)
            if told.reconciler is not plan.reconciler:
                raise RemoteProtocolError(
                    f"Alice reconciles by {told.reconciler.name}, the link file asks for {plan.reconciler.name}",
                    hint="both nodes must hold the same link file and program version",
                )
            asked = yield from ask_all(bits[todo.left], plan, told.seed)
            bits[todo.left] = asked.bits
            todo.corrected(asked.leaked, asked.flipped)
            reached = efficiency(asked.leaked, asked.flipped, plan.bits)
            facts.update(
                frames=len(plan.frames()),
                messages=asked.messages,
                corrected=asked.flipped,
                qber_key=asked.flipped / plan.bits,
                leak_ec=todo.disclosed.parities,
                f_ec=None if math.isnan(reached) else reached,
                reconciler=plan.reconciler.name.lower(),
            )
        with record.log.stage("verify") as facts:
            check = yield from hear(Check)
            agreeing = yield from work(partial(_agreeing, asked.bits, check, todo))
            yield Say(Checked(agreeing, errors() if agreeing.all() else ()))
            todo.checked(agreeing, facts)
            if todo.to_open.size:
                opened = (yield from hear(Opened)).bits
                if opened.size != todo.to_open.size:
                    raise RemoteProtocolError(f"{opened.size} bits were opened, expected {todo.to_open.size}")
                todo.opened(facts)
                bits[todo.to_open] = opened
                yield Say(Counted(errors()))
    return bits, todo.disclosed, replace(counts, m_key=errors())


def _agreeing(bits: Bits, check: Check, todo: Attempts) -> npt.NDArray[np.uint8]:
    """Return which frames have the tags that Alice says, (m,) uint8."""
    needed = frame_seed_bytes(todo.frames, eps_cor=todo.eps_cor)
    if len(check.seed) != needed:
        raise RemoteProtocolError(f"a seed of {len(check.seed)} bytes for hashes that take {needed}")
    own = frame_tags(bits, todo.frames, check.seed, eps_cor=todo.eps_cor)
    size = len(own[0])
    if len(check.tags) != size * len(own):
        raise RemoteProtocolError(f"{len(check.tags)} bytes of tags for {len(own)} frames of {size} bytes each")
    theirs = [check.tags[at : at + size] for at in range(0, len(check.tags), size)]
    return compare_frames(own, theirs, todo.frames, eps_cor=todo.eps_cor).agreeing.astype(np.uint8)
