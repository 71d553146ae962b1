"""The decoder gives the same frames however the bytes are cut, and names what is malformed."""

import dataclasses
import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.envelope import (
    HEADER_BYTES,
    MAC_BYTES,
    MAX_PAYLOAD,
    Direction,
    Frame,
    FrameDecoder,
    Header,
)

u64 = st.integers(0, 2**64 - 1)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    payload = draw(st.binary(max_size=200))
    header = Header(
        kind=draw(st.integers(0, 255)),
        direction=draw(st.sampled_from(Direction)),
        session=draw(st.binary(min_size=16, max_size=16)),
        block=draw(u64),
        sequence=draw(u64),
        nonce=draw(st.binary(min_size=16, max_size=16)),
        length=len(payload),
    )
    return Frame(header, header.encode(), payload, draw(st.binary(min_size=16, max_size=16)))


def some_frame(payload: bytes = b"payload") -> Frame:
    header = Header(
        kind=20,
        direction=Direction.ALICE_TO_BOB,
        session=b"s" * 16,
        block=7,
        sequence=3,
        nonce=b"n" * 16,
        length=len(payload),
    )
    return Frame(header, header.encode(), payload, b"m" * 16)


def read(chunks: list[bytes]) -> tuple[list[Frame], str | None]:
    """Return the frames of a stream that ends after the chunks, and the error at which it stopped."""
    decoder = FrameDecoder()
    found: list[Frame] = []
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            found.extend(decoder.frames())
        decoder.finish()
    except RemoteProtocolError as error:
        return found, error.message
    return found, None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def test_a_frame_has_the_documented_layout() -> None:
    data = some_frame().encode()
    assert data[:8] == b"FLCH" + bytes([1, 20, 0, 1])
    assert data[8:24] == b"s" * 16
    assert data[24:40] == (7).to_bytes(8, "big") + (3).to_bytes(8, "big")
    assert data[40:60] == b"n" * 16 + (7).to_bytes(4, "big")
    assert data[60:] == b"payload" + b"m" * 16


@given(st.lists(frames(), max_size=5), st.lists(st.integers(0, 2**31), max_size=20))
def test_any_cut_of_the_stream_gives_the_same_frames(sent: list[Frame], places: list[int]) -> None:
    data = b"".join(frame.encode() for frame in sent)
    assert read(cut(data, places)) == (sent, None)


def test_one_byte_at_a_time_gives_the_same_frames() -> None:
    data = some_frame().encode() * 2
    assert read([bytes([byte]) for byte in data]) == ([some_frame()] * 2, None)


@given(
    st.lists(frames(), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=4),
    st.integers(0, 2**31),
    st.lists(st.integers(0, 2**31), max_size=10),
)
def test_mutated_and_truncated_streams_fail_alike_in_any_cut(
    sent: list[Frame], mutations: list[tuple[int, int]], keep: int, places: list[int]
) -> None:
    data = bytearray(b"".join(frame.encode() for frame in sent))
    for place, value in mutations:
        data[place % len(data)] = value
    del data[keep % (len(data) + 1) :]
    assert read(cut(bytes(data), places)) == read([bytes(data)])


@given(st.binary(max_size=300))
def test_garbage_gives_frames_or_a_protocol_error_and_nothing_else(data: bytes) -> None:
    read([data])


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (0, 0, "begins with"),
        (4, 2, "version 2"),
        (6, 1, "flags"),
        (7, 0, "direction"),
        (7, 3, "direction"),
        (56, 1, "at most 16777216 bytes, the frame claims 16777223"),
    ],
)
def test_a_malformed_header_is_refused_by_name(place: int, value: int, named: str) -> None:
    data = bytearray(some_frame().encode())
    data[place] = value
    found, message = read([some_frame().encode() + bytes(data)])
    assert found == [some_frame()]
    assert message is not None
    assert named in message


@pytest.mark.parametrize("size", [1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 7 + MAC_BYTES - 1])
def test_a_truncated_frame_is_refused_with_its_size(size: int) -> None:
    assert read([some_frame().encode()[:size]]) == ([], f"the stream ended inside a frame, {size} bytes into it")


def test_a_claimed_length_allocates_nothing() -> None:
    head = dataclasses.replace(some_frame().header, length=MAX_PAYLOAD).encode()
    tracemalloc.start()
    decoder = FrameDecoder()
    decoder.feed(head)
    assert decoder.next_frame() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000
    assert decoder.buffered == HEADER_BYTES


def test_a_failed_decoder_stays_failed_and_keeps_no_bytes() -> None:
    decoder = FrameDecoder()
    decoder.feed(b"GET / HTTP/1.1")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="begins with"):
            decoder.next_frame()
        decoder.feed(some_frame().encode())
    assert decoder.buffered == 0


def test_a_smaller_limit_holds_until_it_is_raised() -> None:
    strict = FrameDecoder(max_payload=0)
    strict.feed(some_frame().encode())
    with pytest.raises(RemoteProtocolError, match="at most 0 bytes"):
        strict.next_frame()
    raised = FrameDecoder(max_payload=0)
    raised.max_payload = MAX_PAYLOAD
    raised.feed(some_frame().encode())
    assert raised.next_frame() == some_frame()


def test_the_longest_payload_passes() -> None:
    frame = some_frame(bytes(MAX_PAYLOAD))
    assert read([frame.encode()]) == ([frame], None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", 256),
        ("flags", -1),
        ("block", 2**64),
        ("sequence", -1),
        ("length", MAX_PAYLOAD + 1),
        ("session", b""),
        ("nonce", b"1"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_at_home(name: str, value: object) -> None:
    header = dataclasses.replace(some_frame().header, **{name: value})  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(LocalProtocolError, match=name):
        header.encode()


def test_each_party_sends_in_its_own_direction() -> None:
    assert Direction.sent_by(Party.ALICE) is Direction.ALICE_TO_BOB
    assert Direction.sent_by(Party.BOB) is Direction.ALICE_TO_BOB.opposite
    with pytest.raises(LocalProtocolError, match="charlie"):
        Direction.sent_by(Party.CHARLIE)
