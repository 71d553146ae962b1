"""An emulated Kiwi card: a register file and named pipes in a folder, as its kernel driver would show them.

Sources: as the driver, `faintlink.drivers.timetaggers.veriqloud_kiwi`.
"""

import contextlib
import mmap
import os
import struct
import threading
import time
from pathlib import Path

import numpy as np

from faintlink.core.tags import TagBlock
from faintlink.drivers.timetaggers import veriqloud_kiwi_codec as codec
from faintlink.drivers.timetaggers.veriqloud_kiwi_codec import COUNT_OFFSETS, COUNTS, FIFO_STATUS, GC, MAP_BYTES, START
from faintlink.instruments.emulators.kit.closing import ClosedAtExit
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.roles import TagStream

_TURN_S = 0.002


class EmulatedKiwi(ClosedAtExit):
    """A card in a folder.

    Parameters
    ----------
    folder
        Where its files are made.
    source
        Where its tags come from; channels 1 and 2 are its detectors.
    records
        ``clicks`` or ``time-tags``.
    """

    def __init__(self, folder: Path, source: TagSource, *, records: str = "clicks") -> None:
        self.registers = folder / "user"
        self.clicks = folder / "c2h_1"
        self.registers.write_bytes(bytes(MAP_BYTES))
        os.mkfifo(self.clicks)
        with self.registers.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), MAP_BYTES)
        self._source = source
        self._records = records
        self._running: TagStream | None = None
        self._pipe = -1
        self._stop = threading.Event()
        self._is_cut = False
        self.inject: list[bytes] = []
        """Bytes to send before the next records."""
        self.lose_bytes = 0
        """Bytes to swallow at the start of the next records."""
        self._thread = threading.Thread(target=self._work, name="emulator-kiwi", daemon=True)
        self._thread.start()

    def set_fifo_status(self, flags: int) -> None:
        """Show buffer flags."""
        struct.pack_into("<I", self._map, GC + FIFO_STATUS, flags)

    def cut(self) -> None:
        """Close the pipe, as when the card is gone."""
        self._is_cut = True

    def _work(self) -> None:
        while not self._stop.is_set():
            (is_started,) = struct.unpack_from("<I", self._map, GC + START)
            if is_started and self._running is None and not self._is_cut:
                self._begin()
            if not is_started or self._is_cut:
                self._end()
            if self._running is None:
                time.sleep(_TURN_S)
            else:
                self._send(self._running.read(0.01))
        self._end()

    def _begin(self) -> None:
        with contextlib.suppress(OSError):
            self._pipe = os.open(self.clicks, os.O_WRONLY | os.O_NONBLOCK)
            self._running = self._source()
            self._running.start()

    def _end(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None
            os.close(self._pipe)

    def _send(self, block: TagBlock) -> None:
        data = b"".join(self.inject) + self._encoded(block)[self.lose_bytes :]
        self.inject.clear()
        if len(block):
            self.lose_bytes = 0
        view = memoryview(data)
        if not view:
            time.sleep(_TURN_S)
        while view and not self._stop.is_set() and not self._is_cut and self._map[GC + START]:
            try:
                view = view[os.write(self._pipe, view[:65536]) :]
            except BlockingIOError:
                time.sleep(_TURN_S)
            except BrokenPipeError:
                return

    def _encoded(self, block: TagBlock) -> bytes:
        slots, arrivals = np.divmod(block.times_ps, codec.SLOT_PS)
        results = ((block.channels - 1) & 1).astype(np.uint8)
        (before,) = struct.unpack_from("<I", self._map, COUNTS + COUNT_OFFSETS[0])
        struct.pack_into("<I", self._map, COUNTS + COUNT_OFFSETS[0], (before + len(block)) & 0xFFFFFFFF)
        if self._records == "clicks":
            return codec.encode_clicks(slots, results)
        return codec.encode_time_tags(codec.Clicks(slots, results, arrivals))

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=2.0)
