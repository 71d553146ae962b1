"""Registers and click stream of the VeriQloud Kiwi card: mapped memory, and a character device read in a thread.

Used by `veriqloud_kiwi` through `ClickCard`. A read of the card's device may block for ever, so that a thread of its
own does it and hands the bytes on through a bounded queue.

Sources: as `faintlink.drivers.timetaggers.veriqloud_kiwi`.
"""

import mmap
import os
import queue
import select
import struct
import threading
import time
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np

from faintlink.core.errors import ConnectionLostError, FormatError
from faintlink.core.tags import GapCause, TagBlock, concatenate
from faintlink.core.units import Slots
from faintlink.drivers.timetaggers import veriqloud_kiwi_codec as codec
from faintlink.drivers.timetaggers.stream import DeviceStream

_READ_BYTES = 1 << 20
_QUEUE_READS = 64
_POLL_S = 0.05
_RESYNC_RECORDS = 8
REORDER_SLOTS = 80_000
"""Slots by which a click may come late: 1 ms."""
LONGEST_SILENCE_SLOTS = 1 << 33
"""Slots without a click, 107 s, after which a click is looked at twice."""


class Records(StrEnum):
    """What a card's click stream holds."""

    CLICKS = "clicks"
    """Click records: slots only."""
    TIME_TAGS = "time-tags"
    """Time-tag words: arrivals within the slot too."""


class KiwiRegisters:
    """32-bit little-endian registers of a mapped file.

    Raises
    ------
    ConnectionLostError
        The file cannot be mapped.
    """

    def __init__(self, path: str) -> None:
        try:
            with Path(path).open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), codec.MAP_BYTES)
        except (OSError, ValueError) as error:
            raise ConnectionLostError(
                f"{path} cannot be mapped: {error}",
                hint="check that the card is in its slot, its kernel driver is loaded, and the rights on the device",
                address=path,
            ) from error

    def read(self, address: int) -> int:
        """Return a register."""
        (value,) = struct.unpack_from("<I", self._map, address)
        return int(value)

    def write(self, address: int, value: int) -> None:
        """Set a register."""
        struct.pack_into("<I", self._map, address, value)

    def close(self) -> None:
        """Unmap."""
        self._map.close()


class _Reader(threading.Thread):
    """Reads a character device, whose reads may block for ever, into a bounded queue."""

    def __init__(self, handle: int) -> None:
        super().__init__(name="kiwi-clicks", daemon=True)
        self._handle = handle
        self._ended = threading.Event()
        self.chunks: queue.Queue[bytes] = queue.Queue(_QUEUE_READS)
        self.error: OSError | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self._ended.is_set():
                ready, _, _ = select.select([self._handle], [], [], _POLL_S)
                if ready:
                    self._put(os.read(self._handle, _READ_BYTES))
        except OSError as error:
            self.error = error
        finally:
            os.close(self._handle)

    def _put(self, data: bytes) -> None:
        if not data:
            raise OSError("the device was closed at its other end")
        while not self._ended.is_set():
            try:
                self.chunks.put(data, timeout=_POLL_S)
                return
            except queue.Full:
                continue

    def end(self) -> None:
        self._ended.set()
        # A read that blocks in the kernel driver cannot be ended from here; the thread is a daemon.
        self.join(timeout=1.0)


class ClickCard(Protocol):
    """What the stream needs of the card."""

    records: Records

    @property
    def full_name(self) -> str:
        """Name of the instrument."""
        ...

    def begin_stream(self) -> int:
        """Start the card and return the open click file."""
        ...

    def end_stream(self) -> None:
        """Let the card record no more."""
        ...

    def has_overflowed(self) -> bool:
        """Return whether a buffer of the card is full now."""
        ...


class KiwiStream(DeviceStream):
    """A stream of clicks.

    Raises
    ------
    ConnectionLostError
        On reading: the device file is gone.
    """

    def __init__(self, card: ClickCard) -> None:
        super().__init__()
        self._card = card
        self._decode = codec.decode_clicks if card.records is Records.CLICKS else codec.decode_time_tags
        self._bytes = b""
        self._last_slot: int | None = None
        self._reader: _Reader | None = None

    def _begin(self) -> None:
        self._reader = _Reader(self._card.begin_stream())

    def _collect(self, timeout_s: float) -> TagBlock:
        reader = self._reader
        if reader is None:
            return TagBlock.empty()
        try:
            self._bytes += reader.chunks.get(timeout=timeout_s) if timeout_s > 0 else reader.chunks.get_nowait()
            while not reader.chunks.empty():
                self._bytes += reader.chunks.get_nowait()
        except queue.Empty:
            if reader.error is not None:
                raise ConnectionLostError(
                    f"{self._card.full_name}: the click stream ended: {reader.error}",
                    hint="check the card and its kernel driver; the card may have been reset",
                    device=self._card.full_name,
                ) from reader.error
        return self._block()

    def _block(self) -> TagBlock:
        before_ps = self.tags.last_ps
        size = len(self._bytes) // codec.RECORD_BYTES * codec.RECORD_BYTES
        clicks, used = self._decoded(size)
        self._bytes = self._bytes[used:]
        block = TagBlock.empty()
        if clicks.slots.size:
            slots = codec.unwrapped(clicks.slots, self._last_slot)
            self._last_slot = int(slots[-1])
            times_ps = slots * codec.SLOT_PS + clicks.arrivals_ps
            block = self.tags.block(times_ps, clicks.results + clicks.results.dtype.type(1))
        if self._card.has_overflowed():
            self.tags.lose(GapCause.DEVICE_OVERFLOW, since_ps=before_ps)
        return block

    def _decoded(self, size: int) -> tuple[codec.Clicks, int]:
        """Decode whole records; after a damaged one, look for the next byte from which some in a row are right."""
        is_leap = False
        try:
            clicks = self._decode(self._bytes[:size])
            good = self._before_leap(clicks.slots)
            is_leap = True
        except FormatError as error:
            good = int(error.fields["record"])
        if is_leap and good * codec.RECORD_BYTES == size:
            return clicks, size
        if good:
            size = good * codec.RECORD_BYTES
            return self._decode(self._bytes[:size]), size
        self.tags.lose(GapCause.RECORD_DAMAGED)
        # A leap may also follow a long silence: then the records are right where they are.
        return self._decode(b""), self._next_right(0 if is_leap else 1)

    def _before_leap(self, slots: Slots) -> int:
        """Return how many slots come before one that is far from the one before it."""
        whole = codec.unwrapped(slots, self._last_slot)
        steps = np.diff(whole, prepend=whole[:1] if self._last_slot is None else np.int64(self._last_slot))
        leaps = (steps < -REORDER_SLOTS) | (steps > LONGEST_SILENCE_SLOTS)
        return int(np.argmax(leaps)) if leaps.any() else len(slots)

    def _next_right(self, start: int) -> int:
        """Return the byte from which some records in a row are right, or before which none is.

        Shifted records can look right too: of those within a record's length, the one nearest to the last click is.
        """
        span = _RESYNC_RECORDS * codec.RECORD_BYTES
        found: list[tuple[int, int, int]] = []
        at = start
        end = len(self._bytes) - span + 1
        while at < end and (not found or at < found[0][1] + codec.RECORD_BYTES):
            first = self._right_slot(self._bytes[at : at + span])
            if first is not None:
                found.append((first - (self._last_slot or 0), at, first))
            at += 1
        if not found:
            return max(start, end - codec.RECORD_BYTES) if end > start else 0
        _, at, self._last_slot = min(found)
        return at

    def _right_slot(self, data: bytes) -> int | None:
        """Return the first slot of records in a row, if they are right."""
        try:
            slots = codec.unwrapped(self._decode(data).slots, self._last_slot)
        except FormatError:
            return None
        steps = np.diff(slots)
        is_later = self._last_slot is None or slots[0] >= self._last_slot
        if not is_later or steps.min() < 0 or steps.max() > LONGEST_SILENCE_SLOTS or slots[0] == slots[-1]:
            return None
        return int(slots[0])

    def _end(self) -> TagBlock:
        self._card.end_stream()
        time.sleep(_POLL_S)
        blocks = []
        reader = self._reader
        if reader is not None:
            while not reader.chunks.empty():
                blocks.append(self._collect(0.0))
            reader.end()
        left = 0
        while len(self._bytes) >= codec.RECORD_BYTES and len(self._bytes) != left:
            left = len(self._bytes)
            blocks.append(self._block())
        return concatenate([*blocks, self.tags.finish()])
