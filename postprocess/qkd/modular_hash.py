"""Privacy amplification by one multiplication of integers: the modular-arithmetic family of Dietzfelbinger.

Used like `faintlink.postprocess.qkd.amplify` and in its place where speed matters; it decides neither the length of
the key nor which family a link uses. The hash of n bits x, read as an integer, to r bits is

    h(x) = ((a x + b) mod 2**w) >> (n - 1),  w = n + r - 1,

with a and b drawn independently and uniformly from 0 … 2**w - 1, after sifting; both may be public.

Universal, proof: let x != x', z = a (x - x') mod 2**w and y' = a x' + b mod 2**w, so that h(x') = y' >> (n - 1) and
h(x) = ((y' + z) mod 2**w) >> (n - 1). As |x - x'| < 2**n, x - x' = 2**s c with an odd c and s <= n - 1. Since c has
an inverse modulo 2**w, z is uniform on the multiples of 2**s. Since b is uniform and independent of a, y' is
independent of z. Fix y' and let v be its lower n - 1 bits. The hashes agree if and only if (v + z) mod 2**w lies in
0 … 2**(n-1) - 1. Among the 2**(w-s) values of v + z, one residue class modulo 2**s, there are 2**(n-1-s) such, since
2**s divides 2**(n-1). So the chance is 2**(n-1-w) = 2**-r, for every pair: universal_2, and the leftover hash lemma
gives eps_PA <= 2**(-(H_min - r) / 2) / 2, the same as for the Toeplitz family. Without b, y' and z would depend on
each other, and some pairs collide up to 1.75 times as often at sizes that can be counted out: b is not optional.

Exact: integers have no rounding. The product is GMP's through gmpy2 (extra ``fast``); without it Python's integers
serve keys up to `FALLBACK_BITS`. The result is the same.

Sources: Dietzfelbinger, STACS '96, LNCS 1046, 569 (the family); Tomamichel, Schaffner, Smith and Renner,
IEEE Trans. Inf. Theory 57 (2011) 5524 (leftover hashing); Yan, Li, Mao and Chen, arXiv:2105.13678 (use in QKD).
"""

import importlib
import importlib.util

import numpy as np

from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.amplify import check_lengths, check_seed

FALLBACK_BITS = 1 << 20
"""Longest key that Python's own integers may hash; they take time as n**1.6."""


def has_fast_integers() -> bool:
    """Return whether gmpy2 is installed."""
    return importlib.util.find_spec("gmpy2") is not None


def seed_bytes(n: int, r: int) -> int:
    """Return the bytes of seed that hashing ``n`` bits to ``r`` takes: a and b, each rounded up to whole bytes."""
    check_lengths(n, r)
    return 2 * ((n + r + 6) // 8) if r else 0


def modular_hash(bits: Bits, seed: bytes, out_bits: int) -> Bits:
    """Return the hash of a key.

    Parameters
    ----------
    bits
        The verified key, (n,) uint8; bit k counts 2**k.
    seed
        ``seed_bytes(n, out_bits)`` random bytes, drawn after sifting: a, then b, each little-endian; what they have
        beyond n + r - 1 bits is ignored.
    out_bits
        Length r of the result, 0 … n.

    Returns
    -------
    Bits
        (r,) uint8; bit k counts 2**k.

    Raises
    ------
    LocalProtocolError
        A length is wrong, the bits are not bits, or the key is too long for the integers there are.
    """
    n, r = bits.size, out_bits
    check_seed(bits, seed, seed_bytes(n, r), r)
    if not r:
        return np.zeros(0, np.uint8)
    key = np.packbits(bits, bitorder="little").tobytes()
    multiplier, offset = seed[: len(seed) // 2], seed[len(seed) // 2 :]
    size = (r + 7) // 8
    if has_fast_integers():
        hashed = _by_gmp(key, multiplier, offset, n=n, r=r)
    elif n <= FALLBACK_BITS:
        hashed = _by_python(key, multiplier, offset, n=n, r=r)
    else:
        raise LocalProtocolError(
            f"hashing {n} bits by multiplication takes gmpy2, which is not installed (at most {FALLBACK_BITS} without)",
            hint="pip install 'faintlink[fast]', or choose the Toeplitz family for this link",
        )
    return np.unpackbits(np.frombuffer(hashed, np.uint8, size), bitorder="little")[:r]


def _by_python(key: bytes, multiplier: bytes, offset: bytes, *, n: int, r: int) -> bytes:
    a, b = int.from_bytes(multiplier, "little"), int.from_bytes(offset, "little")
    sums = a * int.from_bytes(key, "little") + b
    return (sums >> (n - 1) & ((1 << r) - 1)).to_bytes((r + 7) // 8, "little")


def _by_gmp(key: bytes, multiplier: bytes, offset: bytes, *, n: int, r: int) -> bytes:
    gmpy2 = importlib.import_module("gmpy2")
    integer = gmpy2.mpz.from_bytes
    width = n + r - 1
    # Without the interpreter's lock, so that a node answers its peer meanwhile.
    with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
        sums = integer(multiplier, "little") * integer(key, "little")
    # The bits from width on do not reach the result: they are cut before the sum, which halves its cost.
    sums = gmpy2.f_mod_2exp(sums, width) + integer(offset, "little")
    hashed: bytes = gmpy2.f_mod_2exp(sums >> (n - 1), r).to_bytes((r + 7) // 8, "little")
    return hashed
