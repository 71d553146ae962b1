"""Bytes of the VeriQloud Kiwi card: click records, time-tag words, angle nibbles, result bytes. No I/O.

Three streams share the 48-bit global counter (gc) of 40 MHz, which counts pairs of 12.5 ns qubit slots:

- click records (16 bytes, and the last 8 padding): slot / 2, then one byte with slot bit 0 and the result;
- time-tag words (16 bytes): arrival within the slot pair in steps of 20 ps, gc, slot bit and result;
- angles, two slots a byte: bits 0-1 the angle, bit 2 the decoy flag, bit 3 free or a second decoy bit.

A slot is an int64 number of 12.5 ns, counted from the last reset of the counter.

Sources: layouts as described by the maker's published control software and gateware (CERN-OHL-S); facts only, not
checked against a card.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import FormatError
from faintlink.core.units import Slots, TimesPs

RECORD_BYTES = 16
SLOT_PS = 12_500
"""A qubit slot: 80 MHz."""
STEP_PS = 20
"""Unit of the arrival time in a time-tag word."""
COUNTER_SLOTS = 1 << 49
"""Slots after which the counter starts anew: 81 days."""
MAP_BYTES = 0x21000
COUNTS = 0x0000
GC = 0x1000
START, COMMAND, LATCH, GC_LOW, GC_HIGH, PAIR_MODE, FIFO_RESET = 0, 8, 12, 16, 20, 24, 28
READ_SPEED, THRESHOLD, FIBRE_DELAY, PPS_STATUS, FIFO_STATUS = 32, 36, 40, 48, 52
"""Offsets in the page of the global counter."""
COUNT_OFFSETS = (56, 60, 64)
GC_OUT_FULL = 1 << 2
VFIFO_FULL = 0b11 << 7

_SLOT_STEPS = SLOT_PS // STEP_PS
_ANGLE = np.uint8(0b0011)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Clicks:
    """Clicks of the card."""

    slots: Slots
    """(n,) int64, not yet unwrapped."""
    results: Bytes
    """(n,) uint8, which detector: 0 or 1."""
    arrivals_ps: TimesPs
    """(n,) int64, time within the slot; 0 in click records, which do not tell."""


@dataclass(frozen=True, slots=True, eq=False)
class Angles:
    """What the sender played, slot by slot."""

    angles: Bytes
    """(n,) uint8, angle index 0 to 3."""
    decoys: Bytes
    """(n,) uint8, 0 signal, 1 decoy."""
    free: Bytes
    """(n,) uint8, bit 3 as it stands."""


def _bit(values: Bytes, bit: int) -> Bytes:
    return (values >> np.uint8(bit)) & np.uint8(1)


def _records(data: bytes) -> Bytes:
    if len(data) % RECORD_BYTES:
        raise FormatError(
            f"{len(data)} bytes are not whole records of {RECORD_BYTES} bytes",
            hint="keep the rest until the next read",
        )
    return np.frombuffer(data, np.uint8).reshape(-1, RECORD_BYTES)


def _counter(records: Bytes, first: int) -> Slots:
    """Return the 48-bit little-endian numbers (n,) int64 that begin at a byte of each record."""
    wide = np.zeros((len(records), 8), np.uint8)
    wide[:, :6] = records[:, first : first + 6]
    return wide.view("<i8")[:, 0].astype(np.int64)


def decode_clicks(data: bytes) -> Clicks:
    """Return the clicks of whole click records.

    Raises
    ------
    FormatError
        The records are not whole, or undefined bits are set: the stream lost its alignment.
    """
    records = _records(data)
    bad = (records[:, 6] > 0b11) | (records[:, 7] != 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise FormatError(
            f"click record {at} has undefined bits set: byte 6 is 0x{int(records[at, 6]):02x}",
            hint="the stream lost its alignment, or is of another kind",
            record=at,
        )
    slots = 2 * _counter(records, 0) + (records[:, 6] & 1)
    return Clicks(slots, _bit(records[:, 6], 1), np.zeros(len(records), np.int64))


def encode_clicks(slots: Slots, results: Bytes) -> bytes:
    """Return click records; also what a sender writes back to be given its angles, with results 0."""
    records = np.zeros((len(slots), RECORD_BYTES), np.uint8)
    counter = (slots % COUNTER_SLOTS) >> 1
    records[:, :6] = counter.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :6]
    records[:, 6] = (slots & 1).astype(np.uint8) | (results << np.uint8(1))
    return records.tobytes()


def decode_time_tags(data: bytes) -> Clicks:
    """Return the clicks of whole time-tag words.

    Raises
    ------
    FormatError
        The words are not whole, or undefined bits are set.
    """
    records = _records(data)
    bad = (records[:, 10] > 0b11) | np.any(records[:, 11:] != 0, axis=1)
    if bad.any():
        at = int(np.argmax(bad))
        raise FormatError(f"time-tag word {at} has undefined bits set", hint="the stream lost its alignment", record=at)
    steps = records[:, 0].astype(np.int64) | (records[:, 1] & 0x3F).astype(np.int64) << 8
    slots = 2 * _counter(records, 4) + (records[:, 10] & 1)
    return Clicks(slots, _bit(records[:, 10], 1), steps % _SLOT_STEPS * STEP_PS)


def encode_time_tags(clicks: Clicks) -> bytes:
    """Return time-tag words of clicks; the arrival is rounded down to its step."""
    records = np.zeros((len(clicks.slots), RECORD_BYTES), np.uint8)
    steps = clicks.arrivals_ps // STEP_PS + (clicks.slots & 1) * _SLOT_STEPS
    records[:, 0] = steps & 0xFF
    records[:, 1] = steps >> 8 & 0x3F
    counter = (clicks.slots % COUNTER_SLOTS) >> 1
    records[:, 4:10] = counter.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :6]
    records[:, 10] = (clicks.slots & 1).astype(np.uint8) | (clicks.results << np.uint8(1))
    return records.tobytes()


def decode_angles(data: bytes, count: int) -> Angles:
    """Return the angles of ``count`` slots, low nibble first.

    Raises
    ------
    FormatError
        The bytes hold fewer.
    """
    if len(data) != (count + 1) // 2:
        raise FormatError(f"{count} angles take {(count + 1) // 2} bytes, got {len(data)}")
    packed = np.frombuffer(data, np.uint8)
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:count]
    return Angles((nibbles & _ANGLE).astype(np.uint8), _bit(nibbles, 2), _bit(nibbles, 3))


def encode_angles(angles: Angles) -> bytes:
    """Return angles as nibbles, two slots a byte, low nibble first; an odd last one is filled with 0."""
    nibbles = angles.angles | angles.decoys << np.uint8(2) | angles.free << np.uint8(3)
    padded = np.append(nibbles, np.zeros(len(nibbles) % 2, np.uint8)).astype(np.uint8)
    packed: Bytes = padded[0::2] | padded[1::2] << np.uint8(4)
    return packed.tobytes()


def decode_results(data: bytes) -> Bytes:
    """Return results (n,) uint8 of a file with one byte a click.

    Raises
    ------
    FormatError
        A byte is neither 0 nor 1.
    """
    results = np.frombuffer(data, np.uint8)
    if np.any(results > 1):
        raise FormatError(f"result byte {int(np.argmax(results > 1))} is neither 0 nor 1")
    return results


def encode_results(results: Bytes) -> bytes:
    """Return results (n,) uint8 as a file with one byte a click.

    Raises
    ------
    FormatError
        A result is neither 0 nor 1.
    """
    return decode_results(results.astype(np.uint8).tobytes()).tobytes()


def unwrapped(slots: Slots, last: int | None) -> Slots:
    """Return slots (n,) int64 that go on from slot ``last`` across the end of the counter."""
    if not slots.size:
        return slots
    start = int(slots[0]) if last is None else last
    half = COUNTER_SLOTS >> 1
    steps = (np.diff(slots, prepend=np.int64(start % COUNTER_SLOTS)) + half) % COUNTER_SLOTS - half
    whole: Slots = start + np.cumsum(steps)
    return whole
