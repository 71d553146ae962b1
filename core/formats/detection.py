"""Tell the format of a recording from its first bytes, or say why none fits.

`open_recording` uses this; file endings are never looked at. Each format has one probe that returns the reason
why the bytes do not fit it, so that a refusal can show all of them. Nothing here decodes tags.

Sources: PicoQuant unified TTTR header (PTU); S-Fifteen time-stamp card and ``qcrypto`` readevents documentation.
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import FormatError

SNIFF_BYTES = 65_536
"""First bytes of a file that the probes look at."""
PTU_MAGIC = b"PQTTTR\x00\x00"
FILLER = 0b1100
"""Bits 6 to 9 of the low word of a 54-bit S-Fifteen time stamp."""
MIN_TDC1_WORDS = 16
"""32-bit words carry no mark of their own; fewer than this prove nothing."""
MIN_FORWARD = 0.9
"""Part of the steps between words that must go forward in time."""

Words = npt.NDArray[np.uint32]
_QCRYPTO_EPOCH_TAGS = {2: 2, 0x102: 2, 3: 3, 0x103: 3, 4: 4, 0x104: 4, 7: 7, 0x107: 7}


class FormatName(StrEnum):
    """Names of the formats, as they are written on the command line."""

    PTU = "ptu"
    """PicoQuant unified TTTR, T2 and T3."""
    S15_A0 = "s15-a0"
    """S-Fifteen 54-bit stamps as hexadecimal 32-bit lines, low word first."""
    S15_A0_LEGACY = "s15-a0x"
    """The same with the high word first."""
    S15_A1 = "s15-a1"
    """S-Fifteen 54-bit stamps in binary, low word first."""
    S15_A1_LEGACY = "s15-a1x"
    """The same with the high word first."""
    S15_A2 = "s15-a2"
    """S-Fifteen 54-bit stamps as hexadecimal 64-bit lines."""
    QCRYPTO_RAW = "qcrypto-raw"
    """49-bit stamps of 1/8 ns in binary, high word first."""
    QCRYPTO_T1 = "qcrypto-t1"
    """One epoch of 49-bit stamps with a type-1 header."""
    S15_TDC1 = "s15-tdc1"
    """S-Fifteen TDC1: 32-bit words of 2 ns."""


def format_from_name(name: FormatName | str) -> FormatName:
    """Return the format of that name.

    Raises
    ------
    FormatError
        There is none; the message lists those there are.
    """
    try:
        return FormatName(name)
    except ValueError:
        known = ", ".join(FormatName)
        raise FormatError(f"no format is called {str(name)!r}", hint=f"the formats are {known}") from None


def detect_format(first_bytes: bytes, size: int) -> FormatName:
    """Return the format that a file of ``size`` bytes with these first bytes has.

    Raises
    ------
    FormatError
        No format fits, or several do; the message gives each one's reason.
    """
    reasons = {name: probe(first_bytes[:SNIFF_BYTES], size) for name, probe in _PROBES.items()}
    fitting = [name for name, reason in reasons.items() if not reason]
    if len(fitting) > 1:
        raise FormatError(
            f"the content fits more than one format: {', '.join(fitting)}", hint="name the one meant with --format"
        )
    if fitting:
        return fitting[0]
    if len(first_bytes) >= 4 * MIN_TDC1_WORDS and not (refused := _probe_tdc1(first_bytes, size)):
        return FormatName.S15_TDC1
    reasons[FormatName.S15_TDC1] = refused if len(first_bytes) >= 4 * MIN_TDC1_WORDS else "too few words to tell"
    tried = "\n".join(f"  {name}: {reason}" for name, reason in reasons.items())
    raise FormatError(f"the content fits no known format\n{tried}", hint=_hint(first_bytes), tried=reasons)


def _hint(first: bytes) -> str:
    kind = _QCRYPTO_EPOCH_TAGS.get(int.from_bytes(first[:4], "little")) if len(first) >= 16 else None
    if kind is not None:
        return f"this looks like a qcrypto type-{kind} epoch file, which is not a recording of one tagger"
    return "if the format is known to be one of these, name it with --format"


def _probe_ptu(first: bytes) -> str:
    return "" if first.startswith(PTU_MAGIC) else "does not start with PQTTTR"


def _probe_words54(first: bytes, size: int, *, high: int) -> str:
    if size % 8:
        return f"{size} bytes are not a whole number of 8-byte words"
    return _check_words54(_words(first, 2), high=high)


def _probe_lines(first: bytes, size: int, *, digits: int, high: int) -> str:
    lines = first.split(b"\n")
    if len(lines) > 1 and len(first) < size:
        lines.pop()
    try:
        texts = [bytes(line).removesuffix(b"\r").decode("ascii") for line in lines if line]
        if not texts or any(len(text) != digits or not text.isalnum() for text in texts):
            return f"lines are not {digits} hexadecimal digits"
        values = np.array([int(text, 16) for text in texts], dtype=np.uint64)
    except ValueError:
        return f"lines are not {digits} hexadecimal digits"
    if digits == 16:
        pairs = np.stack([values >> np.uint64(32), values & np.uint64(0xFFFFFFFF)], axis=1)
        return _check_words54(pairs.astype(np.uint32), high=0)
    return _check_words54(values[: values.size // 2 * 2].astype(np.uint32).reshape(-1, 2), high=high)


def _probe_qcrypto_raw(first: bytes, size: int) -> str:
    if size % 8:
        return f"{size} bytes are not a whole number of 8-byte words"
    words = _words(first, 2)
    return _check_words49(words)


def _probe_qcrypto_t1(first: bytes, size: int) -> str:
    if size < 28 or len(first) < 28:
        return "too short for a header and a terminator"
    tag, epoch, length, bits, base_bits = np.frombuffer(first[:20], "<i4").tolist()
    if tag not in (1, 0x101):
        return "does not start with the tag 1"
    if (bits, base_bits) != (49, 4):
        return f"entries of {bits} + {base_bits} bits, not of 49 + 4"
    if length and size != 20 + 8 * (length + 1):
        return f"the header counts {length} events, the size says {(size - 28) // 8}"
    events = _words(first[20:], 2)
    if length > 0 and int(events[0, 0]) >> 15 != epoch & 0x1FFFF:
        return "the first event lies in another epoch than the header"
    return ""


def _probe_tdc1(first: bytes, size: int) -> str:
    if size % 4:
        return f"{size} bytes are not a whole number of 4-byte words"
    words = _words(first, 1)[:, 0]
    if np.any((words & 0x1F) == 0):
        return "a word names no detector"
    times = (words >> 5).astype(np.int64)
    if int(times.min()) == int(times.max()):
        return "all words have the same time"
    return _check_forward(times, bits=27)


def _check_words54(words: Words, *, high: int) -> str:
    if not len(words):
        return "holds no whole word"
    low_words = words[:, 1 - high]
    if np.any((low_words >> 6) & 0xF != FILLER):
        return "bits 6 to 9 of the low word are not 1100"
    times = (words[:, high].astype(np.int64) << 22) | (low_words >> 10).astype(np.int64)
    return _check_forward(times, bits=54)


def _check_words49(words: Words) -> str:
    if not len(words):
        return "holds no whole word"
    if np.any((words[:, 1] >> 4) & 0x7FF):
        return "bits 4 to 14 of the low word are not zero"
    if np.any((words[:, 1] & 0xF) == 0):
        return "a word names no detector"
    times = (words[:, 0].astype(np.int64) << 17) | (words[:, 1] >> 15).astype(np.int64)
    return _check_forward(times, bits=49)


def _check_forward(times: npt.NDArray[np.int64], *, bits: int) -> str:
    forward = np.diff(times) & ((1 << bits) - 1) < 1 << (bits - 1)
    if forward.size and float(np.mean(forward)) < MIN_FORWARD:
        return f"only {int(np.count_nonzero(forward))} of {forward.size} steps go forward in time"
    return ""


def _words(first: bytes, columns: int) -> Words:
    whole = len(first) // (4 * columns) * columns
    return np.frombuffer(first, "<u4", whole).reshape(-1, columns)


_PROBES: dict[FormatName, Callable[[bytes, int], str]] = {
    FormatName.PTU: lambda first, _: _probe_ptu(first),
    FormatName.S15_A0: lambda first, size: _probe_lines(first, size, digits=8, high=1),
    FormatName.S15_A0_LEGACY: lambda first, size: _probe_lines(first, size, digits=8, high=0),
    FormatName.S15_A1: lambda first, size: _probe_words54(first, size, high=1),
    FormatName.S15_A1_LEGACY: lambda first, size: _probe_words54(first, size, high=0),
    FormatName.S15_A2: lambda first, size: _probe_lines(first, size, digits=16, high=0),
    FormatName.QCRYPTO_RAW: _probe_qcrypto_raw,
    FormatName.QCRYPTO_T1: _probe_qcrypto_t1,
}
