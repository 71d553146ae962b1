"""Rates at which the drivers of time taggers deliver blocks, against the rates of the devices.

Run by ``python -m tests.benchmarks taggers``. The MultiHarp driver reads prepared T2 records through its own ReadFiFo
path on one core, every tag into fresh int64 and uint8 arrays; the peer is ptufile on the same records. The TDC drivers
read a pseudo-terminal that another process fills.
"""

import ctypes
import importlib.metadata
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import serial

from faintlink.core.formats.ptu_writer import write_ptu_t2
from faintlink.core.formats.sfifteen import LAYOUTS, encode_stamps
from faintlink.core.tags import TagBlock
from faintlink.instruments.emulators.kit.device import Session
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.picoquant import FakePicoQuant, t2_records
from faintlink.instruments.emulators.sfifteen_tdc import EmulatedTDC, TDCSession
from tests.benchmarks.harness import Row, interleaved
from tests.taggers import played, random_tags

Result = TypeVar("Result")
RECORDS = 20_000_000
STAMPS = 10_000_000
REPEATS = 3
_BURST_BYTES = 8_000_000
STEPS_PS = {"TDC1": 2000, "TDC2": 1000}


class PreparedFifo(FakePicoQuant):
    """A library whose FIFO always holds the next of many prepared records."""

    def __init__(self, records: npt.NDArray[np.uint32]) -> None:
        super().__init__(played(TagBlock.empty()))
        self._records = records
        self._next = 0

    def StartMeas(self, device: int, duration_ms: int) -> int:
        """Begin with the first record."""
        self._next = 0
        return super().StartMeas(device, duration_ms)

    def ReadFiFo(self, device: int, buffer: Any, *rest: Any) -> int:
        """Copy the next records, as the maker's library does."""
        limit = int(rest[0]) if len(rest) == 2 else 1 << 20
        part = self._records[self._next : self._next + limit]
        self._next += limit
        ctypes.memmove(buffer, part.ctypes.data, part.nbytes)
        rest[-1][0] = len(part)
        return 0


def _harp_row(model: str, kind: Any, truth: TagBlock, records: npt.NDArray[np.uint32], path: Path) -> Row:
    import ptufile

    harp = kind(f"bench_{model}", library=PreparedFifo(records))

    def ours(*, keeps: bool = False) -> list[TagBlock]:
        stream = harp.stream()
        stream.start()
        count, kept = 0, []
        while count < len(truth):
            block = stream.read(0.1)
            count += len(block)
            if keeps:
                kept.append(block)
        stream.stop()
        return kept

    def peer() -> int:
        with ptufile.PtuFile(path) as recording:
            return len(recording.decode_records())

    blocks = ours(keeps=True)
    same = np.array_equal(np.concatenate([block.times_ps for block in blocks]), truth.times_ps)
    mine, theirs = interleaved(ours, peer, repeats=REPEATS)
    harp.close()
    return Row(
        f"{model} ReadFiFo to TagBlocks, {len(truth) / 1e6:.0f} M tags",
        len(truth) / mine / 1e6,
        len(truth) / theirs / 1e6,
        "Mtags/s",
        f"ptufile {importlib.metadata.version('ptufile')} (whole file)",
        "40 sustained on one core",
        f"times {'equal' if same else 'DIFFER'}",
    )


class PreparedTDC(EmulatedTDC):
    """A TDC that sends the stamps of all its tags from memory, so that encoding is not measured."""

    def __init__(self, tags: TagBlock, model: str) -> None:
        super().__init__(played(tags), model=model)
        layout = LAYOUTS[self.format]
        patterns = (np.uint8(1) << (tags.channels - 1)).astype(np.uint8)
        self.stamps = encode_stamps((tags.times_ps << layout.shift) // layout.multiplier, patterns, self.format)

    def session(self) -> Session:
        """Return a connection that sends what is prepared."""
        return _PreparedSession(self)


class _PreparedSession(TDCSession):
    """Sends the stamps once the stream was started."""

    def __init__(self, device: PreparedTDC) -> None:
        super().__init__(device)
        self._tdc, self._at = device, 0

    def pending(self) -> bytes:
        """Return the next stamps."""
        if self._tdc.read() is None:
            return b""
        at, self._at = self._at, self._at + _BURST_BYTES
        return self._tdc.stamps[at : self._at]


def serve(model: str, connection: Connection) -> None:
    """Play stamps on a pseudo-terminal until told to end; runs in a process of its own."""
    tags = random_tags(STAMPS, step_ps=STEPS_PS[model], mean_steps=100)
    with PtyServer(PreparedTDC(tags, model)) as server:
        connection.send(server.address)
        connection.recv()


def _tdc_rate(address: str, kind: Any) -> tuple[float, float, bool]:
    """Return Mtags/s of wall time and of the driver's processor time, and whether every tag came."""
    tagger = kind("bench_tdc", address)
    stream = tagger.stream()
    stream.start()
    wall, busy = time.perf_counter(), time.process_time()
    count = 0
    while count < STAMPS - 10_000:
        count += len(stream.read(0.1))
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    early = count
    stream.stop()
    count += len(stream.read(0.0))
    tagger.close()
    return early / wall / 1e6, early / busy / 1e6, count == STAMPS


def _raw_rate(address: str, stamp_bytes: int) -> float:
    """Return the Mtags/s at which the bytes of the stamps can be read from the port at all, undecoded."""
    with serial.Serial(address, timeout=0.1) as port:
        port.write(b"time 0;timestamp;counts?\r\n")
        began, count = time.perf_counter(), 0
        while count < STAMPS * stamp_bytes:
            count += len(port.read(max(1, port.in_waiting)))
        wall = time.perf_counter() - began
        port.write(b"abort\r\n")
    return STAMPS / wall / 1e6


def _tdc_row(model: str, kind: Any) -> Row:
    raw: list[float] = []
    results = []
    for _ in range(REPEATS):
        raw.append(_with_tdc(model, lambda address: _raw_rate(address, 4 if model == "TDC1" else 8)))
        results.append(_with_tdc(model, lambda address: _tdc_rate(address, kind)))
    busy = statistics.median(rate for _, rate, _ in results)
    return Row(
        f"{model} over a pseudo-terminal, {STAMPS / 1e6:.0f} M tags",
        statistics.median(rate for rate, _, _ in results),
        statistics.median(raw),
        "Mtags/s",
        "pyserial, undecoded",
        "5 sustained",
        f"{busy:.1f} of the driver's own processor time; {'every tag came' if all(r[2] for r in results) else 'LOST'}",
    )


def _with_tdc(model: str, measure: Callable[[str], Result]) -> Result:
    """Return what is measured at the port of a TDC that another process plays."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(model, there))
    process.start()
    try:
        return measure(here.recv())
    finally:
        here.send(None)
        process.join()


def run() -> list[Row]:
    """Return one row a driver."""
    from faintlink.drivers.timetaggers.picoquant_hhlib import PicoQuantHydraHarp
    from faintlink.drivers.timetaggers.picoquant_mhlib import PicoQuantMultiHarp
    from faintlink.drivers.timetaggers.sfifteen_tdc import SFifteenTDC1, SFifteenTDC2

    truth = random_tags(RECORDS, step_ps=5, mean_steps=1000)
    records, _ = t2_records(truth, resolution_ps=5, wraps_done=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "same.ptu"
        write_ptu_t2(path, [truth], resolution_ps=5)
        rows = [
            _harp_row(model, kind, truth, records, path)
            for model, kind in (("MultiHarp", PicoQuantMultiHarp), ("HydraHarp", PicoQuantHydraHarp))
        ]
    return [*rows, _tdc_row("TDC1", SFifteenTDC1), _tdc_row("TDC2", SFifteenTDC2)]
