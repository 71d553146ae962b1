"""One simulated receiver: its detectors' arrays, its buffer of clicks, its clock, and who listens to it.

Used by `engine`; knows nothing of optics or of instrument libraries.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.units import Channels, TimesPs
from faintlink.instruments.mocks.detector_kernel import (
    CLICK,
    DETECTOR,
    NEVER,
    TRAPS,
    restart_darks,
    sort_clicks,
    tagger_times,
)
from faintlink.instruments.mocks.random_streams import Records, seeded_streams
from faintlink.instruments.mocks.state import DetectorState, ReceiverState

BUFFER_CLICKS = 1 << 17
Listener = Callable[[TimesPs, Channels, int], None]
"""Called with times (n,) int64 ps, channels (n,) uint8 and the tagger time up to which the stream is whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What really happened behind each click of a receiver, in the order of its tags."""

    time_ps: TimesPs
    """(n,) int64, the tag's time on the tagger's clock."""
    channel: Channels
    """(n,) uint8, the tag's channel."""
    detector: Channels
    """(n,) uint8, number of the physical detector."""
    cause: Channels
    """(n,) uint8: 0 photon, 1 dark count, 2 afterpulse."""
    slot: TimesPs
    """(n,) int64: slot of the pattern counted from its start (pulsed), or number of the pair (-1 for noise)."""
    photons: TimesPs
    """(n,) int64: photons that the sender emitted in that slot."""
    code: Channels
    """(n,) uint8: the sender's setting in that slot."""

    def __len__(self) -> int:
        return int(self.time_ps.size)


class Receiver:
    """Arrays and state of one receiver.

    Parameters
    ----------
    name
        ``alice`` or ``bob``.
    state
        Its optics, detectors and clock.
    seed, label
        Choose the random streams of its detectors.
    """

    def __init__(self, name: str, state: ReceiverState, *, seed: int, label: int) -> None:
        self.name = name
        count = len(state.detectors)
        self.detectors = np.zeros(count, DETECTOR)
        for waits in ("next_dark", "pending", "next_noise"):
            self.detectors[waits] = NEVER
        self.rng = seeded_streams(seed, label, count)
        self.clicks = np.zeros(BUFFER_CLICKS, CLICK)
        self.size = 0
        self.listeners: list[Listener] = []
        self.records_truth = False
        self._truth: list[Truth] = []
        self._clock = state.clock

    def configure(self, state: ReceiverState, *, now_ps: int) -> None:
        """Take over detector and clock settings; a changed dark count rate starts anew at ``now_ps``."""
        self._clock = state.clock
        for index, detector in enumerate(state.detectors):
            self._configure_detector(index, detector, now_ps)

    def _configure_detector(self, index: int, detector: DetectorState, now_ps: int) -> None:
        record = self.detectors[index]
        record["dead_ps"] = detector.dead_time_ps
        record["delay_ps"] = detector.delay_ps
        record["jitter_ps"] = detector.jitter_ps
        record["trap_chance"] = _padded(np.cumsum(detector.afterpulse_probability))
        record["trap_time_ps"] = _padded(np.array(detector.afterpulse_time_ps))
        mean_ps = 1e12 / detector.dark_rate_hz if detector.enabled and detector.dark_rate_hz > 0 else 0.0
        if not detector.enabled:
            record["pending"] = NEVER
        if mean_ps != record["dark_mean_ps"] or not detector.enabled:
            record["dark_mean_ps"] = mean_ps
            restart_darks(self.detectors, self.rng, index, now_ps)

    def skip_to(self, now_ps: int) -> None:
        """Drop what was not handed on yet, and draw the noise from ``now_ps`` on: nobody saw what lies between."""
        self.size = 0
        self.detectors["pending"] = NEVER
        for index in range(len(self.detectors)):
            restart_darks(self.detectors, self.rng, index, now_ps)

    def emit(self, played_ps: int, *, delay_ps: int, origin_slot: int) -> None:
        """Hand on, in order, every click that no later one can overtake; all was played to ``played_ps``."""
        filled = self.clicks[: self.size]
        sort_clicks(filled)
        reach = 9.0 * float(self.detectors["jitter_ps"].max()) - float(self.detectors["delay_ps"].min())
        whole_ps = played_ps - int(np.ceil(reach)) - 1
        count = int(np.searchsorted(filled["time_ps"], whole_ps))
        shift_ps = self._clock.offset_ps + delay_ps
        shown = self._shown(filled["time_ps"][:count].copy(), shift_ps)
        channels = filled["channel"][:count].copy()
        if self.records_truth and self.listeners:
            self._keep_truth(shown, channels, filled[:count], origin_slot)
        watermark = int(self._shown(np.array([whole_ps]), shift_ps)[0])
        for listener in tuple(self.listeners):
            listener(shown, channels, watermark)
        self.clicks[: self.size - count] = filled[count:].copy()
        self.size -= count

    def _shown(self, times_ps: TimesPs, shift_ps: int) -> TimesPs:
        clock = self._clock
        shown: TimesPs = tagger_times(times_ps, shift_ps, clock.ppm, clock.drift_ppb_per_s, max(1, clock.resolution_ps))
        return shown

    def _keep_truth(self, shown: TimesPs, channels: Channels, got: Records, origin_slot: int) -> None:
        slots = np.where(got["slot"] < 0, got["slot"], got["slot"] - origin_slot)
        copies = (got["detector"].copy(), got["cause"].copy(), slots, got["photons"].astype(np.int64))
        self._truth.append(Truth(shown, channels, *copies, got["code"].copy()))

    def take_truth(self) -> Truth:
        """Return the truth recorded since the last call, and forget it."""
        kept, self._truth = self._truth, []
        if not kept:
            empty = np.empty(0, np.int64), np.empty(0, np.uint8)
            return Truth(empty[0], empty[1], empty[1], empty[1], empty[0], empty[0], empty[1])
        names = Truth.__slots__
        return Truth(*(np.concatenate([getattr(part, name) for part in kept]) for name in names))


def _padded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the values, the last one repeated up to the number of traps."""
    return np.concatenate([values, np.repeat(values[-1:], TRAPS - values.size)])
