"""Small run files for tests, and what they must read back as."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.runfile.schema import RunHeader, StreamSpec
from faintlink.core.runfile.writer import RunFileWriter
from faintlink.core.tags import GapCause, GapRecord, TagBlock

TAGS = StreamSpec("tags", "tags", instrument="tagger", serial="T7", resolution_ps=4.0, extra={"input": "fibre"})
EVENTS = StreamSpec("events", "events")
CONTEXT = {"link": "name: μ\n", "empty": ""}

Content = dict[str, list[tuple[bytes, bytes, tuple[GapRecord, ...]]]]


def header(party: str = "bob", *, run_id: str = "r1", segment: int = 0) -> RunHeader:
    """Return a header with fixed entries."""
    return RunHeader(run_id, party, "2026-01-02T03:04:05+00:00", "0.1.0", segment)


def tag_blocks(sizes: Sequence[int], *, seed: int = 1, gap_every: int = 3) -> list[TagBlock]:
    """Return blocks of these sizes that follow each other; every third carries a gap."""
    rng = np.random.default_rng(seed)
    blocks, now = [], 1000
    for number, size in enumerate(sizes):
        times = now + np.cumsum(rng.integers(0, 5000, size), dtype=np.int64)
        now = int(times[-1]) if size else now
        gaps = (GapRecord(now, now + 7, number, GapCause.BUFFER_FULL),) if number % gap_every == 0 else ()
        blocks.append(TagBlock(times, rng.integers(0, 5, size, dtype=np.uint8), gaps))
    return blocks


def write_file(path: Path, blocks: Sequence[TagBlock], *, seal: bool = True, **names: int | str) -> Path:
    """Write a run file with a stream of tags, one commit a block, and one event."""
    head = header(**names)  # type: ignore[arg-type]  # party, run_id or segment
    writer = RunFileWriter(path, header=head, streams=[TAGS, EVENTS], context=CONTEXT)
    writer.append("events", (np.array([5]), np.array([20], np.uint8), np.array([b"armed"], "S240")))
    for block in blocks:
        writer.append_tags("tags", block)
        writer.commit()
    if seal:
        writer.seal()
    else:
        writer.abandon()
    return path


def content(path: Path, *, repaired: bool = False) -> tuple[object, ...]:
    """Return everything a run file says, in a form that compares."""
    with RunFileReader(path, repaired=repaired) as reader:
        rows: Content = {
            name: [
                (block.columns[0].tobytes(), b"".join(c.tobytes() for c in block.columns[1:]), block.gaps)
                for block in stream.blocks()
            ]
            for name, stream in reader.streams.items()
        }
        specs = {name: stream.spec for name, stream in reader.streams.items()}
        losses = {name: stream.loss for name, stream in reader.streams.items()}
        return reader.header, specs, losses, dict(reader.context), rows


def chunk_offset(path: Path, dataset: str) -> int:
    """Return where the first chunk of a dataset lies in the file."""
    import h5py

    with h5py.File(path, "r") as file:
        return int(file[dataset].id.get_chunk_info(0).byte_offset)


def flip(path: Path, offset: int, mask: int = 0xFF) -> None:
    """Invert bits of one byte of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([old ^ mask]))
