"""Open any recording this program can read, as frozen facts and a lazy stream of tag blocks.

The import command, the analysis tools and the tests use `open_recording`; the format is told from the content,
never from the file's ending. A file is read piece by piece, so memory is bounded by the block size and not by
the length of the recording. This module never writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from faintlink.core.errors import FormatError
from faintlink.core.formats.detection import SNIFF_BYTES, FormatName, detect_format, format_from_name
from faintlink.core.tags import TagBlock

DEFAULT_MAX_TAGS = 131_072
"""Tags in a block: what the run file takes in one append at full speed."""


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What a recording says about itself before any record is decoded."""

    format: FormatName
    """How the bytes are laid out."""
    instrument: str
    """Who wrote it, as far as the file says."""
    resolution_ps: float
    """Smallest step of the recorded times, in ps."""
    channels: tuple[int, ...]
    """Channels that tags can carry, where the file or format fixes them; markers are not listed."""
    channel_names: Mapping[int, str]
    """What each channel stands for at the instrument, markers included."""
    sync_rate_hz: float | None = None
    """Rate of the synchronisation input, where the file gives one."""
    records_expected: int | None = None
    """Records in the file, dummies and overflows included; None where it cannot be told."""
    created: datetime | None = None
    """When the recording was started, in the recorder's local time."""
    comments: str = ""
    """The operator's remarks."""
    header: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """All header entries of the file under their own names."""


@dataclass(slots=True)
class DecodeCount:
    """Running account of one pass over a recording."""

    records: int = 0
    """Records decoded."""
    tags: int = 0
    """Tags delivered."""
    without_tag: int = 0
    """Records that carry no tag: overflows, rollover dummies, empty patterns."""
    reordered: int = 0
    """Tags that were late and put back in order."""


BlockReader = Callable[[int, DecodeCount], Iterator[TagBlock]]


class Recording:
    """A recording on disk: its facts in ``info``, its tags by `blocks`.

    The file is opened by each call of `blocks` and closed at its end; an unused recording holds no handle.
    """

    def __init__(self, info: RecordingInfo, read: BlockReader) -> None:
        self.info = info
        self.count = DecodeCount()
        self._read = read

    def blocks(self, max_tags: int = DEFAULT_MAX_TAGS) -> Iterator[TagBlock]:
        """Yield all tags in order of time, in blocks of at most ``max_tags`` tags.

        ``count`` starts anew with each call and is complete after the last block.

        Raises
        ------
        FormatError
            A record cannot be decoded, or the file ends early.
        TagOrderError
            A tag is later than the instrument's records can be.
        """
        if max_tags < 1:
            raise ValueError(f"max_tags must be at least 1, got {max_tags}")
        self.count = DecodeCount()
        return self._read(max_tags, self.count)

    def read(self) -> TagBlock:
        """Return all tags as one block; this holds the whole recording in memory, 9 bytes a tag.

        Raises
        ------
        FormatError, TagOrderError
            As `blocks`.
        """
        size = 0
        # Memory that is never written is never taken, so room for every record costs nothing.
        times_ps = np.empty(self.info.records_expected or DEFAULT_MAX_TAGS, np.int64)
        channels = np.empty(times_ps.size, np.uint8)
        for block in self.blocks():
            if size + len(block) > times_ps.size:
                room = 2 * (size + len(block))
                times_ps, channels = np.resize(times_ps, room), np.resize(channels, room)
            times_ps[size : size + len(block)] = block.times_ps
            channels[size : size + len(block)] = block.channels
            size += len(block)
        return TagBlock(times_ps[:size], channels[:size])


def open_recording(path: str | Path, format: FormatName | str | None = None) -> Recording:  # noqa: A002 - its name on the command line
    """Return the recording at ``path``; its format is told from the content unless given.

    Parameters
    ----------
    path
        The file.
    format
        A `FormatName` or its text, which skips the recognition but none of the checks.

    Raises
    ------
    FormatError
        The file is empty, of no known format, or its header is damaged.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as stream:
        first = stream.read(SNIFF_BYTES)
    if not first:
        raise FormatError(f"{path} is empty", hint="the recording was never written; check the disk of the recorder")
    chosen = detect_format(first, size) if format is None else format_from_name(format)
    return _opener(chosen)(path)


def _opener(chosen: FormatName) -> Callable[[Path], Recording]:
    # Each format loads its compiled kernels with it, so only the one in hand is imported.
    if chosen is FormatName.PTU:
        from faintlink.core.formats.ptu import open_ptu

        return open_ptu
    from faintlink.core.formats.sfifteen import open_sfifteen

    return lambda path: open_sfifteen(path, chosen)
