"""Read and write the epoch files of S-Fifteen's qcrypto chain: types 1, 2, 3, 4 and 7.

The import and export commands use it to work beside a deployed qcrypto stack. Each file is one epoch of 2**32
units of 125 ps (0.537 s); functions take and return its bytes. It never decides what a detector means: the maps
below are conventions of the deployed chain, offered to callers.

=====  ==========================================================================================
type   content
=====  ==========================================================================================
1      all events of one side: 49-bit time and detector pattern
2      times and bases of the low-count side, compressed differences
3      measured or sifted bits of fixed width; also the layout of the ``rawkey`` folder
4      which of the low-count side's events were coincidences, compressed differences, and bases
7      final key of several epochs
=====  ==========================================================================================

In types 2 and 4 an entry is the code, then the basis (the written specification has them the other way round;
deployed files are as here). A type-4 code is the index difference plus 2. The writer moves a type-2 time that
follows another by less than two units, as the deployed chain does, because codes 0 and 1 are taken.

Sources: qcrypto file format description (S-Fifteen, C. Kurtsiefer), checked against files of a deployed chain.
"""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import FormatError
from faintlink.core.formats import qcrypto_kernels as kernels
from faintlink.core.formats.qcrypto_epochs import (
    Integers,
    Small,
    Type1Epoch,
    Type2Epoch,
    Type3Epoch,
    Type4Epoch,
    Type7Key,
)

TYPE2_BASIS = {1: 0, 2: 1, 4: 0, 8: 1}
"""Detector pattern to basis, in type 2."""
TYPE3_BIT = {1: 0, 2: 0, 4: 1, 8: 1}
"""Detector pattern to bit, in type 3 of the low-count side; the high-count side writes the inverse."""
SMALLEST_CODE = 2
_BITS_OF_TIME = 49


def _header(data: bytes, fields: int, kind: int) -> tuple[int, ...]:
    if len(data) < 4 * fields:
        raise FormatError(
            f"a type-{kind} file has a header of {4 * fields} bytes, got {len(data)} bytes",
            hint="the file was cut short or never written",
        )
    values = struct.unpack_from(f"<iI{fields - 2}i", data)
    if values[0] not in (kind, 0x100 | kind):
        raise FormatError(f"a type-{kind} file starts with {kind} or {0x100 | kind}, this one with {values[0]}")
    return values[1:]


def _within(kind: int, **limits: tuple[int, int, int]) -> None:
    for name, (value, low, high) in limits.items():
        if not low <= value <= high:
            raise FormatError(
                f"type-{kind} header: {name} must lie in {low}..{high}, got {value}", hint="the file is damaged"
            )


def _words(data: bytes, start: int) -> npt.NDArray[np.uint32]:
    return np.frombuffer(data, "<u4", (len(data) - start) // 4, start)


def read_t1(data: bytes) -> Type1Epoch:
    """Return the events of a type-1 file.

    Raises
    ------
    FormatError
        The header is damaged, or the events are fewer or more than it counts.
    """
    epoch, length, bits, base_bits = _header(data, 5, 1)
    _within(1, time_bits=(bits, _BITS_OF_TIME, _BITS_OF_TIME), base_bits=(base_bits, 4, 4))
    events = _words(data, 20)
    events = events[: events.size // 2 * 2].reshape(-1, 2)
    count = _terminator(events) if length == 0 else length
    if not 0 <= count < len(events) or events[count].any():
        raise FormatError(
            f"type-1 file: {count} events and a terminator expected, {len(events)} entries found",
            hint="the file was cut short",
            expected=count,
            seen=len(events),
        )
    high, low = events[:count, 0].astype(np.int64), events[:count, 1].astype(np.int64)
    return Type1Epoch(epoch, (high << 17) | (low >> 15), (low & 15).astype(np.uint8))


def _terminator(events: npt.NDArray[np.uint32]) -> int:
    ends = np.flatnonzero(~events.any(axis=1))
    return int(ends[0]) if ends.size else len(events)


def write_t1(epoch: Type1Epoch) -> bytes:
    """Return the bytes of a type-1 file."""
    value = ((epoch.units & (2**_BITS_OF_TIME - 1)).astype(np.uint64) << np.uint64(15)) | epoch.patterns
    events = np.empty((len(value), 2), "<u4")
    events[:, 0] = value >> np.uint64(32)
    events[:, 1] = value & np.uint64(0xFFFFFFFF)
    return struct.pack("<iIiii", 1, epoch.epoch, len(value), _BITS_OF_TIME, 4) + events.tobytes() + bytes(8)


def _unpack(data: bytes, start: int, count: int, code_bits: int, base_bits: int, kind: int) -> tuple[Integers, Small]:
    words = _words(data, start)
    _within(kind, code_bits=(code_bits, 2, 32), base_bits=(base_bits, 0, 8))
    # An entry has at least one code: this bounds what a damaged length can make us allocate.
    _within(kind, length=(count, 0, words.size * 32 // (code_bits + base_bits)))
    differences, bases = np.empty(count, np.int64), np.empty(count, np.uint8)
    found = kernels.unpack_entries(words, code_bits, base_bits, differences, bases)
    if found != count:
        seen = {kernels.OVERRUN: "the stream ends inside an entry", kernels.NO_END: "more follow"}
        raise FormatError(
            f"type-{kind} file: the header counts {count} entries, but {seen.get(found, f'{found} are there')}",
            hint="the file is damaged or was cut short",
        )
    return differences, bases


def _pack(differences: Integers, bases: Small, code_bits: int, base_bits: int) -> bytes:
    if differences.size and (int(differences.min()) < 0 or int(differences.max()) >= 2**32):
        raise ValueError("a difference must lie in 0..2**32 - 1")
    if np.any(bases >> base_bits):
        raise ValueError(f"a basis must have {base_bits} bits")
    room = (differences.size + 1) * (code_bits + kernels.LONG_BITS + base_bits)
    words = np.zeros(room // 32 + 1, np.uint32)
    used = kernels.pack_entries(differences, bases, code_bits, base_bits, words)
    return words[: (used + 31) // 32].astype("<u4").tobytes()


def read_t2(data: bytes) -> Type2Epoch:
    """Return the times and bases of a type-2 file.

    Raises
    ------
    FormatError
        The header is damaged, or the stream is not as long as it says.
    """
    epoch, length, code_bits, base_bits, protocol = _header(data, 6, 2)
    differences, bases = _unpack(data, 24, length, code_bits, base_bits, 2)
    return Type2Epoch(epoch, np.cumsum(differences), bases, code_bits, base_bits, protocol)


def write_t2(epoch: Type2Epoch) -> bytes:
    """Return the bytes of a type-2 file; times closer than two units are moved apart."""
    if epoch.units.size and (int(epoch.units.min()) < 0 or bool(np.any(np.diff(epoch.units) < 0))):
        raise ValueError("times must be sorted and counted from the start of the epoch")
    differences = kernels.widen_steps(epoch.units, SMALLEST_CODE)
    header = (2, epoch.epoch, len(differences), epoch.code_bits, epoch.base_bits, epoch.protocol)
    return struct.pack("<iIiiii", *header) + _pack(differences, epoch.bases, epoch.code_bits, epoch.base_bits)


def read_t3(data: bytes) -> Type3Epoch:
    """Return the entries of a type-3 or raw-key file.

    Raises
    ------
    FormatError
        The header is damaged, or the bits are fewer than it counts.
    """
    epoch, length, width = _header(data, 4, 3)
    words = _words(data, 16)
    _within(3, bits_per_entry=(width, 1, 8))
    _within(3, length=(length, 0, words.size * 32 // width))
    values = np.empty(length, np.uint8)
    kernels.unpack_fixed(words, width, values)
    return Type3Epoch(epoch, values, width)


def write_t3(epoch: Type3Epoch) -> bytes:
    """Return the bytes of a type-3 or raw-key file."""
    if not 1 <= epoch.bits_per_entry <= 8 or np.any(epoch.values.astype(np.uint16) >> epoch.bits_per_entry):
        raise ValueError(f"the entries do not fit {epoch.bits_per_entry} bits")
    words = np.zeros((len(epoch.values) * epoch.bits_per_entry + 31) // 32, np.uint32)
    kernels.pack_fixed(epoch.values, epoch.bits_per_entry, words)
    header = struct.pack("<iIii", 3, epoch.epoch, len(epoch.values), epoch.bits_per_entry)
    return header + words.astype("<u4").tobytes()


def read_t4(data: bytes) -> Type4Epoch:
    """Return the coincidence indices and bases of a type-4 file.

    Raises
    ------
    FormatError
        The header is damaged, the stream is not as long as it says, or indices run backwards.
    """
    epoch, length, code_bits, base_bits = _header(data, 5, 4)
    differences, bases = _unpack(data, 20, length, code_bits, base_bits, 4)
    if np.any(differences < SMALLEST_CODE):
        raise FormatError("type-4 file: an index runs backwards", hint="the file is damaged")
    return Type4Epoch(epoch, np.cumsum(differences - SMALLEST_CODE), bases, code_bits, base_bits)


def write_t4(epoch: Type4Epoch) -> bytes:
    """Return the bytes of a type-4 file."""
    differences = np.diff(epoch.indices, prepend=0) + SMALLEST_CODE
    if np.any(differences < SMALLEST_CODE):
        raise ValueError("indices must be sorted and not negative")
    header = struct.pack("<iIiii", 4, epoch.epoch, len(differences), epoch.code_bits, epoch.base_bits)
    return header + _pack(differences, epoch.bases, epoch.code_bits, epoch.base_bits)


def read_t7(data: bytes) -> Type7Key:
    """Return the final key of a type-7 file.

    Raises
    ------
    FormatError
        The header is damaged, or the size is not that of the key.
    """
    if len(data) < 16:
        raise FormatError(f"a type-7 file has a header of 16 bytes, got {len(data)} bytes")
    epoch, epochs, bits = _header(data, 4, 7)
    _within(7, epochs=(epochs, 1, 2**31 - 1), bits=(bits, 0, 8 * len(data)))
    if len(data) != 16 + (bits + 31) // 32 * 4:
        raise FormatError(f"type-7 file: {bits} bits take {(bits + 31) // 32 * 4} bytes, got {len(data) - 16}")
    key = bytearray(_words(data, 16).astype(">u4").tobytes()[: (bits + 7) // 8])
    if bits % 8:
        key[-1] &= 0xFF << (8 - bits % 8) & 0xFF
    return Type7Key(epoch, epochs, bits, bytes(key))


def write_t7(key: Type7Key) -> bytes:
    """Return the bytes of a type-7 file."""
    if len(key.data) != (key.bits + 7) // 8:
        raise ValueError(f"{key.bits} bits take {(key.bits + 7) // 8} bytes, got {len(key.data)}")
    padded = key.data + bytes(-len(key.data) % 4)
    words = np.frombuffer(padded, ">u4").astype("<u4")
    return struct.pack("<iIii", 7, key.epoch, key.epochs, key.bits) + words.tobytes()


def values_of(patterns: Small, mapping: dict[int, int]) -> tuple[Small, npt.NDArray[np.bool_]]:
    """Return what a map such as `TYPE2_BASIS` makes of patterns, and which patterns it knows.

    Both are (n,); the value of an unknown pattern (no or several detectors) is 0 and must not be used.
    """
    table, known = np.zeros(256, np.uint8), np.zeros(256, np.bool_)
    keys: Sequence[int] = list(mapping)
    table[keys] = list(mapping.values())
    known[keys] = True
    return table[patterns], known[patterns]
