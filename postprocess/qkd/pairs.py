"""From two receivers' tags to sifted bits, for links with a source of entangled pairs.

The clocks share nothing: their offset and drift come from the coincidences themselves. `PairSifter` is the same
object live and offline; it works through Alice's time in chunks of a second.

Sources: C. H. Bennett, G. Brassard, N. D. Mermin, Phys. Rev. Lett. 68, 557 (1992).
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig, PairSource
from faintlink.core.errors import ClockLostError, ConfigError
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, TimesPs
from faintlink.postprocess.kernels.coincidence import delay_histogram, match_one_to_one
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS, ArrivalStatistics
from faintlink.postprocess.qkd.events import LATEST_PS, EventMaker, EventQueue
from faintlink.postprocess.qkd.pair_sync import PairOffset, find_pair_offset, follow_pairs, on_clock_b
from faintlink.postprocess.qkd.pieces import SiftedPiece
from faintlink.postprocess.qkd.pulsed import squash_seed
from faintlink.postprocess.qkd.sift import SiftCount, SiftedBits
from faintlink.postprocess.qkd.stages import Fact

CHUNK_PS = PS_PER_S
HISTOGRAM_WINDOWS = 10
"""The delay histogram spans this many coincidence windows."""
LOCK_EVENTS = 2_000_000
_HOPELESS = 8
"""Streams this many times as long as needed that still have no time in common are given up."""
MARGIN_PS = PS_PER_S // 1000


class PairSifter:
    """Sift two streams of tags, live or offline.

    Parameters
    ----------
    link
        Of a protocol with a pair source.
    seeds
        Each receiver's secret for multi-click events.
    """

    def __init__(self, link: LinkConfig, seeds: Mapping[Party, bytes]) -> None:
        self._pairs = pair_source(link)
        self._queues = {
            party: EventQueue(EventMaker(link.receivers[party], self._pairs.window_ps, seeds[party]))
            for party in (Party.ALICE, Party.BOB)
        }
        self._edge = 0
        self._first: PairOffset | None = None
        self._last: PairOffset | None = None
        self._pieces = self._coasted = 0

    @property
    def is_locked(self) -> bool:
        """Whether the offset of the clocks is known."""
        return self._last is not None

    @property
    def frequency_ppm(self) -> float | None:
        """Frequency of Bob's clock against Alice's, parts per million; None before the lock."""
        return self._last.frequency_ratio * 1e6 if self._last else None

    def feed(self, party: Party, block: TagBlock) -> Iterator[SiftedPiece]:
        """Take the next tags of a party and yield the chunks that are complete now.

        Chunks that are not fetched come with the next call.

        Raises
        ------
        ClockLostError
            No coincidences stand out, or they were lost; the chunks before that come first.
        """
        self._queues[party].put(block)
        return self._work(is_last=False)

    def finish(self) -> Iterator[SiftedPiece]:
        """Yield the rest at the end of both streams; raises as `feed`."""
        for queue in self._queues.values():
            queue.finish()
        return self._work(is_last=True)

    def clock_facts(self) -> dict[str, Fact]:
        """Return what the clock stage found."""
        if self._first is None or self._last is None:
            return {}
        return {
            "offset_ps": self._first.offset_ps,
            "significance": self._first.significance,
            "peak_half_width_ps": self._first.window_ps,
            "first_ppm": self._first.frequency_ratio * 1e6,
            "last_ppm": self._last.frequency_ratio * 1e6,
            "intervals": self._pieces,
            "coasted": self._coasted,
        }

    def _work(self, *, is_last: bool) -> Iterator[SiftedPiece]:
        if self._last is None and not self._lock(is_last=is_last):
            return
        while (piece := self._next_chunk(is_last=is_last)) is not None:
            yield piece

    def _lock(self, *, is_last: bool) -> bool:
        """Find the offset of the clocks once both streams are long enough; return whether it is known.

        What is correlated is a stretch of fixed times, so that it does not matter how far one stream is ahead.
        """
        reach = round(self._pairs.max_offset_s * PS_PER_S)
        needed = 2 * CHUNK_PS + reach
        queues = self._queues.values()
        start = max(queue.first_ps for queue in queues)
        have = min(queue.last_ps for queue in queues) - start
        spans = [queue.last_ps - queue.first_ps for queue in queues]
        if not is_last and have < needed and min(spans) < _HOPELESS * needed:
            return False
        alice, bob = (queue.all() for queue in queues)
        if not len(alice) or not len(bob):
            raise ClockLostError(
                f"alice has {len(alice)} detections and bob {len(bob)}: nothing to correlate",
                hint="check that both taggers recorded, and the channel maps",
            )
        end = start + needed
        found = find_pair_offset(
            alice.between(start, end).times_ps[:LOCK_EVENTS],
            bob.between(start - reach, end).times_ps[:LOCK_EVENTS],
            max_offset_ps=reach,
        )
        self._first = self._last = found
        # Before the later of both starts there are no pairs to follow the clocks with.
        self._edge = max(int(alice.times_ps[0]), int(bob.times_ps[0]) - _shift(found, start))
        self._queues[Party.ALICE].keep(alice.between(self._edge, LATEST_PS))
        return True

    def _next_chunk(self, *, is_last: bool) -> SiftedPiece | None:
        queue_a, queue_b = self._queues[Party.ALICE], self._queues[Party.BOB]
        if self._last is None or queue_a.last_ps < self._edge:
            return None
        end = self._edge + CHUNK_PS
        shift = _shift(self._last, end)
        bob_end = end + shift + MARGIN_PS
        if not is_last and (queue_a.last_ps < end or queue_b.last_ps < bob_end):
            return None
        if is_last:
            # The last chunk goes only as far as both streams do.
            end = min(end, queue_a.last_ps + 1, queue_b.last_ps - shift + 1)
            if end <= self._edge:
                return None
        alice, bob = queue_a.all(), queue_b.all()
        piece, used = self._sift(alice.between(self._edge, end), bob.between(-LATEST_PS, bob_end), end)
        queue_a.keep(alice.between(end, LATEST_PS))
        old = int(np.searchsorted(bob.times_ps, bob_end - 2 * MARGIN_PS))
        rest = slice(max(used, old), None)
        queue_b.keep(TagBlock(bob.times_ps[rest], bob.channels[rest]))
        self._edge = end
        return piece

    def _sift(self, alice: TagBlock, bob: TagBlock, end: int) -> tuple[SiftedPiece, int]:
        """Return the sifted bits of the chunk up to ``end``, and how many of Bob's detections are used up."""
        on_b = self._on_bobs_clock(alice.times_ps, bob.times_ps)
        at_a, at_b = match_one_to_one(on_b, bob.times_ps, 0, self._pairs.window_ps // 2)
        outcome_a, outcome_b = alice.channels[at_a], bob.channels[at_b]
        flip = np.uint8(1 if self._pairs.state == "psi-" else 0)
        same = (outcome_a >> 1) == (outcome_b >> 1)
        basis = outcome_a[same] >> np.uint8(1)
        bits = SiftedBits(
            alice.times_ps[at_a[same]],
            basis,
            np.zeros_like(basis),
            outcome_a[same] & np.uint8(1),
            (outcome_b[same] & np.uint8(1)) ^ flip,
        )
        count = SiftCount(at_a.size, 0, 0, at_a.size - len(bits), len(bits))
        seen = {party: queue.take_statistics() for party, queue in self._queues.items()}
        arrival = bob.times_ps[at_b] - on_b[at_a]
        seen[Party.BOB] = self._with_arrivals(seen[Party.BOB], bob, on_b, outcome_b, arrival)
        used = int(at_b[-1]) + 1 if at_b.size else 0
        return SiftedPiece(bits, self._edge, end, self._edge, seen, count), used

    def _on_bobs_clock(self, alice: TimesPs, bob: TimesPs) -> TimesPs:
        """Return Alice's times on Bob's clock, following the clocks through the chunk."""
        if self._last is None or not alice.size:
            return alice
        clock = follow_pairs(alice, bob, self._last)
        self._last = clock[-1]
        self._pieces += len(clock)
        self._coasted += sum(piece.significance == 0.0 for piece in clock)
        return on_clock_b(alice, clock)

    def _with_arrivals(
        self,
        seen: ArrivalStatistics,
        bob: TagBlock,
        on_b: TimesPs,
        outcome: npt.NDArray[np.uint8],
        arrival: npt.NDArray[np.int64],
    ) -> ArrivalStatistics:
        """Return Bob's statistics with the delays of his detections against Alice's, by his outcome."""
        moments = np.zeros((4, 3), np.int64)
        histogram = np.zeros((4, HISTOGRAM_BINS), np.int64)
        span = HISTOGRAM_WINDOWS * self._pairs.window_ps
        for k in range(4):
            delays = arrival[outcome == k]
            moments[k] = delays.size, delays.sum(), (delays * delays).sum()
            own = bob.times_ps[bob.channels == k]
            histogram[k] = delay_histogram(on_b, own, -(span // 2), max(span // HISTOGRAM_BINS, 1), HISTOGRAM_BINS)
        return replace(seen, moments=moments, histogram=histogram)


def _shift(clock: PairOffset, time_ps: int) -> int:
    """Return how far Bob's clock is ahead at a time on Alice's."""
    return int(clock.to_b(np.array([time_ps], np.int64))[0]) - time_ps


def pair_source(link: LinkConfig) -> PairSource:
    """Return the section ``pairs`` of a link.

    Raises
    ------
    ConfigError
        The link has none.
    """
    if link.pairs is None:
        raise ConfigError(f"link {link.name} has no pair source", hint="its protocol needs the section `pairs`")
    return link.pairs


class PairRun:
    """Sift a recorded run of two receivers.

    Parameters
    ----------
    run
        With Alice's and Bob's files.
    link
        Its configuration.
    """

    def __init__(self, run: Run, link: LinkConfig) -> None:
        self._streams = {party: run[party].tags() for party in (Party.ALICE, Party.BOB)}
        self._sifter = PairSifter(link, {party: squash_seed(run[party]) for party in self._streams})

    def pieces(self) -> Iterator[SiftedPiece]:
        """Yield the sifted bits chunk by chunk, reading the two files in step."""
        reached = dict.fromkeys(self._streams, -LATEST_PS)
        open_streams = dict(self._streams)
        while open_streams:
            party = min(open_streams, key=lambda name: reached[name])
            block = next(open_streams[party], None)
            if block is None:
                del open_streams[party]
                continue
            if len(block):
                reached[party] = int(block.times_ps[-1])
            yield from self._sifter.feed(party, block)
        yield from self._sifter.finish()

    def clock_facts(self) -> dict[str, Fact]:
        """Return what the clock stage has found so far."""
        return self._sifter.clock_facts()
