"""Two machines settle a block: one key on both sides, or none, whatever happens to the messages."""

import functools
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import (
    MonitorVetoError,
    NotEnoughSignalsError,
    QberTooHighError,
    RemoteProtocolError,
    SecurityAbort,
)
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.distilling import Abort, Amplify, Opened, Reconcile
from faintlink.postprocess.node.inprocess import run_block
from faintlink.postprocess.node.machine import BlockMachine
from faintlink.postprocess.node.messages import Message, decode
from faintlink.postprocess.node.sifting import Bases, Committed, Detections
from faintlink.postprocess.node.wire import Kind
from faintlink.postprocess.qkd.frames import FrameVerdicts
from faintlink.postprocess.qkd.reconciliation import Reconciler
from tests.node_blocks import NodeBlock, node_block, with_policy

ORDER = [
    Kind.DETECTIONS,
    Kind.COMMITTED,
    Kind.BASES,
    Kind.SIFTED,
    Kind.TESTED,
    Kind.RECONCILE,
    Kind.CORRECTED,
    Kind.CHECK,
    Kind.CHECKED,
    Kind.AMPLIFY,
    Kind.PREPARED,
    Kind.RELEASE,
]


@functools.cache
def block() -> NodeBlock:
    return node_block()


def conversation(
    alice: BlockMachine, bob: BlockMachine, tamper: Callable[[Message], Message] = lambda message: message
) -> list[tuple[str, Message]]:
    """Let two machines talk through ``tamper`` and return who said what."""
    said: list[tuple[str, Message]] = []
    queues = {"alice": deque(bob.start()), "bob": deque(alice.start())}
    machines = {"alice": alice, "bob": bob}
    while any(queues.values()):
        for listener, queue in queues.items():
            while queue:
                message = tamper(queue.popleft())
                speaker = "bob" if listener == "alice" else "alice"
                said.append((speaker, message))
                queues[speaker].extend(machines[listener].receive(decode(message.kind, message.encode())))
        if not any(queues.values()):
            # Nothing is on its way: the channel vouches for what both sides wait for.
            for listener, speaker in (("bob", "alice"), ("alice", "bob")):
                if machines[speaker].awaits_vouch:
                    queues[listener].extend(machines[speaker].vouched())
    return said


def test_both_sides_hold_the_same_key_and_agree_on_all_counts(tmp_path: Path) -> None:
    alice, bob = block().machines(tmp_path, entropy=OsEntropy())
    run_block(alice, bob)
    assert alice.settled is not None
    assert bob.settled is not None
    ours, theirs = alice.settled.key, bob.settled.key
    assert ours is not None
    assert theirs is not None
    assert (ours.key_id, ours.bits, ours.data) == (theirs.key_id, theirs.bits, theirs.data)
    assert alice.settled.counts == bob.settled.counts
    assert alice.settled.ledger == bob.settled.ledger
    stores = [FileKeyStore(tmp_path / side) for side in ("alice", "bob")]
    assert [store.key_ids() for store in stores] == [[ours.key_id]] * 2
    assert [store.prepared() for store in stores] == [[], []]


def test_errors_and_detections_are_those_that_happened(tmp_path: Path) -> None:
    alice, bob = block().machines(tmp_path)
    run_block(alice, bob)
    assert alice.settled is not None
    truth = block()
    recorded = truth.lookup(truth.detections.slots)
    codes, found = recorded.codes, recorded.found
    basis, seen = truth.detections.outcomes >> 1, truth.detections.outcomes & 1
    same = found & (codes < 0x80) & ((codes >> 1) & 1 == basis)
    key = same & (basis == 0)
    assert alice.settled.counts.key.bits == np.count_nonzero(key)
    assert alice.settled.counts.key.errors == np.count_nonzero(key & (seen != (codes & 1)))


def test_bases_are_spoken_of_only_after_all_detections_are_committed(tmp_path: Path) -> None:
    alice, bob = block().machines(tmp_path)
    kinds = [message.kind for _, message in conversation(alice, bob)]
    assert [kind for kind in dict.fromkeys(kinds) if kind in ORDER] == ORDER
    assert kinds.count(Kind.DETECTIONS) == kinds.count(Kind.BASES) == 1


@pytest.mark.parametrize(
    ("changes", "qber", "kind"),
    [
        ({}, 0.3, QberTooHighError),
        ({"eps_sec": 1e-90}, 0.08, NotEnoughSignalsError),
    ],
)
def test_a_refusal_is_the_same_on_both_sides_and_leaves_no_key(
    tmp_path: Path, changes: dict[str, object], qber: float, kind: type[SecurityAbort]
) -> None:
    alice, bob = node_block(100_000, qber=qber).machines(tmp_path, policy=with_policy(**changes))
    run_block(alice, bob)
    assert isinstance(alice.aborted, kind)
    assert isinstance(bob.aborted, kind)
    assert not list(tmp_path.glob("*/*"))


def test_a_biased_detector_is_vetoed_by_the_side_that_sees_it(tmp_path: Path) -> None:
    whole = block()
    stuck = NodeBlock(
        type(whole.detections)(whole.detections.slots, whole.detections.outcomes & np.uint8(2), 0),
        whole.slots,
        whole.codes,
    )
    alice, bob = stuck.machines(tmp_path, policy=with_policy(max_qber=0.49))
    run_block(alice, bob)
    assert isinstance(bob.aborted, MonitorVetoError)
    assert isinstance(alice.aborted, SecurityAbort)


def test_one_who_never_commits_hears_no_bases(tmp_path: Path) -> None:
    _, bob = block().machines(tmp_path)
    [first] = bob.start()
    assert isinstance(first, Detections)
    with pytest.raises(RemoteProtocolError, match="COMMITTED is due"):
        bob.receive(Bases(np.zeros(3, np.uint8)))


def test_a_commitment_to_another_number_of_detections_is_refused(tmp_path: Path) -> None:
    _, bob = block().machines(tmp_path)
    bob.start()
    with pytest.raises(RemoteProtocolError, match="committed to 7"):
        bob.receive(Committed(7))


def test_a_longer_key_than_the_counts_allow_is_refused_by_bob(tmp_path: Path) -> None:
    alice, bob = block().machines(tmp_path)

    def longer(message: Message) -> Message:
        if isinstance(message, Amplify):
            return Amplify(message.key_id, message.length + 1, message.seed)
        return message

    with pytest.raises(RemoteProtocolError, match="the counts allow"):
        conversation(alice, bob, longer)
    assert not list(tmp_path.glob("bob/*"))


def test_every_message_out_of_turn_ends_the_block_without_a_key(tmp_path: Path) -> None:
    alice, bob = block().machines(tmp_path / "good")
    said = conversation(alice, bob)
    first_of_kind = {message.kind: (speaker, message) for speaker, message in reversed(said)}
    for kind, (speaker, message) in first_of_kind.items():
        for turn in range(3):
            alice, bob = block().machines(tmp_path / f"{kind.name}{turn}")
            target = alice if speaker == "bob" else bob
            expected = [m for who, m in said if who == speaker][:turn]
            target.start()
            for heard in expected:
                target.receive(heard)
            due = [m.kind for who, m in said if who == speaker][turn]
            if kind == due or (kind, due) == (Kind.PARITIES, Kind.CORRECTED):
                continue
            with pytest.raises(RemoteProtocolError):
                target.receive(message)
            assert not list((tmp_path / f"{kind.name}{turn}").glob("*/*"))


def test_the_other_sides_abort_is_taken_and_a_second_one_is_harmless(tmp_path: Path) -> None:
    alice, _ = block().machines(tmp_path)
    alice.start()
    word = Abort("QberTooHighError", "QBER is 50 %")
    assert alice.receive(word) == []
    assert isinstance(alice.aborted, QberTooHighError)
    assert alice.receive(word) == []


def test_a_reconciler_that_the_link_file_does_not_ask_for_is_refused(tmp_path: Path) -> None:
    alice, bob = block().machines(tmp_path)

    def another(message: Message) -> Message:
        return Reconcile(Reconciler.LDPC, message.seed) if isinstance(message, Reconcile) else message

    with pytest.raises(RemoteProtocolError, match="reconciles by LDPC, the link file asks for CASCADE"):
        conversation(alice, bob, another)
    assert not list(tmp_path.glob("*/*"))


def test_opened_bits_of_another_number_than_those_that_failed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(ours: list[bytes], theirs: list[bytes], frames: list[slice], *, eps_cor: float) -> FrameVerdicts:
        del ours, theirs, eps_cor
        return FrameVerdicts(np.arange(len(frames)) > 0, 0, 0.0)

    monkeypatch.setattr("faintlink.postprocess.node.bob.compare_frames", never)
    alice, bob = block().machines(tmp_path)

    def fewer(message: Message) -> Message:
        return Opened(message.bits[1:]) if isinstance(message, Opened) else message

    with pytest.raises(RemoteProtocolError, match="bits were opened"):
        conversation(alice, bob, fewer)
    assert not list(tmp_path.glob("*/*"))
