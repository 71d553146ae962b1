"""Messages of two nodes come back as they went, and nothing malformed passes."""

import contextlib
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.node import distilling as d
from faintlink.postprocess.node import sifting as s
from faintlink.postprocess.node.messages import Message, decode
from faintlink.postprocess.node.wire import Kind
from faintlink.postprocess.qkd.reconciliation import Reconciler


def bits(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint8)


EXAMPLES: list[Message] = [
    s.Detections(np.array([3, 4, 900, 2**36, 2**36 + 7])),
    s.Detections(np.empty(0, np.int64)),
    s.Committed(5),
    s.Bases(bits([1, 0, 0, 1, 1, 0, 1, 0, 1])),
    s.Sifted(bits([1, 0, 1, 1]), bits([0, 3, 1]), bits([1])),
    s.Tested(bits([])),
    d.Reconcile(Reconciler.LDPC, bytes(range(32))),
    d.Parities(7, b"\x01\x02"),
    d.Answer(0, b""),
    d.Corrected(17),
    d.Check(b"seed", b"tagtag"),
    d.Checked(bits([1, 0, 1])),
    d.Checked(bits([1]), (3, 0)),
    d.Opened(bits([1, 1, 0, 1])),
    d.Counted((3, 0)),
    d.Counted(()),
    d.Amplify(uuid.UUID(int=5), 1234, b"seedseed"),
    d.Prepared(uuid.UUID(int=6)),
    d.Release(uuid.UUID(int=7)),
    d.Abort("QberTooHighError", "QBER is 50 %"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.kind.name)
def test_a_message_comes_back_as_it_went(message: Message) -> None:
    back = decode(message.kind, message.encode())
    assert type(back) is type(message)
    assert back.encode() == message.encode()


def test_every_kind_has_an_example_here() -> None:
    assert {message.kind for message in EXAMPLES} == set(Kind)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: message.kind.name)
def test_a_truncated_or_padded_payload_is_refused_or_still_well_formed(message: Message) -> None:
    payload = message.encode()
    for end in range(len(payload)):
        with contextlib.suppress(RemoteProtocolError):
            decode(message.kind, payload[:end])


@settings(deadline=None)
@given(st.integers(0, 300), st.binary(max_size=200))
def test_arbitrary_bytes_are_a_message_or_a_protocol_error(kind: int, payload: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(kind, payload)


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**39), unique=True, max_size=40))
def test_slots_of_any_distance_survive(slots: list[int]) -> None:
    sent = np.array(sorted(slots), np.int64)
    back = decode(Kind.DETECTIONS, s.Detections(sent).encode())
    assert isinstance(back, s.Detections)
    assert np.array_equal(back.slots, sent)


def test_a_claimed_length_is_checked_before_memory_is_taken() -> None:
    with pytest.raises(RemoteProtocolError, match="at most"):
        decode(Kind.DETECTIONS, b"\xff\xff\xff\xff" + bytes(8) + b"\x04")
    with pytest.raises(RemoteProtocolError, match="too few"):
        decode(Kind.BASES, b"\xff\xff\xff\x7f")


def test_slots_that_do_not_increase_are_refused() -> None:
    payload = bytearray(s.Detections(np.array([1, 2, 3])).encode())
    payload[13] = 0
    with pytest.raises(RemoteProtocolError, match="increase"):
        decode(Kind.DETECTIONS, bytes(payload))


def test_representations_show_no_bits() -> None:
    for message in (s.Bases(bits([1, 1])), s.Tested(bits([1])), s.Sifted(bits([1]), bits([0]), bits([1]))):
        assert "array([1" not in repr(message).replace("kept=array([1", "")
