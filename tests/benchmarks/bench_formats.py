"""Rates of the recording codecs against ptufile and tttrlib, with the results compared in the same run.

Run by ``python -m tests.benchmarks.bench_formats`` from the repository root. Every row reads files from the page
cache. Ours includes opening, reading in pieces and checking the order. The peers know only the whole recording in
memory and pay for that memory, so ours is timed both ways: "streamed", block by block, and "whole", into two arrays.
"""

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.formats.detection import FormatName
from faintlink.core.formats.ptu_header import read_header
from faintlink.core.formats.ptu_writer import write_ptu_t2
from faintlink.core.formats.recording import open_recording
from faintlink.core.formats.sfifteen import encode_stamps
from faintlink.core.tags import TagBlock
from tests.benchmarks.harness import Row, interleaved
from tests.data import shared_data

WRITTEN_TAGS = 19_000_000
REPEATS_OF_REAL_FILE = 50
STAMPS = 4_000_000
MEAN_GAP_PS = 2_600_000
OVERFLOW = bytes([1, 0, 0, 0xFE])

_Arrays = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]


def _version(name: str) -> str:
    return f"{name} {importlib.metadata.version(name)}"


def _ours(path: Path) -> int:
    """Decode everything as a consumer does: each block is dropped before the next."""
    return sum(len(block) for block in open_recording(path).blocks())


def _ours_whole(path: Path) -> _Arrays:
    """Decode everything into two arrays, as the peers do."""
    block = open_recording(path).read()
    return block.times_ps, block.channels


def _ptufile(path: Path) -> npt.NDArray[np.void]:
    import ptufile

    with ptufile.PtuFile(path) as recording:
        records: npt.NDArray[np.void] = recording.decode_records()
    return records


def _tttrlib(path: Path) -> object:
    import tttrlib

    return tttrlib.TTTR(str(path), "PTU")


def _agrees(path: Path, *, peer: str) -> str:
    times_ps, channels = _ours_whole(path)
    if peer == "ptufile":
        records = _ptufile(path)
        photon = records["channel"] >= 0
        theirs_ps, theirs = records["time"][photon], records["channel"][photon]
    else:
        import tttrlib

        recording = tttrlib.TTTR(str(path), "PTU")
        theirs_ps, theirs = np.asarray(recording.macro_times), np.asarray(recording.routing_channels)
    same = len(times_ps) == len(theirs_ps) and bool(np.all(theirs_ps.astype(np.int64) == times_ps))
    same = same and bool(np.all(theirs.astype(np.int64) + 1 == channels))
    return f"{len(times_ps)} times and channels {'equal' if same else 'DIFFER'}"


def _written_blocks(rng: np.random.Generator) -> Iterator[TagBlock]:
    # Gaps below 2**25 ps * 127: ptufile 2026.2.6 loses the upper bits of longer ones.
    start_ps = 0
    for first in range(0, WRITTEN_TAGS, 1_000_000):
        count = min(1_000_000, WRITTEN_TAGS - first)
        times_ps = start_ps + np.cumsum(rng.geometric(1 / MEAN_GAP_PS, count)).astype(np.int64)
        start_ps = int(times_ps[-1])
        yield TagBlock(times_ps, rng.integers(1, 9, count).astype(np.uint8))


def _repeat_real(target: Path) -> int:
    """Write the real recording's records many times over behind its own header; return the records.

    An overflow record between two copies keeps the times from running backwards there.
    """
    source = shared_data("time_tags/hydraharp400_t2_hbt_320MHz.ptu")
    with source.open("rb") as stream:
        header = read_header(stream)
    content = source.read_bytes() + OVERFLOW
    head, body = content[: header.records_offset], content[header.records_offset :]
    records = len(body) // 4
    at = head.index(b"TTResult_NumberOfRecords") + 40
    head = head[:at] + (records * REPEATS_OF_REAL_FILE).to_bytes(8, "little") + head[at + 8 :]
    target.write_bytes(head + body * REPEATS_OF_REAL_FILE)
    return records * REPEATS_OF_REAL_FILE


def _t2_rows(path: Path, records: int, what: str) -> Iterator[Row]:
    peers: tuple[tuple[str, Callable[[Path], object], str], ...] = (
        ("ptufile", _ptufile, ">= 1.5x"),
        ("tttrlib", _tttrlib, ">= 4x"),
    )
    for peer, read, asked in peers:
        agreement = _agrees(path, peer=peer)
        for manner, ours in (("streamed", _ours), ("whole", _ours_whole)):
            ours_s, peer_s = interleaved(partial(ours, path), partial(read, path), repeats=5)
            yield Row(
                f"T2 decode incl. file read, {manner}, {what}, {records / 1e6:.1f} M records",
                records / ours_s / 1e6,
                records / peer_s / 1e6,
                "Mrecords/s",
                _version(peer),
                asked,
                agreement,
            )


def _stamps_row(path: Path) -> Row:
    rng = np.random.default_rng(54)
    units = np.cumsum(rng.integers(1, 60_000, STAMPS)) + 2**53
    patterns = (1 << rng.integers(0, 4, STAMPS)).astype(np.uint8)
    path.write_bytes(encode_stamps(units, patterns, FormatName.S15_A1))
    times_ps, channels = _ours_whole(path)
    expected_ps = (units // 32) * 125 + ((units % 32) * 125 + 16) // 32
    same = np.array_equal(times_ps, expected_ps) and np.array_equal(1 << (channels - 1), patterns)
    ours_s, _ = interleaved(lambda: _ours(path), lambda: None, repeats=5)
    return Row(
        f"S-Fifteen a1 decode incl. file read, {STAMPS / 1e6:.0f} M stamps",
        STAMPS / ours_s / 1e6,
        float("nan"),
        "Mtags/s",
        "none",
        "no peer in the run",
        f"{STAMPS} times and channels {'equal' if same else 'DIFFER'} to what was written",
    )


def run() -> list[Row]:
    """Return the rows of this page."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "written.ptu")
        records = write_ptu_t2(written, _written_blocks(np.random.default_rng(2)))
        rows = list(_t2_rows(written, records, "generic records"))
        written.unlink()
        real = Path(folder, "real.ptu")
        rows += _t2_rows(real, _repeat_real(real), "HydraHarp recording repeated")
        real.unlink()
        return [*rows, _stamps_row(Path(folder, "stamps"))]


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.1f} vs {row.peer_name} {row.peer:.1f} {row.unit} = {row.ratio:.2f}x")
        print(f"    asked {row.asked}; {row.note}")
