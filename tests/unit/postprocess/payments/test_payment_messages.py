"""Messages of payments: what goes in comes out, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.conjugate.fields import packed_size
from faintlink.postprocess.payments.messages import Cryptogram

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=63)


@st.composite
def cryptograms(draw: st.DrawFn) -> Cryptogram:
    count = draw(st.integers(1, 70))
    raw = draw(st.binary(min_size=packed_size(count), max_size=packed_size(count)))
    spare = -count % 8
    outcomes = raw[:-1] + bytes([raw[-1] >> spare << spare])
    part = st.binary(min_size=16, max_size=16)
    return Cryptogram(draw(part), draw(part), count, outcomes)


@given(cryptograms(), NAMES, st.data())
def test_a_request_survives_and_each_cut_is_refused(cryptogram: Cryptogram, name: str, data: st.DataObject) -> None:
    encoded = cryptogram.request(name)
    assert Cryptogram.from_request(encoded) == (name, cryptogram)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(RemoteProtocolError):
            Cryptogram.from_request(wrong)


@given(cryptograms(), st.data())
def test_a_cryptogram_survives_and_each_cut_is_refused(cryptogram: Cryptogram, data: st.DataObject) -> None:
    encoded = cryptogram.encode()
    assert Cryptogram.decode(encoded) == cryptogram
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(RemoteProtocolError):
            Cryptogram.decode(wrong)


@given(st.binary(max_size=120))
def test_noise_is_refused_by_name(noise: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Cryptogram.from_request(noise)


def test_names_are_short_ascii() -> None:
    cryptogram = Cryptogram(bytes(16), bytes(16), 8, b"\0")
    with pytest.raises(LocalProtocolError, match="63 bytes"):
        cryptogram.request("x" * 64)
    with pytest.raises(RemoteProtocolError, match="ASCII"):
        Cryptogram.from_request(cryptogram.request("Bäckerei"))


def test_outcomes_do_not_stand_in_a_repr() -> None:
    assert "xaa" not in repr(Cryptogram(bytes(16), bytes(16), 8, b"\xaa"))
