"""The PTU header: every kind of entry, and every malformed one refused at its byte."""

import io
import struct
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import FormatError
from faintlink.core.formats.ptu_header import EntryType, HeaderValue, build_header, finite_number, read_header

ENTRIES: dict[str, HeaderValue | list[HeaderValue]] = {
    "Nothing": None,
    "Yes": True,
    "No": False,
    "Count": -7,
    "Real": 1.25e-12,
    "Moment": datetime(2020, 2, 4, 12, 37),
    "Words": "µ-channel plate",
    "Empty": "",
    "Blob": b"\x00\x01\xff",
    "Floats": (1.0, -2.5),
    "PerInput": [3, 4, 5],
}


def _entry(name: bytes, code: int, value: bytes = bytes(8), *, index: int = -1, payload: bytes = b"") -> bytes:
    return struct.pack("<32siI8s", name, index, code, value) + payload


def _file(*entries: bytes) -> io.BytesIO:
    end = _entry(b"Header_End", EntryType.EMPTY)
    return io.BytesIO(b"PQTTTR\0\0" + b"1.0.00\0\0" + b"".join(entries) + end)


def test_every_kind_of_entry_survives_a_round_trip() -> None:
    built = build_header(ENTRIES)
    parsed = read_header(io.BytesIO(built + b"records"))
    assert dict(parsed.values) == {**ENTRIES, "PerInput": (3, 4, 5)}
    assert parsed.records_offset == len(built)
    assert parsed.version == "1.0.00"


def test_wide_text_bit_sets_and_colours_are_read() -> None:
    wide = "Ω42\0".encode("utf-16-le")
    length = struct.pack("<q", len(wide))
    parsed = read_header(
        _file(
            _entry(b"Wide", EntryType.WIDE_TEXT, length, payload=wide),
            _entry(b"Bits", EntryType.BIT_SET, b"\xff" * 8),
            _entry(b"Colour", EntryType.COLOR, struct.pack("<q", 0x00FF00)),
        )
    )
    assert dict(parsed.values) == {"Wide": "Ω42", "Bits": 2**64 - 1, "Colour": 0x00FF00}


def test_text_of_a_windows_code_page_keeps_its_letters() -> None:
    parsed = read_header(_file(_entry(b"T", EntryType.TEXT, struct.pack("<q", 3), payload=b"\xb5m\0")))
    assert parsed.values["T"] == "µm"


@pytest.mark.parametrize("code", [EntryType.TEXT, EntryType.WIDE_TEXT, EntryType.BLOB, EntryType.FLOAT_ARRAY])
@pytest.mark.parametrize("length", [-1, 2**40, 2**63 - 1, 1_000])
def test_a_length_that_cannot_be_is_refused_before_anything_is_read(code: EntryType, length: int) -> None:
    with pytest.raises(FormatError, match="header value"):
        read_header(_file(_entry(b"T", code, struct.pack("<q", length))))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (_entry(b"T", 0x12345678), "unknown type 0x12345678"),
        (_entry(b"T", EntryType.INT, index=-2), "index -2"),
        (_entry(b"T", EntryType.INT, index=2**31 - 1), "index 2147483647"),
        (_entry(b"", EntryType.INT), "no readable name"),
        (_entry(b"\x01\x02", EntryType.INT), "no readable name"),
        (_entry(b"T", EntryType.TIME, struct.pack("<d", 1e300)), "a date lies"),
        (_entry(b"T", EntryType.TIME, struct.pack("<d", float("nan"))), "a date lies"),
        (_entry(b"T", EntryType.FLOAT_ARRAY, struct.pack("<q", 7), payload=bytes(7)), "multiple of 8"),
        (_entry(b"T", EntryType.WIDE_TEXT, struct.pack("<q", 3), payload=bytes(3)), "odd number"),
    ],
)
def test_a_malformed_entry_is_refused_with_the_byte_where_it_stands(entry: bytes, reason: str) -> None:
    first = _entry(b"Fine", EntryType.INT)
    with pytest.raises(FormatError, match=reason) as caught:
        read_header(_file(first, entry))
    assert caught.value.fields["offset"] == 16 + len(first)


def test_a_header_cut_at_any_byte_is_refused() -> None:
    whole = build_header(ENTRIES)
    for length in range(len(whole)):
        with pytest.raises(FormatError):
            read_header(io.BytesIO(whole[:length]))


def test_a_header_without_end_is_refused() -> None:
    endless = b"PQTTTR\0\0" + bytes(8) + _entry(b"T", EntryType.INT) * 65_536
    with pytest.raises(FormatError, match="no Header_End"):
        read_header(io.BytesIO(endless))


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_a_format_error(tail: bytes) -> None:
    try:
        read_header(io.BytesIO(b"PQTTTR\0\0" + bytes(8) + tail))
    except FormatError:
        return
    assert b"Header_End" in tail


@pytest.mark.parametrize("value", [None, True, "7", float("nan"), float("inf")])
def test_an_entry_that_must_be_a_number_refuses_anything_else(value: HeaderValue) -> None:
    with pytest.raises(FormatError, match="Rate must be a finite number"):
        finite_number({"Rate": value}, "Rate")
