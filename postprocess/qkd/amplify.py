"""Privacy amplification: exact hashing by a random modified Toeplitz matrix.

Used once a block is verified and the length of its key is known; it decides neither. The hash of x = (a, b), a the
first r bits and b the other n - r, is y = a + T b over GF(2), T a random binary Toeplitz matrix of r rows:
T[i, j] = t[i - j + n - r - 1] with n - 1 random bits t. The seed must be drawn after sifting and may be public.

Universal: let x and x' differ by (a, b) != 0. If b = 0 they never collide, since then a != 0. If b != 0, T b is
uniform on r bits (the last 1 of b meets in each row a bit of t that the rows before do not), so T b = a has the
chance 2**-r. The chance to collide is at most 2**-r: universal_2, and the leftover hash lemma gives
eps_PA <= 2**(-(H_min - r) / 2) / 2.

Exact: the product is a convolution by float64 FFT. The seed enters as +-1 and the key as 0/1, so each sum is
w - 2 (T b)_i with the known weight w of b, and neighbouring results lie 2 apart. With u = 2**-53, N the FFT length
and g blocks summed in one spectrum, the rounding error of any input is below 20 g u N log2 N: 2e-6 at N = 2**18,
g = 128, against a margin of 1 (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed. 2002, sec. 24.1,
with norms of key and seed at most sqrt(N)). It is checked all the same, and refused long before it could matter.

Long blocks are cut into square Toeplitz blocks of at most 2**17 whose spectra are shared along the diagonals and
summed before the way back: transforms that fit a cache take a quarter of the time a bit of one that does not.
Memory stays below about 1 GB however long the block is.

Sources: Hayashi and Tsurumaru, IEEE Trans. Inf. Theory 62 (2016) 2213 (modified Toeplitz, seed n - 1); Krawczyk,
CRYPTO '94; Tomamichel, Schaffner, Smith and Renner, IEEE Trans. Inf. Theory 57 (2011) 5524 (leftover hashing).
"""

import numpy as np
import numpy.typing as npt
import scipy.fft

from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.spectra import add_parities, signs_of, sum_of_products

BLOCK = 1 << 17
"""Most rows and columns of a Toeplitz block: the fastest of 2**15 … 2**19 at 10**6 and 10**7 bits."""
GROUP = 128
"""Blocks along a row that are summed before the way back; bounds the memory."""
ROW_GROUP = 16
"""Rows of blocks that are summed together."""
MARGIN = 0.125
"""Largest tolerated distance from an integer; a wrong bit needs 0.5."""


def seed_bytes(n: int, r: int) -> int:
    """Return the bytes of seed that hashing ``n`` bits to ``r`` takes."""
    check_lengths(n, r)
    return (n + 6) // 8 if r else 0


def toeplitz_hash(bits: Bits, seed: bytes, out_bits: int, *, block: int = BLOCK) -> Bits:
    """Return the hash of a key.

    Parameters
    ----------
    bits
        The verified key, (n,) uint8.
    seed
        ``seed_bytes(n, out_bits)`` random bytes, drawn after sifting; bit k is the bit of value 2**(7 - k % 8) of
        byte k // 8, for k < n - 1.
    out_bits
        Length r of the result, 0 … n.
    block
        Rows and columns of a block of the cut matrix; only speed and memory depend on it.

    Returns
    -------
    Bits
        (r,) uint8.

    Raises
    ------
    LocalProtocolError
        A length is wrong, the bits are not bits, or the arithmetic was not exact.
    """
    check_seed(bits, seed, seed_bytes(bits.size, out_bits), out_bits)
    hashed = bits[:out_bits].copy()
    rest = bits[out_bits:]
    if not out_bits or not rest.size:
        return hashed
    diagonals = np.frombuffer(seed, np.uint8)
    if rest.size + out_bits - 1 <= 2 * block:
        _add_blocks(hashed, rest, diagonals, columns=rest.size, rows=out_bits)
        return hashed
    longest = max(rest.size, out_bits)
    side = -(-longest // -(-longest // block))
    for start in range(0, rest.size, GROUP * side):
        part = rest[start : start + GROUP * side]
        _add_blocks(hashed, part, diagonals, columns=side, rows=side, offset=rest.size - part.size - start)
    return hashed


def check_lengths(n: int, r: int) -> None:
    """Refuse a hash of ``n`` to ``r`` bits that does not exist.

    Raises
    ------
    LocalProtocolError
        ``r`` is not in 0 … n.
    """
    if not 0 <= r <= n:
        raise LocalProtocolError(
            f"a hash can have 0 to {n} bits, asked for {r}", hint="a key never grows: check the key length"
        )


def check_seed(bits: Bits, seed: bytes, needed: int, out_bits: int) -> None:
    """Refuse what is not bits, and a seed that has not the ``needed`` bytes.

    Raises
    ------
    LocalProtocolError
        It is so.
    """
    if bits.ndim != 1 or bits.dtype != np.uint8 or (bits.size and int(bits.max()) > 1):
        raise LocalProtocolError(f"expected a 1-d uint8 array of bits, got {bits.dtype} of shape {bits.shape}")
    if len(seed) != needed:
        raise LocalProtocolError(
            f"hashing {bits.size} to {out_bits} bits takes {needed} bytes of seed, got {len(seed)}",
            hint="draw seed_bytes(n, r) bytes for each block",
        )


def _add_blocks(hashed: Bits, key: Bits, diagonals: Bits, *, columns: int, rows: int, offset: int = 0) -> None:
    """Add T b to ``hashed`` for those columns of T that ``key`` stands on; ``offset`` columns lie behind them."""
    size = int(scipy.fft.next_fast_len(columns + rows - 1, real=True))
    count, row_blocks = -(-key.size // columns), -(-hashed.size // rows)
    group = min(ROW_GROUP, row_blocks)
    keys = np.empty((count, size // 2 + 1), np.complex128)
    for index in range(count):
        keys[index] = scipy.fft.rfft(key[index * columns : (index + 1) * columns].astype(np.float64), size)
    weight = int(np.count_nonzero(key))
    # Diagonal block d = row block - column block starts at bit d columns + (key.size + offset - 1) - (columns - 1).
    origin = key.size + offset - columns
    signs = np.zeros(size, np.float64)
    seeds = np.empty((count + group - 1, size // 2 + 1), np.complex128)
    summed = np.empty((group, size // 2 + 1), np.complex128)
    drawn = 1 - count
    for first in range(0, row_blocks, group):
        held = min(group, row_blocks - first)
        for diagonal in range(drawn, first + held):
            signs_of(diagonals, origin + diagonal * columns, signs[: columns + rows - 1])
            seeds[diagonal % len(seeds)] = scipy.fft.rfft(signs)
        drawn = first + held
        sum_of_products(seeds, keys, first, summed[:held])
        for index in range(held):
            product = scipy.fft.irfft(summed[index], size)[columns - 1 : columns - 1 + rows]
            start = (first + index) * rows
            _add_exact(hashed[start : start + rows], product, weight)


def _add_exact(hashed: Bits, sums: npt.NDArray[np.float64], weight: int) -> None:
    """Add (weight - sums) / 2 modulo 2 to ``hashed``, or refuse sums that are not whole."""
    inexact = add_parities(sums[: hashed.size], weight, MARGIN, hashed)
    if inexact:
        raise LocalProtocolError(
            f"the hash was not computed exactly: {inexact} of {hashed.size} sums are more than {MARGIN} off an integer",
            hint="this points to faulty memory or a faulty FFT library; hash again with smaller blocks",
        )
