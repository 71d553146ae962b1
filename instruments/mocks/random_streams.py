"""Small seeded random streams that live in arrays, so that compiled kernels carry their state from call to call.

Used by the mock bench only. The streams are fast and repeatable and good enough for simulated clicks; they are no
source of secret bits and must never feed a key.

Sources: D. Blackman, S. Vigna, "Scrambled linear pseudorandom number generators" (2021), xoshiro256++ and
SplitMix64; G. Box, M. Muller, Ann. Math. Stat. 29 (1958) 610.
"""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

Integer: TypeAlias = int | np.signedinteger[Any]
"""What is an int64 inside a kernel."""
Words: TypeAlias = npt.NDArray[np.uint64]
"""States of random streams, (m, 4)."""
Records: TypeAlias = npt.NDArray[np.void]
"""Structured arrays, which kernels read by field."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S17, _S23, _S27, _S30, _S31, _S41, _S45, _S19 = (np.uint64(n) for n in (11, 17, 23, 27, 30, 31, 41, 45, 19))
_TO_UNIT = 2.0**-53
_MASK = 0xFFFF_FFFF_FFFF_FFFF
POISSON_INVERSION_LIMIT = 12.0
"""Above this mean a Poisson number is drawn from a rounded normal."""


@njit(cache=True, nogil=True, forceinline=True)
def mix(x: np.uint64) -> np.uint64:
    """Return the SplitMix64 finaliser of a uint64: a bijection that scatters every bit."""
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


@njit(cache=True, nogil=True, forceinline=True)
def counter_hash(key: np.uint64, counter: Integer) -> np.uint64:
    """Return 64 random bits that are a pure function of a uint64 key and an int64 counter."""
    bits: np.uint64 = mix(mix(key + np.uint64(counter) * GOLDEN) + key)
    return bits


@njit(cache=True, nogil=True, forceinline=True)
def next_u64(rng: Words, row: Integer) -> np.uint64:
    """Return the next 64 bits of stream ``row`` of ``rng`` (m, 4) uint64 (xoshiro256++)."""
    s0, s1, s2, s3 = rng[row, 0], rng[row, 1], rng[row, 2], rng[row, 3]
    total = s0 + s3
    result = ((total << _S23) | (total >> _S41)) + s0
    shifted = s1 << _S17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << _S45) | (s3 >> _S19)
    rng[row, 0], rng[row, 1], rng[row, 2], rng[row, 3] = s0, s1, s2, s3
    bits: np.uint64 = result
    return bits


@njit(cache=True, nogil=True, forceinline=True)
def uniform(rng: Words, row: Integer) -> float:
    """Return a float in (0, 1]: never zero, so that its logarithm is finite."""
    return (np.float64(next_u64(rng, row) >> _S11) + 1.0) * _TO_UNIT


@njit(cache=True, nogil=True, forceinline=True)
def exponential(rng: Words, row: Integer) -> float:
    """Return an exponential variate of mean 1."""
    return -math.log(uniform(rng, row))


@njit(cache=True, nogil=True, forceinline=True)
def gaussian(rng: Words, row: Integer) -> float:
    """Return a standard normal variate; its size never exceeds 8.6."""
    radius = math.sqrt(-2.0 * math.log(uniform(rng, row)))
    return radius * math.cos(2.0 * math.pi * uniform(rng, row))


@njit(cache=True, nogil=True)
def poisson(rng: Words, row: Integer, mean: float) -> Integer:
    """Return a Poisson variate (exact up to `POISSON_INVERSION_LIMIT`, a rounded normal above)."""
    if mean <= 0.0:
        return 0
    if mean > POISSON_INVERSION_LIMIT:
        return max(0, round(mean + math.sqrt(mean) * gaussian(rng, row)))
    left = uniform(rng, row)
    term = math.exp(-mean)
    count = 0
    while left > term and count < 200:
        left -= term
        count += 1
        term *= mean / count
    return count


def derived_key(seed: int, *labels: int) -> np.uint64:
    """Return a uint64 key that differs for each seed and each tuple of labels."""
    key = _mix_int(seed & _MASK)
    for label in labels:
        key = _mix_int(key ^ _mix_int((label + 1) * int(GOLDEN) & _MASK))
    return np.uint64(key)


def seeded_streams(seed: int, label: int, count: int) -> npt.NDArray[np.uint64]:
    """Return the states (count, 4) uint64 of independent streams for one seed and purpose."""
    words = [[int(derived_key(seed, label, row, word)) for word in range(4)] for row in range(count)]
    return np.array(words, dtype=np.uint64).reshape(count, 4)


def _mix_int(x: int) -> int:
    x = (x ^ (x >> 30)) * int(_MIX_1) & _MASK
    x = (x ^ (x >> 27)) * int(_MIX_2) & _MASK
    return x ^ (x >> 31)
