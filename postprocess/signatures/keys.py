"""Key bits of a link for signatures: each is handed out once, and booked before it is.

Signer, receiver and verifier open their own folders of distilled keys with it. A slice is booked with an fsync in
``qds-used.jsonl`` beside the keys before its bits are returned, so that a crash wastes bits and never repeats them.
The journal names slices and purposes, and no bits. It does not delete keys.

Sources: own design.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.errors import KeyExhaustedError, KeyUnknownError, MonitorVetoError, RecordReplayedError, SchemaError
from faintlink.postprocess.keystore import FileKeyStore

JOURNAL = "qds-used.jsonl"


@dataclass(frozen=True, slots=True)
class KeySlice:
    """A stretch of bits of one key, as both ends of a link name it."""

    key_id: str
    """Of the key."""
    first_bit: int
    """Where it starts."""
    bits: int
    """How long it is."""

    @property
    def end(self) -> int:
        """First bit behind it."""
        return self.first_bit + self.bits


@dataclass(frozen=True, slots=True)
class KeyPool:
    """The keys of one party on one link."""

    folder: Path
    """A store of keys."""
    is_rehearsal: bool = False
    """Whether keys that are marked unusable (simulated runs) may be taken; said so in every record."""

    def take(self, bits: int, purpose: str) -> tuple[int, tuple[KeySlice, ...]]:
        """Book fresh bits and return them as an integer, first bit lowest, with their names.

        Raises
        ------
        KeyExhaustedError
            Too few are left; nothing was booked.
        """
        with self._journal() as used:
            slices = tuple(self._fresh(used, bits))
            self._book(slices, purpose)
        return self._bits(slices), slices

    def take_named(self, slices: tuple[KeySlice, ...], purpose: str) -> int:
        """Book the bits that the other end names and return them.

        Raises
        ------
        RecordReplayedError
            Some of them were used before, or are named twice.
        KeyUnknownError
            Some are not in the store.
        """
        with self._journal() as used:
            for number, wanted in enumerate(slices):
                if wanted.bits < 1 or wanted.first_bit < 0 or wanted.end > self._size(wanted.key_id):
                    raise KeyUnknownError(f"key {wanted.key_id} has no bits {wanted.first_bit} to {wanted.end}")
                if any(_overlaps(wanted, other) for other in (*used, *slices[:number])):
                    raise RecordReplayedError(
                        f"bits {wanted.first_bit} to {wanted.end} of key {wanted.key_id} were used before",
                        hint="a signature is good once: ask the signer for a new one",
                    )
            self._book(slices, purpose)
        return self._bits(slices)

    def unused_bits(self) -> int:
        """Return how many bits are left."""
        with self._journal() as used:
            total = sum(self._size(key_id) for key_id in self._key_ids())
            return total - sum(taken.bits for taken in used)

    def _fresh(self, used: list[KeySlice], bits: int) -> Iterator[KeySlice]:
        left = bits
        for key_id in self._key_ids():
            # Bits of a key are taken from its start on; what the peer named further on is skipped.
            first = max((taken.end for taken in used if taken.key_id == key_id), default=0)
            free = min(left, self._size(key_id) - first)
            if free > 0:
                yield KeySlice(key_id, first, free)
                left -= free
            if not left:
                return
        raise KeyExhaustedError(
            f"the keys in {self.folder} hold {bits - left} unused bits, {bits} are needed",
            hint="distil more key of this link",
        )

    def _key_ids(self) -> list[str]:
        store = FileKeyStore(self.folder)
        return [key_id for key_id in store.key_ids() if self.is_rehearsal or self._is_usable(key_id)]

    def _is_usable(self, key_id: str) -> bool:
        return bool(FileKeyStore(self.folder).about(key_id).get("usable", False))

    def _size(self, key_id: str) -> int:
        if not self.is_rehearsal and not self._is_usable(key_id):
            raise MonitorVetoError(
                f"key {key_id} is marked unusable: it comes from a simulated or vetoed run",
                hint="sign with it in a rehearsal only",
            )
        return int(FileKeyStore(self.folder).about(key_id)["bits"])

    def _bits(self, slices: tuple[KeySlice, ...]) -> int:
        value = at = 0
        for part in slices:
            key = FileKeyStore(self.folder).get(part.key_id)
            text = f"{int.from_bytes(key.data, 'big'):0{8 * len(key.data)}b}"[part.first_bit : part.end]
            value |= int(text[::-1], 2) << at
            at += part.bits
        return value

    @contextmanager
    def _journal(self) -> Iterator[list[KeySlice]]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.folder / JOURNAL, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield [_booked(line, self.folder) for line in (self.folder / JOURNAL).read_text().splitlines()]
        finally:
            os.close(handle)

    def _book(self, slices: tuple[KeySlice, ...], purpose: str) -> None:
        lines = [
            json.dumps({"key_id": s.key_id, "first_bit": s.first_bit, "bits": s.bits, "purpose": purpose})
            for s in slices
        ]
        with (self.folder / JOURNAL).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())


def _overlaps(a: KeySlice, b: KeySlice) -> bool:
    return a.key_id == b.key_id and a.first_bit < b.end and b.first_bit < a.end


def _booked(line: str, folder: Path) -> KeySlice:
    try:
        entry = json.loads(line)
        return KeySlice(str(entry["key_id"]), int(entry["first_bit"]), int(entry["bits"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaError(
            f"{folder / JOURNAL} has a line that is no booking: {error}",
            hint="do not sign with keys whose use is unknown; put the store aside",
        ) from error
