"""Which blocks a node ever began: on the disk before the first word of each, so that none is begun twice.

A block's bases, test bits and parities are spoken only once. A node that dies in a block has disclosed something of
it, which a second try would not know of; so the block is lost, and both nodes go on with the next.

The file holds one line per block, ``began <number> <crc32>``; a line that a crash cut off counts as begun.
"""

import os
import zlib
from pathlib import Path

from faintlink.core.errors import CorruptBlockError, LocalProtocolError


class BlockJournal:
    """The blocks that one node began, of one run.

    Parameters
    ----------
    path
        Of the file; made when it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        last = _last_of(path) if path.exists() else -1
        self._next = last + 1

    @property
    def next_block(self) -> int:
        """First block that was never begun."""
        return self._next

    def begin(self, number: int) -> None:
        """Note, durably, that a block begins.

        Raises
        ------
        LocalProtocolError
            It, or one after it, was begun before.
        """
        if number < self._next:
            raise LocalProtocolError(
                f"block {number} was begun before, next is {self._next}", hint="a block is never distilled twice"
            )
        _append(self._path, number)
        self._next = number + 1


def _append(path: Path, number: int) -> None:
    text = f"began {number}"
    with path.open("ab", buffering=0) as file:
        file.write(f"{text} {zlib.crc32(text.encode()):08x}\n".encode())
        os.fsync(file.fileno())


def _last_of(path: Path) -> int:
    lines = path.read_bytes().split(b"\n")
    *whole, rest = lines
    last = -1
    for at, line in enumerate(whole, 1):
        last = max(last, _number(path, at, line))
    if rest:
        # Cut off by a crash: the word was not said, but its number may have been chosen.
        last += 1
        os.truncate(path, path.stat().st_size - len(rest))
        _append(path, last)
    return last


def _number(path: Path, at: int, line: bytes) -> int:
    try:
        word, number, crc = line.decode("ascii").split(" ")
        if word != "began" or int(crc, 16) != zlib.crc32(f"began {number}".encode()):
            raise ValueError(line)
        return int(number)
    except ValueError as error:
        raise CorruptBlockError(
            f"{path}, line {at}: no entry of a journal of blocks",
            hint="begin a new run: with a damaged journal, blocks could be distilled twice",
        ) from error
