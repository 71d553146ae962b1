"""Open an HDF5 file that its writer never closed, without changing a byte of it.

A writer killed in SWMR mode leaves the "open for writing" flag set and an end-of-file address that is older than
the data. The usual advice, ``h5clear -s``, drops the flag and keeps the stale address, after which the file cannot
be read and is overwritten by the next writer. Here the repaired superblock lies over the file in memory only.

Sources: HDF5 File Format Specification version 3.0, section II.A (superblock versions 2 and 3); the checksum is
Bob Jenkins' lookup3 (public domain, 2006).
"""

import io
import os
import struct
from pathlib import Path

from faintlink.core.errors import SchemaError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SIZE = 48
_FLAGS_AT = 11
_SWMR_FLAG = 0x04
_EOF_AT = 28
_CHECKSUM_AT = 44
_MASK = 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """Return Jenkins' lookup3 hash ``hashlittle(data, 0)`` as HDF5 uses it for metadata checksums."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    offset = 0
    while len(data) - offset > 12:
        a, b, c = (x + y & _MASK for x, y in zip((a, b, c), struct.unpack_from("<3I", data, offset), strict=True))
        a, b, c = _mix(a, b, c)
        offset += 12
    tail = data[offset:]
    if not tail:
        return c
    a, b, c = (x + y & _MASK for x, y in zip((a, b, c), struct.unpack("<3I", tail.ljust(12, b"\0")), strict=True))
    return _final(a, b, c)


def _rotate(x: int, k: int) -> int:
    return (x << k | x >> (32 - k)) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for shift in (4, 6, 8, 16, 19, 4):
        a = (a - c & _MASK) ^ _rotate(c, shift)
        c = c + b & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for shift in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotate(b, shift) & _MASK
        a, b, c = b, c, a
    return b


def is_marked_for_swmr(path: Path) -> bool:
    """Return whether a sound superblock says that a SWMR writer has the file open, or had it when it died."""
    with path.open("rb") as file:
        head = file.read(_SIZE)
    if len(head) < _SIZE or not head.startswith(SIGNATURE) or head[8] not in (2, 3):
        return False
    sound = struct.unpack_from("<I", head, _CHECKSUM_AT)[0] == lookup3(head[:_CHECKSUM_AT])
    return sound and bool(head[_FLAGS_AT] & _SWMR_FLAG)


class RepairedFile(io.RawIOBase):
    """A read-only view of a file with its superblock mended; reads beyond the true end give zeros.

    Raises
    ------
    SchemaError
        The file is no HDF5 file with a superblock of version 2 or 3.
    """

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        self._position = 0
        actual = os.fstat(self._raw.fileno()).st_size
        head = self._raw.read(_SIZE)
        if len(head) < _SIZE or not head.startswith(SIGNATURE) or head[8] not in (2, 3):
            self._raw.close()
            raise SchemaError(
                f"{path} does not begin with an HDF5 superblock of version 2 or 3",
                hint="only files written by faintlink can be recovered",
                path=str(path),
            )
        stored = struct.unpack_from("<Q", head, _EOF_AT)[0]
        # A stored end far beyond the file is damage, not truncation; do not let it make us read for ever.
        self.size = max(stored, actual) if stored < 4 * actual + (1 << 30) else actual
        self._head = _mended(head, self.size)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # io's Buffer protocol
        """Fill ``buffer`` from the mended file."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._position))
        self._raw.seek(self._position)
        data = self._raw.read(wanted).ljust(wanted, b"\0")
        if self._position < _SIZE:
            data = self._head[self._position : self._position + wanted] + data[_SIZE - self._position :]
            data = data[:wanted]
        view[:wanted] = data
        self._position += wanted
        return wanted

    def close(self) -> None:
        """Close the file below."""
        self._raw.close()
        super().close()


def _mended(head: bytes, size: int) -> bytes:
    fixed = bytearray(head)
    fixed[_FLAGS_AT] = 0
    struct.pack_into("<Q", fixed, _EOF_AT, size)
    struct.pack_into("<I", fixed, _CHECKSUM_AT, lookup3(bytes(fixed[:_CHECKSUM_AT])))
    return bytes(fixed)
