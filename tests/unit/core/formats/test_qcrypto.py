"""Epoch files of a deployed qcrypto chain: read exactly, written byte for byte, damage refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import FormatError
from faintlink.core.formats import qcrypto
from faintlink.core.formats.qcrypto_epochs import (
    EPOCH_MASK,
    Integers,
    Small,
    Type1Epoch,
    Type2Epoch,
    Type3Epoch,
    Type4Epoch,
    Type7Key,
)
from tests.data import shared_data

EPOCHS = ["0000976b", "0000976c"]
DELAY_UNITS = 9872
"""LEC = HEC + 1234 ns, as the run was made."""

CODECS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "t1": (qcrypto.read_t1, qcrypto.write_t1),
    "t2": (qcrypto.read_t2, qcrypto.write_t2),
    "t3": (qcrypto.read_t3, qcrypto.write_t3),
    "t4": (qcrypto.read_t4, qcrypto.write_t4),
    "rawkey": (qcrypto.read_t3, qcrypto.write_t3),
    "finalkey": (qcrypto.read_t7, qcrypto.write_t7),
}
REAL = [
    ("hec", "t1"),
    ("lec", "t2"),
    ("lec", "t3"),
    ("hec", "t4"),
    ("hec", "rawkey"),
    ("lec", "rawkey"),
]


def _events(side: str, epoch: int) -> tuple[Integers, Small]:
    """Return the raw events of one epoch, straight from the words."""
    words = np.fromfile(shared_data(f"qcrypto/{side}/events.raw"), "<u4").reshape(-1, 2).astype(np.int64)
    units = (words[:, 0] << 17) | (words[:, 1] >> 15)
    inside = units >> 32 == epoch & EPOCH_MASK
    return units[inside], (words[inside, 1] & 15).astype(np.uint8)


def _real(side: str, kind: str, epoch: str) -> Any:
    return CODECS[kind][0](shared_data(f"qcrypto/{side}/{kind}/{epoch}").read_bytes())


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize(("side", "kind"), REAL)
def test_real_files_are_written_back_byte_for_byte(side: str, kind: str, epoch: str) -> None:
    data = shared_data(f"qcrypto/{side}/{kind}/{epoch}").read_bytes()
    read, write = CODECS[kind]
    assert write(read(data)) == data


@pytest.mark.parametrize("epoch", EPOCHS)
def test_type_1_holds_the_raw_events_of_its_epoch(epoch: str) -> None:
    parsed = _real("hec", "t1", epoch)
    units, patterns = _events("hec", parsed.epoch)
    assert parsed.epoch == int(epoch, 16)
    assert np.array_equal(parsed.units, units)
    assert np.array_equal(parsed.patterns, patterns)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_type_2_holds_the_times_and_bases_of_the_low_count_side(epoch: str) -> None:
    parsed = _real("lec", "t2", epoch)
    units, patterns = _events("lec", parsed.epoch)
    bases, known = qcrypto.values_of(patterns, qcrypto.TYPE2_BASIS)
    assert bool(known.all())
    assert np.array_equal(parsed.times_ps, units * 125)
    assert np.array_equal(parsed.bases, bases)


@pytest.mark.parametrize("epoch", EPOCHS)
def test_type_3_holds_the_bits_of_the_low_count_side(epoch: str) -> None:
    parsed = _real("lec", "t3", epoch)
    _, patterns = _events("lec", parsed.epoch)
    assert np.array_equal(parsed.values, qcrypto.values_of(patterns, qcrypto.TYPE3_BIT)[0])


@pytest.mark.parametrize("epoch", EPOCHS)
def test_type_4_selects_exactly_events_with_a_partner_at_the_known_delay(epoch: str) -> None:
    sent, kept = _real("lec", "t2", epoch), _real("hec", "t4", epoch)
    own, _ = _events("hec", sent.epoch)
    chosen = sent.times_ps[kept.indices] // 125 - DELAY_UNITS
    assert bool(np.isin(chosen, own).all())
    assert len(kept.indices) == {"0000976b": 2738, "0000976c": 2646}[epoch]


@pytest.mark.parametrize("epoch", EPOCHS)
def test_the_raw_key_is_the_type_3_bits_that_type_4_selects(epoch: str) -> None:
    bits, kept, key = _real("lec", "t3", epoch), _real("hec", "t4", epoch), _real("lec", "rawkey", epoch)
    assert np.array_equal(bits.values[kept.indices], key.values)


@pytest.mark.parametrize(("epoch", "bits"), [("00009771", 4033), ("0000977d", 4220)])
def test_the_final_key_is_equal_on_both_sides(epoch: str, bits: int) -> None:
    ours, theirs = _real("hec", "finalkey", epoch), _real("lec", "finalkey", epoch)
    assert ours == theirs
    assert (ours.bits, len(ours.data)) == (bits, (bits + 7) // 8)


def test_representations_show_no_key() -> None:
    key = Type7Key(5, 1, 16, b"\xab\xcd")
    assert "ab" not in repr(key).replace("bits", "")
    assert "205" not in repr(key)
    assert repr(Type3Epoch(5, np.array([1, 0, 1], np.uint8), 1)) == "Type3Epoch(epoch=0x5, 3 entries of 1 bits)"


@given(
    steps=st.lists(st.one_of(st.integers(2, 300), st.integers(2, 2**31)), max_size=40),
    code_bits=st.integers(2, 32),
    base_bits=st.integers(0, 8),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_type_2_survives_writing_and_reading(steps: list[int], code_bits: int, base_bits: int, seed: int) -> None:
    bases = np.random.default_rng(seed).integers(0, 1 << base_bits, len(steps)).astype(np.uint8)
    epoch = Type2Epoch(0x976B, np.cumsum(steps, dtype=np.int64), bases, code_bits, base_bits, 1)
    again = qcrypto.read_t2(qcrypto.write_t2(epoch))
    assert np.array_equal(again.units, epoch.units)
    assert np.array_equal(again.bases, bases)
    assert (again.epoch, again.code_bits, again.base_bits) == (0x976B, code_bits, base_bits)


@given(steps=st.lists(st.integers(0, 300), max_size=40), code_bits=st.integers(2, 32), base_bits=st.integers(0, 8))
@settings(deadline=None)
def test_type_4_survives_writing_and_reading(steps: list[int], code_bits: int, base_bits: int) -> None:
    bases = (np.arange(len(steps)) & ((1 << base_bits) - 1)).astype(np.uint8)
    epoch = Type4Epoch(1, np.cumsum(steps, dtype=np.int64), bases, code_bits, base_bits)
    again = qcrypto.read_t4(qcrypto.write_t4(epoch))
    assert np.array_equal(again.indices, epoch.indices)
    assert np.array_equal(again.bases, bases)


@given(width=st.integers(1, 8), count=st.integers(0, 100), seed=st.integers(0, 99))
@settings(deadline=None)
def test_type_3_survives_writing_and_reading(width: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << width, count).astype(np.uint8)
    again = qcrypto.read_t3(qcrypto.write_t3(Type3Epoch(1, values, width)))
    assert np.array_equal(again.values, values)


@given(data=st.binary(max_size=50), spare=st.integers(0, 7))
def test_type_7_survives_writing_and_reading(data: bytes, spare: int) -> None:
    bits = max(0, 8 * len(data) - spare)
    kept = data[: (bits + 7) // 8]
    if bits % 8:
        kept = kept[:-1] + bytes([kept[-1] & (0xFF << (8 - bits % 8)) & 0xFF])
    key = Type7Key(3, 2, bits, kept)
    assert qcrypto.read_t7(qcrypto.write_t7(key)) == key


def test_times_closer_than_two_units_are_moved_apart_as_the_chain_does() -> None:
    epoch = Type2Epoch(1, np.array([5, 5, 6, 40]), np.zeros(4, np.uint8), 8, 1, 1)
    assert qcrypto.read_t2(qcrypto.write_t2(epoch)).units.tolist() == [5, 7, 9, 40]


def test_type_1_without_a_count_is_read_up_to_its_terminator() -> None:
    data = qcrypto.write_t1(Type1Epoch(0, np.array([8, 9]), np.array([1, 2], np.uint8)))
    uncounted = data[:8] + bytes(4) + data[12:]
    assert qcrypto.read_t1(uncounted).units.tolist() == [8, 9]


def _samples() -> dict[str, bytes]:
    bases = np.array([1, 0, 1, 1, 0], np.uint8)
    units = np.array([7, 90, 91_000, 91_100, 2**31])
    return {
        "t1": qcrypto.write_t1(Type1Epoch(0, units, bases + np.uint8(1))),
        "t2": qcrypto.write_t2(Type2Epoch(0, units, bases, 9, 1, 1)),
        "t3": qcrypto.write_t3(Type3Epoch(0, np.arange(40, dtype=np.uint8) & np.uint8(1), 1)),
        "t4": qcrypto.write_t4(Type4Epoch(0, np.array([0, 3, 3, 90]), bases[:4], 6, 1)),
        "finalkey": qcrypto.write_t7(Type7Key(0, 1, 40, b"\x12\x34\x56\x78\x9a")),
    }


@pytest.mark.parametrize("kind", _samples())
def test_a_file_cut_at_any_byte_is_refused(kind: str) -> None:
    whole = _samples()[kind]
    for length in range(len(whole)):
        with pytest.raises(FormatError):
            CODECS[kind][0](whole[:length])


@pytest.mark.parametrize("kind", _samples())
def test_flipped_bytes_give_data_or_a_refusal_and_nothing_else(kind: str) -> None:
    whole = _samples()[kind]
    rng = np.random.default_rng(13)
    refused = 0
    for _ in range(1000):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        try:
            CODECS[kind][0](bytes(damaged))
        except FormatError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("kind", _samples())
def test_a_file_of_another_type_is_refused(kind: str) -> None:
    for other, data in _samples().items():
        if other != kind:
            with pytest.raises(FormatError):
                CODECS[kind][0](data)


def test_a_length_beyond_the_file_is_refused_before_memory_is_taken() -> None:
    data = _samples()["t3"]
    with pytest.raises(FormatError, match="length must lie in"):
        qcrypto.read_t3(data[:8] + (2**31 - 1).to_bytes(4, "little") + data[12:])
