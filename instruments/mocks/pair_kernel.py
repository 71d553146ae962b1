"""The clicks of a pair source at its two receivers: only pairs of which a photon is registered cost time.

Called by `engine`. Registered pairs form a Poisson process; each falls into one of the joint outcomes of `pairs`.
O(clicks) per call.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.instruments.mocks.detector_kernel import NEVER, PHOTON, click, noisiest, take_noise
from faintlink.instruments.mocks.pairs import LOST
from faintlink.instruments.mocks.random_streams import Integer, Records, Words, exponential, uniform

ROOM = 64
"""Free places kept in each buffer."""


@njit(cache=True, nogil=True)
def next_pair(mean_wait_ps: float, rng: Words, now_ps: Integer) -> Integer:
    """Return the bench time in ps of the next registered pair; no mean wait means none comes."""
    if mean_wait_ps <= 0.0:
        return NEVER
    return now_ps + np.int64(mean_wait_ps * exponential(rng, 0))


@njit(cache=True, nogil=True)
def play_pair_noise(detectors: Records, rng: Words, until_ps: Integer, out: Records, size: Integer) -> Integer:
    """Let the detectors of one receiver see their noise before ``until_ps``; return the size of its buffer."""
    d = noisiest(detectors)
    while detectors[d].next_noise < until_ps and size + ROOM <= out.size:
        now = detectors[d].next_noise
        cause = take_noise(detectors, rng, d)
        size = click(detectors, rng, d, now, cause, np.uint8(1 + d), -1, 0, out, size)
        d = noisiest(detectors)
    return size


@njit(cache=True, nogil=True)
def run_pairs(
    alice: Records,
    bob: Records,
    alice_rng: Words,
    bob_rng: Words,
    mean_wait_ps: float,
    share: npt.NDArray[np.float64],
    pending: npt.NDArray[np.int64],
    end_ps: Integer,
    rng: Words,
    alice_out: Records,
    bob_out: Records,
    size_a: Integer,
    size_b: Integer,
) -> tuple[Integer, Integer, Integer]:
    """Play the source up to ``end_ps`` and write the clicks of both receivers.

    ``share`` (24,) is the cumulative share of outcome alice * 5 + bob among registered pairs. ``pending`` (2,)
    int64 holds the time of the next registered pair and its number, and is moved on. Returns the new sizes and the
    bench time in ps up to which everything was played; short of the end a buffer was full.
    """
    while True:
        now = min(pending[0], end_ps)
        size_a = play_pair_noise(alice, alice_rng, now, alice_out, size_a)
        size_b = play_pair_noise(bob, bob_rng, now, bob_out, size_b)
        due = min(alice[noisiest(alice)].next_noise, bob[noisiest(bob)].next_noise)
        is_full = size_a + ROOM > alice_out.size or size_b + ROOM > bob_out.size
        if now == end_ps or is_full:
            return size_a, size_b, min(now, due)
        outcome = np.searchsorted(share, uniform(rng, 0))
        a, b = outcome // 5, outcome % 5
        if a != LOST:
            size_a = click(alice, alice_rng, a, now, PHOTON, np.uint8(1 + a), pending[1], 1, alice_out, size_a)
        if b != LOST:
            size_b = click(bob, bob_rng, b, now, PHOTON, np.uint8(1 + b), pending[1], 1, bob_out, size_b)
        pending[1] += 1
        pending[0] = next_pair(mean_wait_ps, rng, now)
