"""Messages of tokens: what goes in comes out, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.conjugate.fields import packed_size
from faintlink.postprocess.tokens.messages import (
    COMMITMENT_BYTES,
    NONCE_BYTES,
    CopyKey,
    Decision,
    Deposit,
    Fields,
    Holding,
    Kind,
    Reason,
    choice_message,
    message,
    read_choice,
)

SESSION = bytes(range(16))


def bits(draw: st.DrawFn, count: int) -> bytes:
    raw = draw(st.binary(min_size=packed_size(count), max_size=packed_size(count)))
    spare = -count % 8
    return raw[:-1] + bytes([raw[-1] >> spare << spare])


@st.composite
def deposits(draw: st.DrawFn) -> Deposit:
    count = draw(st.integers(1, 40))
    size = draw(st.sampled_from([0, COMMITMENT_BYTES]))
    copies = tuple(
        CopyKey(bits(draw, count), bits(draw, count), bits(draw, count), draw(st.binary(min_size=size, max_size=size)))
        for _ in range(draw(st.integers(1, 6)))
    )
    return Deposit(SESSION, count, draw(st.floats(0.0, 0.5)), copies)


@st.composite
def holdings(draw: st.DrawFn) -> Holding:
    count = draw(st.integers(1, 40))
    size = draw(st.sampled_from([0, NONCE_BYTES]))
    copies = draw(st.integers(1, 6))
    nonces = tuple(draw(st.binary(min_size=size, max_size=size)) for _ in range(copies))
    return Holding(SESSION, count, tuple(bits(draw, count) for _ in range(copies)), nonces)


@given(deposits(), st.data())
def test_a_deposit_survives_and_each_cut_is_refused(deposit: Deposit, data: st.DataObject) -> None:
    encoded = deposit.encode()
    assert Deposit.decode(encoded) == deposit
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(RemoteProtocolError):
        Deposit.decode(encoded[:cut])
    with pytest.raises(RemoteProtocolError):
        Deposit.decode(encoded + b"\0")


@given(holdings(), st.data())
def test_a_holding_survives_and_each_cut_is_refused(holding: Holding, data: st.DataObject) -> None:
    encoded = holding.encode(Kind.PRESENTATION)
    assert Holding.decode(encoded, Kind.PRESENTATION) == holding
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(RemoteProtocolError):
            Holding.decode(wrong, Kind.PRESENTATION)
    with pytest.raises(RemoteProtocolError, match="HOLDING"):
        Holding.decode(encoded)


@given(st.binary(max_size=200))
def test_noise_is_refused_by_name(noise: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Deposit.decode(noise)
    with pytest.raises(RemoteProtocolError):
        Decision.decode(message(Kind.DECISION, SESSION, noise[:18]))


@given(st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 2**20)), max_size=6), st.sampled_from(Reason))
def test_a_decision_survives(counts: list[tuple[int, int]], reason: Reason) -> None:
    decision = Decision(SESSION, 3, reason, tuple(counts), 123, 456)
    assert Decision.decode(decision.encode(), SESSION) == decision


def test_another_session_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="another session"):
        Fields(message(Kind.GO, SESSION), Kind.GO, bytes(16))


def test_bits_behind_the_last_are_refused() -> None:
    data = Holding(SESSION, 9, (b"\xff\xff",), (b"",)).encode()
    with pytest.raises(RemoteProtocolError, match="behind the last"):
        Holding.decode(data)


def test_a_choice_beyond_the_copies_is_refused() -> None:
    assert read_choice(choice_message(SESSION, 3), SESSION, 2) == 3
    with pytest.raises(RemoteProtocolError, match="expected 0 to 1"):
        read_choice(choice_message(SESSION, 2), SESSION, 1)


def test_no_secret_stands_in_a_repr() -> None:
    secret = b"\xaa\x80"
    shown = repr(Holding(SESSION, 9, (secret,), (secret * 16,))) + repr(CopyKey(secret, secret, b"", b""))
    assert "aa" not in shown
