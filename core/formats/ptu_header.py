"""Read and build the tagged header of PicoQuant's unified TTTR files.

`ptu` reads it, `ptu_writer` builds it. Every length is bounded before anything is allocated, and each fault names
the byte at which it stands. Nothing here touches TTTR records.

Sources: PicoQuant, "Unified TTTR file format" and its public
reader demos.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from types import MappingProxyType
from typing import BinaryIO, TypeAlias

from faintlink.core.errors import FormatError
from faintlink.core.formats.detection import PTU_MAGIC

HEADER_END = "Header_End"
MAX_HEADER_BYTES = 16 * 2**20
"""No recorder writes a header near this size; a longer one is damage."""
MAX_ENTRIES = 65_536
MAX_INDEX = 4_095
"""Highest index of an entry that comes once per channel or curve."""

_PREAMBLE = struct.Struct("<8s8s")
_ENTRY = struct.Struct("<32siI8s")
_DAY_ZERO = datetime(1899, 12, 30)

HeaderValue: TypeAlias = int | float | bool | str | bytes | datetime | tuple[float, ...] | None
Header: TypeAlias = Mapping[str, HeaderValue | tuple[HeaderValue, ...]]


class EntryType(IntEnum):
    """Type codes of header entries."""

    EMPTY = 0xFFFF0008
    BOOL = 0x00000008
    INT = 0x10000008
    BIT_SET = 0x11000008
    COLOR = 0x12000008
    FLOAT = 0x20000008
    TIME = 0x21000008
    FLOAT_ARRAY = 0x2001FFFF
    TEXT = 0x4001FFFF
    WIDE_TEXT = 0x4002FFFF
    BLOB = 0xFFFFFFFF


_WITH_PAYLOAD = frozenset({EntryType.FLOAT_ARRAY, EntryType.TEXT, EntryType.WIDE_TEXT, EntryType.BLOB})


@dataclass(frozen=True, slots=True)
class ParsedHeader:
    """A header and where it ends."""

    version: str
    """Version of the header format."""
    values: Header
    """Entries by name; those with an index are tuples in order of the index."""
    records_offset: int
    """Byte at which the records start."""


def read_header(stream: BinaryIO) -> ParsedHeader:
    """Return the header that starts at the beginning of a stream.

    Raises
    ------
    FormatError
        The preamble is another, an entry is malformed, or the header ends early or nowhere.
    """
    reader = _Reader(stream)
    magic, version = _PREAMBLE.unpack(reader.take(_PREAMBLE.size, "the preamble"))
    if magic != PTU_MAGIC:
        raise FormatError(f"a PTU file starts with {PTU_MAGIC!r}, this one with {magic!r}", offset=0)
    plain: dict[str, HeaderValue] = {}
    indexed: dict[str, dict[int, HeaderValue]] = {}
    for _ in range(MAX_ENTRIES):
        at = reader.offset
        name, index, code, raw = _read_entry(reader)
        if name == HEADER_END:
            values = {**plain, **{key: tuple(of[i] for i in sorted(of)) for key, of in indexed.items()}}
            return ParsedHeader(_text(version), MappingProxyType(values), reader.offset)
        value = _value(reader, code, raw, at=at)
        if index == -1:
            plain[name] = value
        else:
            indexed.setdefault(name, {})[index] = value
    raise FormatError(f"no {HEADER_END} among {MAX_ENTRIES} header entries", offset=reader.offset)


class _Reader:
    """Take bytes from a stream, counting them, never more than a header may hold."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0

    def take(self, count: int, what: str) -> bytes:
        if count < 0 or self.offset + count > MAX_HEADER_BYTES:
            raise _malformed(f"{what} claims {count} bytes; a header has at most {MAX_HEADER_BYTES}", self.offset)
        data = self._stream.read(count)
        if len(data) != count:
            raise _malformed(f"the file ends inside {what}: {count} bytes expected, {len(data)} left", self.offset)
        self.offset += count
        return data


def _read_entry(reader: _Reader) -> tuple[str, int, EntryType, bytes]:
    at = reader.offset
    raw_name, index, code, raw = _ENTRY.unpack(reader.take(_ENTRY.size, "a header entry"))
    name = _text(raw_name)
    if not name or not name.isprintable():
        raise _malformed("a header entry has no readable name", at)
    if not -1 <= index <= MAX_INDEX:
        raise _malformed(f"entry {name} has the index {index}, expected -1..{MAX_INDEX}", at)
    try:
        return name, index, EntryType(code), raw
    except ValueError:
        raise _malformed(f"entry {name} has the unknown type 0x{code:08x}", at) from None


def _value(reader: _Reader, code: EntryType, raw: bytes, *, at: int) -> HeaderValue:
    if code in _WITH_PAYLOAD:
        return _payload(code, reader.take(int.from_bytes(raw, "little", signed=True), "a header value"), at=at)
    if code is EntryType.EMPTY:
        return None
    if code is EntryType.BOOL:
        return any(raw)
    if code is EntryType.FLOAT:
        return float(struct.unpack("<d", raw)[0])
    if code is EntryType.TIME:
        return _moment(float(struct.unpack("<d", raw)[0]), at=at)
    return int.from_bytes(raw, "little", signed=code is EntryType.INT)


def _payload(code: EntryType, data: bytes, *, at: int) -> HeaderValue:
    if code is EntryType.BLOB:
        return data
    if code is EntryType.TEXT:
        return _text(data)
    if code is EntryType.WIDE_TEXT:
        if len(data) % 2:
            raise _malformed(f"a wide text has {len(data)} bytes, an odd number", at)
        return data.decode("utf-16-le", errors="replace").split("\0", 1)[0]
    if len(data) % 8:
        raise _malformed(f"an array of floats has {len(data)} bytes, not a multiple of 8", at)
    return struct.unpack(f"<{len(data) // 8}d", data)


def _moment(days: float, *, at: int) -> datetime:
    try:
        return _DAY_ZERO + timedelta(days=days)
    except (OverflowError, ValueError):
        raise _malformed(f"a date lies {days} days from {_DAY_ZERO:%Y-%m-%d}", at) from None


def _text(data: bytes) -> str:
    # Recorders on Windows write the local code page; Latin-1 never fails and keeps every byte.
    body = data.split(b"\0", 1)[0]
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _malformed(what: str, at: int) -> FormatError:
    return FormatError(
        f"PTU header, byte {at}: {what}",
        hint="the file is damaged or was cut in transfer; copy it again",
        offset=at,
    )


def build_header(values: Mapping[str, HeaderValue | list[HeaderValue]], *, version: str = "1.0.00") -> bytes:
    """Return a header with the given entries and its end mark.

    A list gives one indexed entry per element; a tuple of floats gives one array of floats.
    """
    parts = [_PREAMBLE.pack(PTU_MAGIC, version.encode("ascii"))]
    for name, value in values.items():
        if isinstance(value, list):
            parts += [_entry(name, index, one) for index, one in enumerate(value)]
        else:
            parts.append(_entry(name, -1, value))
    parts.append(_ENTRY.pack(HEADER_END.encode(), -1, EntryType.EMPTY, bytes(8)))
    return b"".join(parts)


def _entry(name: str, index: int, value: HeaderValue) -> bytes:
    code, raw, payload = _encoded(value)
    return _ENTRY.pack(name.encode("ascii"), index, code, raw) + payload


def _encoded(value: HeaderValue) -> tuple[EntryType, bytes, bytes]:
    match value:
        case None:
            return EntryType.EMPTY, bytes(8), b""
        case bool():
            return EntryType.BOOL, struct.pack("<q", -1 if value else 0), b""
        case int():
            return EntryType.INT, struct.pack("<q", value), b""
        case float():
            return EntryType.FLOAT, struct.pack("<d", value), b""
        case datetime():
            days = (value.replace(tzinfo=None) - _DAY_ZERO) / timedelta(days=1)
            return EntryType.TIME, struct.pack("<d", days), b""
        case str():
            text = value.encode("utf-8") + b"\0"
            return _with_length(EntryType.TEXT, text + bytes(-len(text) % 8))
        case bytes():
            return _with_length(EntryType.BLOB, value)
        case tuple():
            return _with_length(EntryType.FLOAT_ARRAY, struct.pack(f"<{len(value)}d", *value))
    raise TypeError(f"a header entry cannot hold {type(value).__name__}")


def _with_length(code: EntryType, payload: bytes) -> tuple[EntryType, bytes, bytes]:
    return code, struct.pack("<q", len(payload)), payload


def finite_number(values: Header, name: str, default: float | None = None) -> float:
    """Return a numeric header entry.

    Raises
    ------
    FormatError
        It is missing and there is no default, or it is not a finite number.
    """
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FormatError(
            f"the PTU header entry {name} must be a finite number, got {value!r}",
            hint="the header is damaged, or the recorder never finished it",
        )
    return value
