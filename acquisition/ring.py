"""A bounded pool of blocks in shared memory between a thread of this process and the writer process.

`make_ring` gives two ends. The `RingProducer` copies a block of keys and codes (time tags, or a sender's
settings) into a free block of the pool and sends its number through a pipe; the `RingEnd` is attached in the
writer process, which gives the block back when it has written it. Nothing but numbers goes through the pipes.
When no block is free within a small bound, tags are dropped, counted, and the loss travels as a `GapRecord`
with the next block that goes through. A ring never decides what is worth keeping, and never blocks a tagger for
longer than its bound.
"""

import struct
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.ring_layout import GAPS_PER_BLOCK, RingLayout
from faintlink.core.errors import RunfileError
from faintlink.core.tags import GapCause, GapRecord, TagBlock

_DESCRIPTOR = struct.Struct("<III")
_NUMBER = struct.Struct("<I")


@dataclass(slots=True)
class RingEnd:
    """The writer's end of a ring; goes to the writer process as an argument and is attached there."""

    name: str
    """Of the shared memory."""
    layout: RingLayout
    descriptors: Connection
    """Readable when a block waits."""
    freed: Connection
    """Takes the numbers of blocks given back."""
    _memory: SharedMemory | None = None

    def attach(self) -> None:
        """Map the memory; call once, in the process that reads."""
        self._memory = SharedMemory(self.name)

    def take(self) -> tuple[int, TagBlock]:
        """Return the next block's number and its rows, as views that are valid until `give_back`.

        Raises
        ------
        EOFError
            The producer has closed its end, and every block was taken.
        """
        if self._memory is None:
            raise RunfileError("a ring's end must be attached before it is read")
        number, rows, gap_rows = _DESCRIPTOR.unpack(self.descriptors.recv_bytes(_DESCRIPTOR.size))
        gaps, keys, codes = self.layout.views(self._memory, number)
        return number, TagBlock(keys[:rows], codes[:rows], _gap_records(gaps[:gap_rows]))

    def give_back(self, number: int) -> None:
        """Return a block to the producer, if that still lives."""
        # When the producer died there is nobody to reuse the block.
        with suppress(BrokenPipeError):
            self.freed.send_bytes(_NUMBER.pack(number))

    def close_pipes(self) -> None:
        """Close this process's copies of the pipes, so that only the other process holds them."""
        self.descriptors.close()
        self.freed.close()

    def close(self) -> None:
        """Close the pipes and unmap the memory."""
        self.close_pipes()
        if self._memory is not None:
            self._memory.close()
            self._memory = None


class RingProducer:
    """The producing end of a ring; for one thread at a time.

    Parameters
    ----------
    memory, layout
        The pool.
    descriptors, freed
        The pipes to and from the `RingEnd`.
    wait_s
        Longest wait for a free block before tags are dropped. While the ring stays full, further blocks are
        dropped at once, so that the tagger is read on.
    """

    def __init__(
        self,
        memory: SharedMemory,
        layout: RingLayout,
        *,
        descriptors: Connection,
        freed: Connection,
        wait_s: float,
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._descriptors = descriptors
        self._freed = freed
        self._wait_s = wait_s
        self._free = deque(range(layout.blocks))
        self._pending: list[GapRecord] = []
        self._is_dropping = False
        self._is_linked = True
        self.passed = 0
        """Rows that went through."""
        self.blocks_passed = 0
        """Blocks that went through, with or without rows."""
        self.dropped = 0
        """Rows dropped because the ring was full."""
        self.gaps_passed = 0
        """Gap records that went through."""
        self.lost = 0
        """Rows known to be missing, by the records that went through."""

    @property
    def block_rows(self) -> int:
        """Rows that fit into one block."""
        return self._layout.block_rows

    @property
    def is_half_free(self) -> bool:
        """Whether more than half of the pool is free, so that a block may go before it is full."""
        self._collect(0.0)
        return len(self._free) > self._layout.blocks // 2

    @property
    def has_pending_gaps(self) -> bool:
        """Whether losses wait for a block to travel with."""
        return bool(self._pending)

    def put(self, block: TagBlock, *, wait_s: float | None = None) -> TagBlock | None:
        """Send a block of at most `block_rows` rows; return it with the gaps it carries, or None if dropped.

        Parameters
        ----------
        block
            Rows in order, and gaps.
        wait_s
            Longest wait for a free block, instead of the ring's own bound.

        Raises
        ------
        ValueError
            The block has more rows than fit.
        RunfileError
            The writer process has gone.
        """
        if len(block) > self._layout.block_rows:
            raise ValueError(f"a block of {len(block)} rows does not fit into {self._layout.block_rows}")
        self._pending.extend(block.gaps)
        bound = wait_s if wait_s is not None else 0.0 if self._is_dropping else self._wait_s
        if not self._free and not self._collect(bound):
            self._drop(block)
            return None
        self._is_dropping = False
        return self._send(block)

    def put_patiently(self, block: TagBlock, *, wait_s: float) -> TagBlock:
        """Send a block whose rows may wait: never drops.

        Raises
        ------
        RunfileError
            No block became free within ``wait_s``, or the writer process has gone.
        """
        if not self._collect(wait_s):
            raise _writer_stuck(wait_s)
        sent = self.put(block)
        if sent is None:  # pragma: no cover - a block is free, and only this thread takes it
            raise _writer_stuck(wait_s)
        return sent

    def flush(self, *, wait_s: float) -> list[TagBlock]:
        """Send the gaps that still wait, as blocks without rows; return these."""
        sent = []
        while self._pending:
            sent.append(self.put_patiently(TagBlock.empty(), wait_s=wait_s))
        return sent

    def _collect(self, wait_s: float) -> bool:
        try:
            while self._freed.poll(0.0 if self._free else wait_s):
                self._free.append(_NUMBER.unpack(self._freed.recv_bytes(_NUMBER.size))[0])
        except (EOFError, OSError) as error:
            raise _writer_gone() from error
        return bool(self._free)

    def _drop(self, block: TagBlock) -> None:
        self._is_dropping = True
        if not len(block):
            return
        self.dropped += len(block)
        start_ps, end_ps = int(block.times_ps[0]), int(block.times_ps[-1])
        last = self._pending[-1] if self._pending else None
        if last is not None and last.cause is GapCause.BUFFER_FULL:
            self._pending[-1] = GapRecord(last.start_ps, end_ps, last.lost + len(block), last.cause)
        else:
            self._pending.append(GapRecord(start_ps, end_ps, len(block), GapCause.BUFFER_FULL))

    def _send(self, block: TagBlock) -> TagBlock:
        self._pending.sort(key=lambda gap: gap.start_ps)
        gaps, self._pending = tuple(self._pending[:GAPS_PER_BLOCK]), self._pending[GAPS_PER_BLOCK:]
        number = self._free.popleft()
        _copy_in(self._layout.views(self._memory, number), block, gaps)
        try:
            self._descriptors.send_bytes(_DESCRIPTOR.pack(number, len(block), len(gaps)))
        except OSError as error:
            raise _writer_gone() from error
        sent = TagBlock(block.times_ps, block.channels, gaps)
        self.passed += len(block)
        self.blocks_passed += 1
        self.gaps_passed += len(gaps)
        self.lost += sent.lost
        return sent

    def forget_name(self) -> None:
        """Remove the name of the shared memory once both ends are attached: then no crash can leave it behind."""
        if self._is_linked:
            self._is_linked = False
            self._memory.unlink()

    def end(self) -> None:
        """Tell the other end that no block follows."""
        self._descriptors.close()

    def close(self) -> None:
        """Close the pipes and free the memory. Calling it again does nothing."""
        self._descriptors.close()
        self._freed.close()
        self.forget_name()
        # A thread in the middle of a copy keeps the memory mapped until it is done.
        with suppress(BufferError):
            self._memory.close()


def make_ring(
    context: SpawnContext, *, blocks: int, block_rows: int, wait_s: float = 0.05
) -> tuple[RingProducer, RingEnd]:
    """Return the two ends of a new ring of ``blocks`` blocks of ``block_rows`` rows."""
    layout = RingLayout(blocks, block_rows)
    memory = SharedMemory(create=True, size=layout.size_bytes)
    descriptor_out, descriptor_in = context.Pipe(duplex=False)
    freed_out, freed_in = context.Pipe(duplex=False)
    producer = RingProducer(memory, layout, descriptors=descriptor_in, freed=freed_out, wait_s=wait_s)
    return producer, RingEnd(memory.name, layout, descriptor_out, freed_in)


def _copy_in(
    views: tuple[npt.NDArray[np.void], npt.NDArray[np.int64], npt.NDArray[np.uint8]],
    block: TagBlock,
    gaps: Sequence[GapRecord],
) -> None:
    gap_rows, keys, codes = views
    gap_rows[: len(gaps)] = [(g.start_ps, g.end_ps, g.lost, int(g.cause)) for g in gaps]
    keys[: len(block)] = block.times_ps
    codes[: len(block)] = block.channels


def _gap_records(rows: npt.NDArray[np.void]) -> tuple[GapRecord, ...]:
    return tuple(GapRecord(int(s), int(e), int(n), GapCause(int(c))) for s, e, n, c in rows.tolist())


def _writer_gone() -> RunfileError:
    return RunfileError(
        "the writer process has ended while tags were still coming",
        hint="everything committed until then is in the run's files: `faintlink recover FILE`",
    )


def _writer_stuck(wait_s: float) -> RunfileError:
    return RunfileError(
        f"the writer process took no block for {wait_s:.0f} s",
        hint="is the disk stuck? the kernel log tells; everything committed is kept",
    )
