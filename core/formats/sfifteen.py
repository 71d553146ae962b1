"""Read and write time stamps of S-Fifteen instruments and of its qcrypto chain as tag blocks.

`recording.open_recording` comes here, and the TDC drivers feed their bytes through `StampDecoder`. Detector bit i
is channel i + 1; a word with several bits gives one tag for each. Rollover dummies (bit 4) move the clock and
give no tag. Times are unwrapped to int64 ps beyond the counter's range.

A 54-bit stamp counts 1/256 ns = 125/32 ps; it is rounded to the nearest ps (half up), once and without
accumulation. Stamps of 1/8 ns (125 ps) and of 2 ns are whole picoseconds.

The card may deliver words out of order by some 0.1 ms; they are put in order within `REORDER_WINDOW_PS` and
counted, anything later is a `TagOrderError`.

Sources: S-Fifteen time-stamp card and TDC1 manuals (data formats of ``readevents`` and ``usbcounter``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import FormatError
from faintlink.core.formats import sfifteen_kernels
from faintlink.core.formats.detection import FILLER, FormatName
from faintlink.core.formats.ordering import Reorderer
from faintlink.core.formats.recording import DecodeCount, Recording, RecordingInfo
from faintlink.core.formats.sfifteen_words import SourceWords, words_of
from faintlink.core.tags import TagBlock
from faintlink.core.units import Channels, TimesPs

DETECTORS = 4
REORDER_WINDOW_PS = 1_000_000_000
"""1 ms: ten times the longest step back seen in a real recording (97 us)."""

Words: TypeAlias = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class StampLayout:
    """How one kind of time-stamp word is laid out."""

    columns: int
    """32-bit words of a stamp."""
    high: int
    """Column of the high word."""
    bits: int
    """Bits of the counter."""
    multiplier: int
    """The unit of the counter is multiplier / 2**shift ps."""
    shift: int
    """See ``multiplier``."""
    instrument: str
    """Who writes it."""

    @property
    def resolution_ps(self) -> float:
        """Unit of the counter in ps."""
        return self.multiplier / (1 << self.shift)


_CARD = "S-Fifteen time-stamp card"
_LOW_FIRST = StampLayout(2, 1, 54, 125, 5, _CARD)
_HIGH_FIRST = StampLayout(2, 0, 54, 125, 5, _CARD)
_QCRYPTO = StampLayout(2, 0, 49, 125, 0, "qcrypto readevents")
LAYOUTS: dict[FormatName, StampLayout] = {
    FormatName.S15_A0: _LOW_FIRST,
    FormatName.S15_A0_LEGACY: _HIGH_FIRST,
    FormatName.S15_A1: _LOW_FIRST,
    FormatName.S15_A1_LEGACY: _HIGH_FIRST,
    FormatName.S15_A2: _HIGH_FIRST,
    FormatName.QCRYPTO_RAW: _QCRYPTO,
    FormatName.QCRYPTO_T1: _QCRYPTO,
    FormatName.S15_TDC1: StampLayout(1, 0, 27, 2000, 0, "S-Fifteen TDC1"),
}


class StampDecoder:
    """Turn time-stamp words into tags, carrying the counter from call to call.

    Parameters
    ----------
    layout
        Kind of word.
    """

    def __init__(self, layout: StampLayout) -> None:
        self.layout = layout
        self.words = 0
        self.without_tag = 0
        self._state: tuple[int, int] | None = None

    def decode_into(self, words: Words, times_ps: TimesPs, channels: Channels) -> int:
        """Decode words into arrays of at least four times their number; return how many tags there were.

        Parameters
        ----------
        words
            (n, columns) uint32 in the order of the file.
        times_ps, channels
            Outputs (>= 4 n,) int64 and uint8, in order of arrival, not yet of time.

        Raises
        ------
        FormatError
            A word's filler bits are not those of the format, or its time cannot be.
        """
        if not len(words):
            return 0
        raw, patterns = self._split(words)
        state = self._state or (int(raw[0]), int(raw[0]))
        scale = (self.layout.multiplier, self.layout.shift)
        count: int
        count, last, units, empty, bad = sfifteen_kernels.emit_tags(
            raw, patterns, self.layout.bits, state, scale, times_ps, channels
        )
        if bad >= 0:
            raise self._refusal(bad, "its time is years from the others")
        self._state = (last, units)
        self.words += len(words)
        self.without_tag += empty
        return count

    def _split(self, words: Words) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        layout = self.layout
        if layout.bits == 54:
            raw, patterns, bad = sfifteen_kernels.split_words54(words, layout.high, FILLER)
            if bad >= 0:
                raise self._refusal(bad, "bits 6 to 9 of its low word are not 1100")
            return raw, patterns
        if layout.bits == 49:
            low = words[:, 1 - layout.high].astype(np.int64)
            return (words[:, layout.high].astype(np.int64) << 17) | (low >> 15), low & 15
        word = words[:, 0].astype(np.int64)
        return word >> 5, np.where(word & 16, 0, word & 15)

    def _refusal(self, index: int, why: str) -> FormatError:
        return FormatError(
            f"time stamp {self.words + index} is not valid: {why}",
            hint="the word order is another (name it with --format), or the file is damaged",
            record=self.words + index,
        )


def open_sfifteen(path: Path, format: FormatName) -> Recording:  # noqa: A002 - its name on the command line
    """Return the recording of time stamps at ``path``, of one of the formats in `LAYOUTS`.

    Raises
    ------
    FormatError
        The size is not that of whole words, or a header is damaged.
    """
    layout = LAYOUTS[format]
    source = words_of(path, format, layout.columns)
    info = RecordingInfo(
        format=format,
        instrument=layout.instrument,
        resolution_ps=layout.resolution_ps,
        channels=tuple(range(1, DETECTORS + 1)),
        channel_names={channel: f"detector {channel}" for channel in range(1, DETECTORS + 1)},
        records_expected=source.count,
    )

    def read(max_tags: int, count: DecodeCount) -> Iterator[TagBlock]:
        return _read(source, layout, max_tags, count)

    return Recording(info, read)


def _read(source: SourceWords, layout: StampLayout, max_tags: int, count: DecodeCount) -> Iterator[TagBlock]:
    order = Reorderer(window_ps=REORDER_WINDOW_PS)
    decoder = StampDecoder(layout)
    for words in source.chunks(max(1, max_tags // DETECTORS)):
        times_ps, channels = order.room(DETECTORS * len(words))
        tags = decoder.decode_into(words, times_ps, channels)
        count.records, count.without_tag = decoder.words, decoder.without_tag
        count.tags += tags
        yield from order.filled(tags, max_tags=max_tags)
        count.reordered = order.reordered
    yield from order.flush(max_tags=max_tags)


def encode_stamps(
    units: npt.NDArray[np.int64],
    patterns: npt.NDArray[np.uint8],
    format: FormatName,  # noqa: A002 - its name on the command line
    *,
    dummies: npt.NDArray[np.bool_] | None = None,
) -> bytes:
    """Return the file content of time stamps in one of the formats without a header.

    Parameters
    ----------
    units
        (n,) int64 times in the counter's unit; taken modulo its range.
    patterns
        (n,) uint8 detector patterns, bit i for detector i + 1.
    format
        One of `LAYOUTS` except ``qcrypto-t1``, which `qcrypto.write_t1` writes.
    dummies
        (n,) bool, which of them are rollover dummies; not possible in the 49-bit format.
    """
    layout = LAYOUTS[format]
    if format is FormatName.QCRYPTO_T1:
        raise ValueError("an epoch file has a header: use qcrypto.write_t1")
    if dummies is not None and layout.bits == 49:
        raise ValueError("the 49-bit format has no dummies")
    if np.any(patterns > 15):
        raise ValueError("a pattern has four bits")
    raw = (units & ((1 << layout.bits) - 1)).astype(np.uint64)
    flags = patterns.astype(np.uint64)
    if dummies is not None:
        flags |= dummies.astype(np.uint64) << np.uint64(4)
    if layout.bits == 27:
        return ((raw << np.uint64(5)) | flags).astype("<u4").tobytes()
    shift, filler = (15, 0) if layout.bits == 49 else (10, FILLER << 6)
    return _laid_out((raw << np.uint64(shift)) | np.uint64(filler) | flags, layout, format)


def _laid_out(value: npt.NDArray[np.uint64], layout: StampLayout, format: FormatName) -> bytes:  # noqa: A002 - as above
    if format is FormatName.S15_A2:
        return "".join(f"{one:016x}\n" for one in value.tolist()).encode("ascii")
    words = np.empty((len(value), 2), "<u4")
    words[:, layout.high] = value >> np.uint64(32)
    words[:, 1 - layout.high] = value & np.uint64(0xFFFFFFFF)
    if format in (FormatName.S15_A0, FormatName.S15_A0_LEGACY):
        return "".join(f"{one:08x}\n" for one in words.ravel().tolist()).encode("ascii")
    return words.tobytes()
