"""PTU: a T2 recording as PicoQuant's devices write it, for the programs that read theirs.

The step is 1 ps, so that every time is exact. Channel 0 becomes the sync input, 1 to 64 the inputs, 241 to 255 the
markers. The format knows no loss; gaps stand in a second file.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from faintlink.core.errors import FormatError
from faintlink.core.exports.source import ExportSource
from faintlink.core.formats.ptu_writer import write_ptu_t2
from faintlink.core.runfile.reader import RowBlock
from faintlink.core.tags import TagBlock

INPUTS = 64


def write_ptu(path: Path, source: ExportSource, blocks: Iterable[RowBlock]) -> None:
    """Write blocks of tags as a T2 recording.

    Raises
    ------
    FormatError
        A time is negative.
    UnknownChannelError
        A channel is none that the format has.
    """
    facts = source.facts()
    comment = f"run {facts['run_id']}, {facts['party']}, stream {facts['stream']}, origin {facts['origin']}"
    write_ptu_t2(path, _tags(blocks), inputs=INPUTS, comment=comment)


def _tags(blocks: Iterable[RowBlock]) -> Iterator[TagBlock]:
    for block in blocks:
        tags = block.as_tags()
        if len(tags) and tags.times_ps[0] < 0:
            raise FormatError(
                f"a PTU recording starts at 0 ps; the stream has a tag at {tags.times_ps[0]} ps",
                hint="export another format, or a later stretch with --start",
            )
        yield tags
