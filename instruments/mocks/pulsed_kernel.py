"""The clicks of a pulsed link: only slots in which a detector sees a photon cost time.

Called by `engine`. Slots are skipped geometrically at the largest click probability of any kind of slot; the one
that is reached is accepted with its own probability, and its photo-electrons are drawn on the condition that there
is at least one: exact for coherent light. Settings of a slot are a pure function of keys and slot number, so that
anybody can ask for them later. O(clicks / acceptance) per call.

Sources: thinning of a Bernoulli process, L. Devroye, "Non-Uniform Random Variate Generation" (1986), VI.2.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from faintlink.core.symbols import SYNC_FLAG
from faintlink.core.units import Bits, Slots
from faintlink.instruments.mocks.detector_kernel import NEVER, PHOTON, click, noisiest, take_noise
from faintlink.instruments.mocks.random_streams import Integer, Records, Words, counter_hash, poisson, uniform
from faintlink.instruments.mocks.rates import DARK_LEVEL

IDLE_CODE = np.uint8(3 << 2)
"""Setting code of a slot without a driven pulse."""
SYNC = np.uint8(SYNC_FLAG)
BRIGHT_MEAN = 4.0
"""Above this mean the outcomes of a slot are drawn one by one."""
ROOM = 64
"""Free places that a slot may need in the buffer of clicks."""
_LOW_31 = np.uint64(0x7FFF_FFFF)
_ONE, _TWO = np.uint64(1), np.uint64(2)
_SHIFT_32 = np.uint64(32)


PROGRAMME = np.dtype(
    [
        ("alice_key", np.uint64),
        ("bob_key", np.uint64),
        ("eve_key", np.uint64),
        ("is_running", np.bool_),
        ("origin", np.int64),  # bench slot of the pattern's slot 0
        ("intensity_below", np.uint64, (4,)),  # cumulative play probabilities times 2**32
        ("alice_z_below", np.uint64),  # probability of basis Z times 2**31
        ("bob_z_below", np.uint64),  # probability times 2**32
        ("is_active", np.bool_),  # Bob chooses his basis with a modulator
        ("attack", np.int64),  # 0 none, 1 scramble, 2 intercept and resend
        ("eve_below", np.uint64),  # attacked share times 2**32
        ("constant", np.int64),  # setting code of every slot, or -1
        ("period_ps", np.int64),
        ("period_rest_ps", np.float64),  # what the whole picoseconds of the period leave out
        ("top_chance", np.float64),  # largest click chance of any kind of slot that can come
    ]
)
"""What is played, by whom, in which slot; kernels take an array of one."""

OUTCOMES = 6
KIND = np.dtype(
    [
        ("click_chance", np.float64),  # chance of at least one photo-electron
        ("mean", np.float64),  # mean photo-electrons
        ("photons", np.float64),  # mean emitted photons
        ("share", np.float64, (OUTCOMES,)),  # cumulative share of the outcomes
    ]
)
"""One kind of slot of the rate table, prepared for drawing."""
OUTCOME = np.dtype([("detector", np.int64), ("offset_ps", np.int64)])
"""Where and when an outcome is seen."""


@njit(cache=True, nogil=True, forceinline=True)
def slot_time(programme: Records, slot: Integer) -> Integer:
    """Return the bench time in ps of a slot's centre."""
    time_ps: Integer = slot * programme[0].period_ps + np.int64(round(slot * programme[0].period_rest_ps))
    return time_ps


@njit(cache=True, nogil=True, forceinline=True)
def alice_setting(programme: Records, preamble: Bits, slot: Integer) -> tuple[np.uint8, Integer]:
    """Return (setting code, light level) of a bench slot."""
    played = slot - programme[0].origin
    if not programme[0].is_running or played < 0:
        return IDLE_CODE, DARK_LEVEL
    if played < preamble.size:
        if preamble[played]:
            return SYNC, 0
        return np.uint8(SYNC | IDLE_CODE), DARK_LEVEL
    if programme[0].constant >= 0:
        return np.uint8(programme[0].constant), programme[0].constant >> 2
    bits = counter_hash(programme[0].alice_key, played)
    level = 0
    while (bits >> _SHIFT_32) >= programme[0].intensity_below[level]:
        level += 1
    basis = 0 if ((bits >> _ONE) & _LOW_31) < programme[0].alice_z_below else 1
    return np.uint8(np.int64(bits & _ONE) + 2 * basis + 4 * level), level


@njit(cache=True, nogil=True, forceinline=True)
def bob_basis(programme: Records, bases: Bits, slot: Integer) -> Integer:
    """Return the basis that Bob's modulator plays in a bench slot, prescribed or random; 0 where he has none."""
    if not programme[0].is_active:
        return 0
    played = slot - programme[0].origin
    if 0 <= played < bases.size:
        return np.int64(bases[played])
    return 0 if (counter_hash(programme[0].bob_key, slot) >> _SHIFT_32) < programme[0].bob_z_below else 1


@njit(cache=True, nogil=True, forceinline=True)
def state_after_eve(programme: Records, slot: Integer, state: Integer) -> Integer:
    """Return the state that reaches Bob."""
    if programme[0].attack == 0:
        return state
    bits = counter_hash(programme[0].eve_key, slot)
    if (bits >> _SHIFT_32) >= programme[0].eve_below:
        return state
    if programme[0].attack == 1:
        return np.int64(bits & np.uint64(3))
    basis = np.int64(bits & _ONE)
    if basis == state >> 1:
        return state
    return np.int64((bits >> _ONE) & _ONE) + 2 * basis


@njit(cache=True, nogil=True)
def settings_of(programme: Records, preamble: Bits, slots: Slots, out: npt.NDArray[np.uint8]) -> None:
    """Write the setting codes of played slots (n,) int64 into ``out`` (n,) uint8."""
    for at in range(slots.size):
        out[at] = alice_setting(programme, preamble, slots[at] + programme[0].origin)[0]


@njit(cache=True, nogil=True, forceinline=True)
def next_candidate(rng: Words, slot: Integer, top_chance: float) -> Integer:
    """Return the first candidate slot at or after ``slot``."""
    if top_chance <= 0.0:
        return NEVER
    if top_chance >= 1.0 - 1e-12:
        return slot
    skip = math.log(uniform(rng, 0)) / math.log1p(-top_chance)
    return slot + np.int64(min(skip, 1e12))


@njit(cache=True, nogil=True, forceinline=True)
def truncated_poisson(rng: Words, mean: float, chance: float) -> Integer:
    """Return a Poisson number on the condition that it is not zero, by inversion."""
    left = uniform(rng, 0) * chance
    term = mean * math.exp(-mean)
    count = 1
    while left > term and count < 100:
        left -= term
        count += 1
        term *= mean / count
    return count


@njit(cache=True, nogil=True, forceinline=True)
def draw_outcomes(kind: Any, count: Integer, rng: Words, hits: npt.NDArray[np.bool_]) -> Integer:
    """Write which of ``count`` outcomes see a photon into ``hits`` and return the number of photo-electrons."""
    hits[:] = False
    total: Integer = 0
    if kind.mean < BRIGHT_MEAN:
        total = truncated_poisson(rng, kind.mean, kind.click_chance)
        for _ in range(total):
            where = uniform(rng, 0)
            j = 0
            while j < count - 1 and where > kind.share[j]:
                j += 1
            hits[j] = True
        return total
    while total == 0:
        before = 0.0
        for j in range(count):
            seen = poisson(rng, 0, kind.mean * (kind.share[j] - before))
            before = kind.share[j]
            hits[j] = seen > 0
            total += seen
    return total


@njit(cache=True, nogil=True, forceinline=True)
def kind_of(programme: Records, preamble: Bits, bases: Bits, slot: Integer) -> tuple[np.uint8, Integer, Integer]:
    """Return (setting code, Bob's active basis, kind of slot) of a bench slot."""
    code, level = alice_setting(programme, preamble, slot)
    state: Integer = np.int64(code & np.uint8(3)) if level != DARK_LEVEL else 0
    bob = bob_basis(programme, bases, slot)
    return code, bob, (level * 4 + state_after_eve(programme, slot, state)) * 2 + bob


@njit(cache=True, nogil=True)
def play_noise(
    detectors: Records,
    noise_rng: Words,
    until_ps: Integer,
    programme: Records,
    bases: Bits,
    out: Records,
    size: Integer,
) -> Integer:
    """Let all detectors see their noise before ``until_ps`` in order of time; return the size of the buffer.

    Stops early when the buffer is full, which the caller sees by the noise still due.
    """
    period = programme[0].period_ps + programme[0].period_rest_ps
    d = noisiest(detectors)
    while detectors[d].next_noise < until_ps and size + ROOM <= out.size:
        now = detectors[d].next_noise
        cause = take_noise(detectors, noise_rng, d)
        slot = np.int64(round(now / period))
        channel = np.uint8(1 + d + 2 * bob_basis(programme, bases, slot))
        size = click(detectors, noise_rng, d, now, cause, channel, slot, 0, out, size)
        d = noisiest(detectors)
    return size


@njit(cache=True, nogil=True)
def run_pulsed(
    detectors: Records,
    noise_rng: Words,
    kinds: Records,
    outcomes: Records,
    programme: Records,
    preamble: Bits,
    bases: Bits,
    candidate: npt.NDArray[np.int64],
    slot_end: Integer,
    rng: Words,
    out: Records,
    size: Integer,
) -> tuple[Integer, Integer]:
    """Play the link up to ``slot_end`` and write its clicks into ``out`` from ``size`` on.

    ``bases`` (k,) uint8 are Bob's prescribed bases from the pattern's slot 0 on. ``candidate`` (1,) int64 holds the
    next candidate slot and is moved on. Returns the new size and the bench time in ps up to which everything was
    played: when it falls short of the end, the buffer was full; empty it and call again.
    """
    half = programme[0].period_ps // 2
    end_ps = slot_time(programme, slot_end) - half
    top_chance = programme[0].top_chance
    hits = np.zeros(OUTCOMES, np.bool_)
    slot = candidate[0]
    while slot < slot_end:
        centre = slot_time(programme, slot)
        noise_ps = detectors[noisiest(detectors)].next_noise
        if noise_ps < centre - half:
            size = play_noise(detectors, noise_rng, centre - half, programme, bases, out, size)
            noise_ps = detectors[noisiest(detectors)].next_noise
        if size + 2 * ROOM > out.size:
            candidate[0] = slot
            return size, min(centre - half, noise_ps)
        _, bob, kind = kind_of(programme, preamble, bases, slot)
        if uniform(rng, 0) * top_chance < kinds[kind].click_chance:
            total = draw_outcomes(kinds[kind], outcomes.size, rng, hits)
            for j in range(outcomes.size):
                if hits[j]:
                    d = outcomes[j].detector
                    now = centre + outcomes[j].offset_ps
                    if noise_ps < now + half:
                        size = play_noise(detectors, noise_rng, now, programme, bases, out, size)
                    channel = np.uint8(1 + d + 2 * bob)
                    size = click(detectors, noise_rng, d, now, PHOTON, channel, slot, total, out, size)
        slot = next_candidate(rng, slot + 1, top_chance)
    candidate[0] = slot
    size = play_noise(detectors, noise_rng, end_ps, programme, bases, out, size)
    return size, min(end_ps, detectors[noisiest(detectors)].next_noise)


@njit(cache=True, nogil=True)
def reveal(clicks: Records, programme: Records, preamble: Bits, bases: Bits, kinds: Records, rng: Words) -> None:
    """Fill in the truth of clicks (n,): the setting code and the emitted photon number.

    Photons that were not detected are Poisson with what the detected mean leaves of the emitted one, whatever
    was detected. Each click draws them anew: clicks of one slot agree on the setting, not on that rest.
    """
    for at in range(clicks.size):
        code, _, kind = kind_of(programme, preamble, bases, clicks[at].slot)
        clicks[at].code = code
        clicks[at].photons += poisson(rng, 0, kinds[kind].photons - kinds[kind].mean)
