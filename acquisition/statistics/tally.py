"""Count what passes by: the tags as they are read, and the pieces that the pipeline makes of them.

A `Tally` looks at the same blocks and the same `SiftedPiece`s as post-processing, so that a viewer never shows other
figures than the key is made of. It keeps counts only.
"""

import time
from collections import Counter

import numpy as np

from faintlink.acquisition.statistics.snapshot import BINS, Phase, Snapshot
from faintlink.core.config.link import LinkConfig, Receiver
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.sift import SiftedBits


class StreamTally:
    """Tags of one receiver by channel, with the time that they span."""

    def __init__(self, names: dict[int, str]) -> None:
        self._names = names
        self._channels = np.zeros(256, np.int64)
        self.first_ps: int | None = None
        self.last_ps = 0

    def add(self, block: TagBlock) -> None:
        """Count a block."""
        if not len(block):
            return
        if self.first_ps is None:
            self.first_ps = int(block.times_ps[0])
        self.last_ps = int(block.times_ps[-1])
        self._channels += np.bincount(block.channels, minlength=256)

    @property
    def span_s(self) -> float:
        """Time from the first tag to the last."""
        return (self.last_ps - self.first_ps) * 1e-12 if self.first_ps is not None else 0.0

    @property
    def clicks(self) -> dict[str, int]:
        """Tags by detector; those of channels without one only if there are any."""
        others = [number for number in np.flatnonzero(self._channels).tolist() if number not in self._names]
        named = {**self._names, **{number: f"ch {number}" for number in others}}
        return {name: int(self._channels[number]) for number, name in named.items()}


def detector_names(party: Party, receiver: Receiver, *, is_alone: bool) -> dict[int, str]:
    """Return the name of the detector behind each channel, key basis first."""
    prefix = "" if is_alone else f"{party} "
    channels = sorted(receiver.channels.items(), key=lambda entry: (entry[1].basis_code, entry[1].bit))
    return {number: f"{prefix}{meaning.basis}{meaning.bit}" for number, meaning in channels}


class Tally:
    """Totals of a run.

    Parameters
    ----------
    link
        Names the detectors and the intensities.
    """

    def __init__(self, link: LinkConfig) -> None:
        is_alone = len(link.receivers) == 1
        self.streams = {
            party: StreamTally(detector_names(party, receiver, is_alone=is_alone))
            for party, receiver in link.receivers.items()
        }
        self.main = Party.BOB if Party.BOB in self.streams else next(iter(self.streams))
        """The receiver whose clock is shown."""
        self._intensities = len(link.source.intensities) if link.source else 1
        self._interval_ps = round(link.clock.interval_ms * 1e9) if link.source else None
        self._lost = 0
        self._gaps: Counter[str] = Counter()
        self._counts = DecoyCounts.zero(self._intensities)
        self._matrix = np.zeros(8, np.int64)
        self._histogram = np.zeros((4, BINS), np.int64)
        self._arrival = np.zeros(2, np.int64)
        self._first_sifted_ps: int | None = None
        self._sifted_ps = 0

    def add_tags(self, party: Party, block: TagBlock) -> None:
        """Count a block of a receiver, and what is missing in it."""
        self.streams[party].add(block)
        self._lost += block.lost
        self._gaps.update(gap.cause.name.lower().replace("_", " ") for gap in block.gaps)

    def add_piece(self, piece: SiftedPiece) -> None:
        """Count what the pipeline made of a stretch."""
        self._add_bits(piece.bits)
        for party, arrivals in piece.arrivals.items():
            self._histogram += arrivals.histogram.reshape(4, BINS, HISTOGRAM_BINS // BINS).sum(axis=2)
            if party == self.main:
                self._arrival += arrivals.moments[:, :2].sum(axis=0)
        if self._first_sifted_ps is None:
            self._first_sifted_ps = piece.time_ps
        self._sifted_ps = max(self._sifted_ps, self._end_ps(piece))

    def _end_ps(self, piece: SiftedPiece) -> int:
        """Return the time up to which a piece goes; a pulsed one knows only the slot."""
        if self._interval_ps is None:
            return piece.reached
        return min(piece.time_ps + self._interval_ps, self.streams[self.main].last_ps)

    def _add_bits(self, bits: SiftedBits) -> None:
        """Count bits by intensity, basis, sent and measured bit, in one pass: this runs beside an acquisition."""
        code = (((bits.intensity * np.uint8(2) + bits.basis) * np.uint8(2)) + bits.alice) * np.uint8(2) + bits.bob
        table = np.bincount(code, minlength=8 * self._intensities).reshape(self._intensities, 2, 2, 2)
        self._matrix += table.sum(axis=0).ravel()
        detections, errors = table.sum(axis=(2, 3)), table[:, :, 0, 1] + table[:, :, 1, 0]
        (n_key, n_test), (m_key, m_test) = (tuple(map(tuple, part.T.tolist())) for part in (detections, errors))
        self._counts += DecoyCounts(n_key, n_test, m_key, m_test)

    @property
    def elapsed_s(self) -> float:
        """From the first tag to the last, on the main receiver's clock."""
        return self.streams[self.main].span_s

    @property
    def sifted_s(self) -> float:
        """Up to where error rates are known."""
        return (self._sifted_ps - self._first_sifted_ps) * 1e-12 if self._first_sifted_ps is not None else 0.0

    def snapshot(self, phase: Phase, state: str) -> Snapshot:
        """Return the totals of this moment."""
        clicks = {name: count for stream in self.streams.values() for name, count in stream.clicks.items()}
        return Snapshot(
            phase=phase,
            state=state,
            elapsed_s=self.elapsed_s,
            sifted_s=self.sifted_s,
            tags=sum(clicks.values()),
            lost=self._lost,
            gaps=dict(self._gaps),
            clicks=clicks,
            spans_s={name: stream.span_s for stream in self.streams.values() for name in stream.clicks},
            counts=self._counts,
            matrix=tuple(self._matrix.tolist()),
            histogram=self._histogram.copy(),
            arrival=(int(self._arrival[0]), int(self._arrival[1])),
            made_ns=time.time_ns(),
        )
