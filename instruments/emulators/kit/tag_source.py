"""Where the tags of an emulated tagger come from: any `TagStream`, such as a mock tagger's, or tags played from arrays.

An emulated tagger takes a `TagSource`: the bound method ``stream`` of a mock tagger puts it on the physics bench.
"""

from collections.abc import Callable
from typing import TypeAlias

from faintlink.core.tags import TagBlock
from faintlink.core.units import Channels, TimesPs
from faintlink.instruments.roles import TagStream

TagSource: TypeAlias = Callable[[], TagStream]
"""Gives a stream that is not yet started; called at each start of the emulated tagger."""


class PlayedStream:
    """A stream of given tags, in pieces, and then nothing.

    Parameters
    ----------
    tags
        What to play.
    piece
        Tags per read.
    """

    def __init__(self, tags: TagBlock, *, piece: int = 1 << 16) -> None:
        self._tags = tags
        self._piece = piece
        self._at: int | None = None

    def start(self) -> None:
        """Begin with the first tag."""
        self._at = 0

    def read(self, timeout_s: float) -> TagBlock:  # noqa: ARG002 - what is played never has to be waited for
        """Return the next piece, with the gaps that end in it; empty when all was played."""
        if self._at is None or self._at >= len(self._tags):
            return TagBlock.empty()
        start, self._at = self._at, self._at + self._piece
        times: TimesPs = self._tags.times_ps[start : self._at].copy()
        channels: Channels = self._tags.channels[start : self._at].copy()
        first = times[0] if start else -(1 << 62)
        gaps = tuple(gap for gap in self._tags.gaps if first <= gap.end_ps <= times[-1])
        return TagBlock(times, channels, gaps)

    def stop(self) -> None:
        """Play no more."""
        self._at = None


def played(tags: TagBlock, *, piece: int = 1 << 16) -> TagSource:
    """Return a source that plays the same tags at each start."""
    return lambda: PlayedStream(tags, piece=piece)
