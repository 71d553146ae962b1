"""One-time keys make one tag; their epsilon is that of the formula."""

import pickle
from fractions import Fraction

import pytest

from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.epsilon import MAX_SEALED_BYTES, TagTally, authentication_part, forgery_bound
from faintlink.postprocess.channel.onetime import KeyPosition, OneTimeKey
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonLedger

# RFC 8439, section 2.5.2.
RFC_KEY = bytes.fromhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
RFC_TEXT = b"Cryptographic Forum Research Group"
RFC_TAG = bytes.fromhex("a8061dc1305136c6c22b8baf0c0127a9")


def key() -> OneTimeKey:
    return OneTimeKey(bytearray(RFC_KEY), direction=Direction.BOB_TO_ALICE, position=KeyPosition(2, 5))


def poly1305(key: bytes, text: bytes) -> bytes:
    """Return the tag from the definition of RFC 8439 section 2.5, in plain integers."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at : at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def test_the_tag_is_that_of_rfc_8439() -> None:
    assert key().tag([RFC_TEXT]) == RFC_TAG == poly1305(RFC_KEY, RFC_TEXT)


def test_parts_are_tagged_as_their_joined_text() -> None:
    assert key().tag([RFC_TEXT[:7], b"", RFC_TEXT[7:]]) == RFC_TAG


def test_a_key_makes_one_tag_only() -> None:
    used = key()
    used.tag([RFC_TEXT])
    with pytest.raises(LocalProtocolError, match="one tag only"):
        used.tag([b"another"])


@pytest.mark.parametrize("bit", range(0, 128, 9))
def test_a_check_fails_for_any_wrong_bit_and_spends_the_key(bit: int) -> None:
    wrong = bytes(a ^ b for a, b in zip(RFC_TAG, (1 << bit).to_bytes(16, "little"), strict=True))
    used = key()
    assert not used.check([RFC_TEXT], wrong)
    with pytest.raises(LocalProtocolError, match="one tag only"):
        used.check([RFC_TEXT], RFC_TAG)


def test_the_key_is_overwritten_after_use() -> None:
    data = bytearray(RFC_KEY)
    OneTimeKey(data, direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, 0)).tag([b""])
    assert data == bytes(32)


def test_the_key_is_overwritten_even_when_tagging_fails() -> None:
    data = bytearray(RFC_KEY)
    used = OneTimeKey(data, direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, 0))
    with pytest.raises(ValueError, match="hexadecimal"):
        used.tag(map(bytes.fromhex, ["00", "no"]))
    assert data == bytes(32)


def test_a_key_cannot_be_copied() -> None:
    with pytest.raises(LocalProtocolError, match="copied"):
        pickle.dumps(key())


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (16, 1), (17, 2), (2**20, 2**16), (2**24, 2**20)])
def test_the_bound_is_eight_sixteenths_over_two_to_the_106(size: int, units: int) -> None:
    assert forgery_bound(size) == Fraction(8 * units, 2**106)


def test_one_mebibyte_costs_two_to_the_minus_87() -> None:
    assert forgery_bound(2**20) == Fraction(1, 2**87)


def test_the_part_sums_tags_and_nonces_exactly() -> None:
    part = authentication_part(tags=6, frames=1000, longest_bytes=2**20)
    assert part.amount == 6 * Fraction(1, 2**87) + 1000 * Fraction(1, 2**128)
    assert part.kind is EpsilonKind.AUTHENTICATION
    assert Fraction(part.value) >= part.amount
    assert EpsilonLedger((part, part)).authentication == pytest.approx(2 * part.value)


def test_the_default_is_the_limit_of_the_channel() -> None:
    assert authentication_part(tags=1, frames=0).amount == forgery_bound(MAX_SEALED_BYTES) == Fraction(1, 2**79)


@pytest.mark.parametrize(("tags", "frames", "length"), [(-1, 0, 1), (0, -1, 1), (0, 0, -1)])
def test_negative_counts_are_refused(tags: int, frames: int, length: int) -> None:
    with pytest.raises(ConfigError, match="negative"):
        authentication_part(tags=tags, frames=frames, longest_bytes=length)


def test_tallies_add() -> None:
    total = TagTally(1, 2, 30, 40) + TagTally(10, 20, 7, 8)
    assert total == TagTally(11, 22, 30, 48)
