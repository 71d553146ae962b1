"""Read the 32-bit words of S-Fifteen recordings from binary or hexadecimal files, in bounded pieces.

`sfifteen` reads through it. It knows where words lie in a file and nothing of their meaning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import FormatError
from faintlink.core.formats.detection import FormatName

T1_HEADER_BYTES = 20
T1_TERMINATOR_BYTES = 8
_DIGITS = {FormatName.S15_A0: 8, FormatName.S15_A0_LEGACY: 8, FormatName.S15_A2: 16}

Words = npt.NDArray[np.uint32]


def _nibble_table() -> npt.NDArray[np.uint8]:
    table = np.full(256, 255, np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        table[ord(digit)] = table[ord(digit.upper())] = value
    return table


_NIBBLES = _nibble_table()


@dataclass(frozen=True, slots=True)
class SourceWords:
    """Where the stamps of a file lie."""

    path: Path
    """The file."""
    count: int
    """Stamps in it."""
    columns: int
    """32-bit words of a stamp."""
    start: int
    """Byte of the first stamp."""
    digits: int
    """Hexadecimal digits of a line; 0 in a binary file."""
    line_bytes: int
    """Bytes of a line with its end; 0 in a binary file."""

    def chunks(self, stamps: int) -> Iterator[Words]:
        """Yield (n, columns) uint32 words of at most ``stamps`` stamps at a time.

        Raises
        ------
        FormatError
            A line is not hexadecimal, or the file shrank while it was read.
        """
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            for first in range(0, self.count, stamps):
                number = min(stamps, self.count - first)
                wanted = number * self._stamp_bytes
                data = stream.read(wanted)
                if self.digits:
                    yield self._from_lines(data, number, first)
                elif len(data) != wanted:
                    raise FormatError(f"{wanted - len(data)} bytes fewer than the size said")
                else:
                    yield np.frombuffer(data, "<u4").reshape(-1, self.columns)

    @property
    def _stamp_bytes(self) -> int:
        return self.line_bytes * (self.columns * 8 // self.digits) if self.digits else 4 * self.columns

    def _from_lines(self, data: bytes, number: int, first: int) -> Words:
        end = self.line_bytes - self.digits
        missing = number * self._stamp_bytes - len(data)
        # Only the end of the last line may be missing.
        if 0 < missing <= end:
            data += b"\r\n"[-end:][-missing:] if data[-1:] != b"\r" else b"\n"
        if len(data) != number * self._stamp_bytes:
            raise FormatError(f"the text ends inside time stamp {first + len(data) // self._stamp_bytes}")
        lines = np.frombuffer(data, np.uint8).reshape(-1, self.line_bytes)
        nibbles = _NIBBLES[lines[:, : self.digits]]
        if np.any(nibbles > 15) or np.any(lines[:, -1] != ord("\n")):
            bad = int(np.argmax(np.any(nibbles > 15, axis=1) | (lines[:, -1] != ord("\n"))))
            line = first * self._stamp_bytes // self.line_bytes + bad + 1
            raise FormatError(f"line {line} is not {self.digits} hexadecimal digits", line=line)
        packed = (nibbles[:, ::2] << 4) | nibbles[:, 1::2]
        return packed.reshape(-1).view(">u4").astype(np.uint32).reshape(-1, self.columns)


def words_of(path: Path, format: FormatName, columns: int) -> SourceWords:  # noqa: A002 - as on the command line
    """Return where the stamps of a file lie.

    Raises
    ------
    FormatError
        Its size is not that of whole stamps.
    """
    size = path.stat().st_size
    if format is FormatName.QCRYPTO_T1:
        return _epoch_words(path, size)
    digits = _DIGITS.get(format, 0)
    if not digits:
        return _binary_words(path, size, columns)
    with path.open("rb") as stream:
        head = stream.read(digits + 2)
    line_bytes = digits + 2 if head[digits : digits + 1] == b"\r" else digits + 1
    lines = (size + 2) // line_bytes if line_bytes == digits + 2 else (size + 1) // line_bytes
    if size < lines * line_bytes - (line_bytes - digits) or size > lines * line_bytes or not lines:
        raise FormatError(f"{size} bytes are not whole lines of {digits} hexadecimal digits", hint=_CUT)
    count, odd = divmod(lines * digits // 8, columns)
    if odd:
        raise FormatError(f"{lines} lines are not whole time stamps of {columns} lines", hint=_CUT)
    return SourceWords(path, count, columns, 0, digits, line_bytes)


_CUT = "the recording was cut short, or is of another format"


def _binary_words(path: Path, size: int, columns: int) -> SourceWords:
    count, odd = divmod(size, 4 * columns)
    if odd or not count:
        raise FormatError(f"{size} bytes are not whole time stamps of {4 * columns} bytes", hint=_CUT)
    return SourceWords(path, count, columns, 0, 0, 0)


def _epoch_words(path: Path, size: int) -> SourceWords:
    with path.open("rb") as stream:
        header = stream.read(T1_HEADER_BYTES)
    if len(header) < T1_HEADER_BYTES:
        raise FormatError(f"a type-1 epoch file has a header of {T1_HEADER_BYTES} bytes, this one ends at {size}")
    tag, _, length, bits, base_bits = np.frombuffer(header, "<i4").tolist()
    if tag not in (1, 0x101) or (bits, base_bits) != (49, 4):
        raise FormatError(f"not a type-1 epoch file of 49 + 4 bits: tag {tag}, {bits} + {base_bits} bits")
    present, odd = divmod(size - T1_HEADER_BYTES - T1_TERMINATOR_BYTES, 8)
    if odd or present < 0 or length not in (0, present):
        raise FormatError(f"the header counts {length} events, the file holds {present}", hint=_CUT)
    with path.open("rb") as stream:
        stream.seek(size - T1_TERMINATOR_BYTES)
        if any(stream.read(T1_TERMINATOR_BYTES)):
            raise FormatError("the epoch file does not end with a terminator of zeros", hint=_CUT)
    return SourceWords(path, present, 2, T1_HEADER_BYTES, 0, 0)
