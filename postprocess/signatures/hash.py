"""The hash of a document under a secret linear feedback register: Krawczyk's almost-universal family.

Signer, receiver and verifier hash with it; it is also the tag between receiver and verifier. It draws no randomness
itself but for the irreducible polynomial, and keeps nothing.

With p an irreducible polynomial of degree b, s its first b bits and s_(t+b) = sum_k p_k s_(t+k) the sequence of the
register, the hash of the L bits M_0 … M_(L-1) is h_j = sum_i M_i s_(j+b+L-1-i), j < b: a Toeplitz matrix times M. As
s_t is a linear form of x**t modulo p, it is computed as h_j = sum_k r_k s_(j+k) with r = M(x) x**b mod p, and r as a
cyclic redundancy check, eight bytes at a time. For two documents of one length, over p and s, any difference of
hashes has a probability of at most L / 2**(b-1).

Sources: H. Krawczyk, "LFSR-based hashing and authentication", CRYPTO '94; M. Rabin, SIAM J. Comput. 9, 273
(1980) (test of irreducibility).
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.entropy import Entropy
from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.signatures.parameters import MOST_HASH_BITS

_LANE_BYTES = 2048
"""Bytes of one of the stretches that are reduced side by side, a power of two."""
_SHORT_BYTES = 256
"""Documents up to here are divided bit by bit, which is quicker than a table."""


def multiply(a: int, b: int, polynomial: int) -> int:
    """Return a b modulo ``polynomial`` over GF(2), for a of lower degree."""
    degree, product = polynomial.bit_length() - 1, 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> degree & 1:
            a ^= polynomial
        b >>= 1
    return product


def remainder(a: int, polynomial: int) -> int:
    """Return a modulo ``polynomial`` over GF(2)."""
    degree = polynomial.bit_length() - 1
    while a.bit_length() > degree:
        a ^= polynomial << (a.bit_length() - 1 - degree)
    return a


def is_irreducible(polynomial: int) -> bool:
    """Return whether a polynomial over GF(2), bit k being the coefficient of x**k, is irreducible (Rabin's test)."""
    degree = polynomial.bit_length() - 1
    if degree < 1 or (degree > 1 and not polynomial & 1):
        return False
    x = remainder(2, polynomial)
    powers = [x]
    for _ in range(degree):
        powers.append(multiply(powers[-1], powers[-1], polynomial))
    if powers[degree] != x:
        return False
    return all(_gcd(powers[degree // prime] ^ x, polynomial) == 1 for prime in _prime_factors(degree))


def draw_irreducible(degree: int, entropy: Entropy) -> int:
    """Return an irreducible polynomial of a degree, each with the same probability."""
    while True:
        drawn = int.from_bytes(entropy.draw(degree // 8 + 1, "qds polynomial"), "big")
        candidate = drawn & ((1 << degree) - 1) | 1 << degree | 1
        if is_irreducible(candidate):
            return candidate


def register_hash(document: bytes, polynomial: int, start: int) -> int:
    """Return the hash of a document.

    Parameters
    ----------
    document
        At least one byte, most significant bit first.
    polynomial
        Irreducible, of degree 2 … `MOST_HASH_BITS`; bit k is the coefficient of x**k.
    start
        The register's first bits; bit k is s_k.

    Returns
    -------
    int
        Bit j is h_j.

    Raises
    ------
    RemoteProtocolError
        The polynomial is not irreducible: a party sent one that collides on purpose.
    """
    degree = polynomial.bit_length() - 1
    if not 2 <= degree <= MOST_HASH_BITS or not is_irreducible(polynomial):
        raise RemoteProtocolError(f"a hash needs an irreducible polynomial of degree 2 to {MOST_HASH_BITS}")
    rest = _reduced(document, polynomial)
    sequence = _sequence(polynomial, start, 2 * degree - 1)
    return sum(((rest & sequence >> j).bit_count() & 1) << j for j in range(degree))


def _sequence(polynomial: int, start: int, length: int) -> int:
    """Return the first bits of the register's sequence, bit t being s_t."""
    degree = polynomial.bit_length() - 1
    taps, sequence = polynomial ^ 1 << degree, start
    for t in range(length - degree):
        sequence |= ((sequence >> t & taps).bit_count() & 1) << (t + degree)
    return sequence


def _reduced(document: bytes, polynomial: int) -> int:
    """Return M(x) x**b modulo the polynomial, stretches side by side and then one after another."""
    degree = polynomial.bit_length() - 1
    if len(document) <= _SHORT_BYTES:
        return remainder(int.from_bytes(document, "big") << degree, polynomial)
    data = np.frombuffer(document, np.uint8)
    lanes = -(-data.size // _LANE_BYTES)
    padded = np.zeros(lanes * _LANE_BYTES, np.uint8)
    # Zeros in front are coefficients of higher powers, and change nothing.
    padded[padded.size - data.size :] = data
    table = _byte_table(polynomial)
    step, rest = remainder(2, polynomial), 0
    for _ in range((8 * _LANE_BYTES).bit_length() - 1):
        step = multiply(step, step, polynomial)
    for lane in _lane_rests(padded.reshape(lanes, _LANE_BYTES), table).tolist():
        rest = multiply(rest, step, polynomial) ^ (lane >> (MOST_HASH_BITS - degree))
    return rest


def _lane_rests(lanes: npt.NDArray[np.uint8], table: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = np.zeros(lanes.shape[0], np.uint64)
    columns = np.ascontiguousarray(lanes.T)
    for column in columns:
        state = (state << np.uint64(8)) ^ table[(state >> np.uint64(56)).astype(np.intp) ^ column]
    return state


def _byte_table(polynomial: int) -> npt.NDArray[np.uint64]:
    """Return what each leading byte leaves, (256,) uint64, of a register aligned to the left."""
    aligned = polynomial << (MOST_HASH_BITS - (polynomial.bit_length() - 1))
    values = [remainder(byte << MOST_HASH_BITS, aligned) for byte in range(256)]
    return np.array(values, np.uint64)


def _gcd(a: int, b: int) -> int:
    while b:
        a, b = b, remainder(a, b)
    return a


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while divisor * divisor <= number:
        if number % divisor == 0:
            factors.append(divisor)
            while number % divisor == 0:
                number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors
