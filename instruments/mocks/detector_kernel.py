"""The life of a set of detectors, event by event: dead time, dark counts, afterpulses, jitter.

Called from the pulsed and the pair kernel. Each detector has a random stream of its own and sees its events in
order of time, so that what it emits does not depend on how the time is cut into calls. All times are int64
picoseconds on the bench clock; the tagger's clock comes later. O(1) per event.

Sources: G. Knoll, "Radiation Detection and Measurement", 4th ed., section 4.VII (non-paralyzable dead time).
"""

import numpy as np
from numba import njit

from faintlink.core.units import TimesPs
from faintlink.instruments.mocks.random_streams import Integer, Records, Words, exponential, gaussian, uniform

NEVER = np.int64(1 << 62)
PHOTON, DARK, AFTERPULSE = np.uint8(0), np.uint8(1), np.uint8(2)
PENDING = 16
"""Afterpulses that one detector may have outstanding; more are forgotten."""
TRAPS = 2
"""Afterpulse time constants of one detector."""


DETECTOR = np.dtype(
    [
        ("dead_ps", np.int64),
        ("dark_mean_ps", np.float64),  # mean time between dark counts, 0 for none
        ("delay_ps", np.int64),
        ("jitter_ps", np.float64),
        ("trap_chance", np.float64, (TRAPS,)),  # cumulative chance of an afterpulse
        ("trap_time_ps", np.float64, (TRAPS,)),
        ("dead_until", np.int64),
        ("next_dark", np.int64),
        ("pending", np.int64, (PENDING,)),  # release times of afterpulses, NEVER where free
        ("next_noise", np.int64),  # the earlier of the next dark count and the next afterpulse
        ("clicks", np.int64),  # so far
        ("hidden", np.int64),  # events lost to dead time so far
    ]
)
"""Settings and state of one detector. Records, since a tuple of arrays costs reference counts at every use."""

CLICK = np.dtype(
    [
        ("time_ps", np.int64),
        ("slot", np.int64),  # bench slot (pulsed) or number of the pair; -1 for the noise of a pair receiver
        ("photons", np.int32),  # detected photo-electrons of the slot, later the emitted photon number
        ("channel", np.uint8),
        ("detector", np.uint8),
        ("cause", np.uint8),
        ("code", np.uint8),
    ]
)
"""One emitted click."""


@njit(cache=True, nogil=True, forceinline=True)
def click(
    detectors: Records,
    rng: Words,
    d: Integer,
    time_ps: Integer,
    cause: np.uint8,
    channel: np.uint8,
    slot: Integer,
    photons: Integer,
    out: Records,
    size: Integer,
) -> Integer:
    """Let detector ``d`` see an event; emit a click unless it is dead. Return the new size of the buffer."""
    if time_ps < detectors[d].dead_until:
        detectors[d].hidden += 1
        return size
    detectors[d].dead_until = time_ps + detectors[d].dead_ps
    detectors[d].clicks += 1
    emitted = time_ps + detectors[d].delay_ps
    if detectors[d].jitter_ps > 0.0:
        emitted += np.int64(round(detectors[d].jitter_ps * gaussian(rng, d)))
    out[size].time_ps = emitted
    out[size].channel = channel
    out[size].detector = d
    out[size].cause = cause
    out[size].slot = slot
    out[size].photons = photons
    if detectors[d].trap_chance[TRAPS - 1] > 0.0:
        fill_trap(detectors, rng, d, time_ps)
    return size + 1


@njit(cache=True, nogil=True)
def fill_trap(detectors: Records, rng: Words, d: Integer, time_ps: Integer) -> None:
    """Decide whether the avalanche of detector ``d`` leaves an afterpulse behind, and when it comes."""
    chance = uniform(rng, d)
    for trap in range(TRAPS):
        if chance <= detectors[d].trap_chance[trap]:
            wait = detectors[d].trap_time_ps[trap] * exponential(rng, d)
            release = time_ps + detectors[d].dead_ps + np.int64(wait)
            for place in range(PENDING):
                if detectors[d].pending[place] == NEVER:
                    detectors[d].pending[place] = release
                    detectors[d].next_noise = min(detectors[d].next_noise, release)
                    return
            return


@njit(cache=True, nogil=True)
def take_noise(detectors: Records, rng: Words, d: Integer) -> np.uint8:
    """Take the next noise event of detector ``d`` off its list, return its cause."""
    now = detectors[d].next_noise
    cause = AFTERPULSE
    if detectors[d].next_dark == now:
        cause = DARK
        detectors[d].next_dark = now + np.int64(detectors[d].dark_mean_ps * exponential(rng, d)) + 1
    else:
        for place in range(PENDING):
            if detectors[d].pending[place] == now:
                detectors[d].pending[place] = NEVER
                break
    find_next_noise(detectors, d)
    return cause


@njit(cache=True, nogil=True)
def find_next_noise(detectors: Records, d: Integer) -> None:
    """Note when the next noise event of detector ``d`` comes."""
    soonest = detectors[d].next_dark
    for place in range(PENDING):
        soonest = min(soonest, detectors[d].pending[place])
    detectors[d].next_noise = soonest


@njit(cache=True, nogil=True, forceinline=True)
def noisiest(detectors: Records) -> Integer:
    """Return the detector whose noise comes first."""
    first = 0
    for d in range(1, detectors.size):
        if detectors[d].next_noise < detectors[first].next_noise:
            first = d
    return first


@njit(cache=True, nogil=True)
def restart_darks(detectors: Records, rng: Words, d: Integer, now_ps: Integer) -> None:
    """Draw the next dark count of detector ``d`` anew: its rate has changed, and Poisson has no memory."""
    detectors[d].next_dark = NEVER
    if detectors[d].dark_mean_ps > 0.0:
        detectors[d].next_dark = now_ps + np.int64(detectors[d].dark_mean_ps * exponential(rng, d))
    find_next_noise(detectors, d)


@njit(cache=True, nogil=True)
def sort_clicks(out: Records) -> None:
    """Sort clicks (n,) by time in place, ties as they are: insertion, since jitter moves few, and few places."""
    held = out[:1].copy()
    for at in range(1, out.size):
        if out[at - 1].time_ps <= out[at].time_ps:
            continue
        held[0] = out[at]
        place = at
        while place > 0 and out[place - 1].time_ps > held[0].time_ps:
            out[place] = out[place - 1]
            place -= 1
        out[place] = held[0]


@njit(cache=True, nogil=True)
def tagger_times(
    times_ps: TimesPs, shift_ps: Integer, ppm: float, drift_ppb_per_s: float, resolution_ps: Integer
) -> TimesPs:
    """Return bench times (n,) int64 ps as the tagger's clock shows them, floored to its resolution."""
    out = np.empty_like(times_ps)
    for at in range(times_ps.size):
        time_ps = times_ps[at]
        ahead = ppm * 1e-6 * time_ps + 0.5e-21 * drift_ppb_per_s * np.float64(time_ps) * np.float64(time_ps)
        shown = time_ps + shift_ps + np.int64(round(ahead))
        out[at] = shown - shown % resolution_ps
    return out
