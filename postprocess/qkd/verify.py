"""Verification: a short universal hash tells whether two corrected keys are equal.

Used after reconciliation, on a whole block or on parts of it. Both parties hash with one seed that is drawn *after*
the last correction and may be public, and compare the tags; nothing here corrects anything. The tag's bits are
disclosed, so they are subtracted from the key: `VerificationCost.bits` is the term log2(2 / eps_cor) of the
key-length formulas, rounded up.

The hash is a composition. First the key, as m = ceil(n / 32) coefficients under the leading coefficient n, is a
polynomial over the field of p = 2**61 - 1 elements, evaluated at k points that the seed chooses. Two different keys
give different polynomials of degree at most m (m + 1 for different lengths); their difference has at most m + 1
roots; a point drawn as 61 bits (of which two strings mean 0) is a root with a chance of at most (m + 2) / 2**61. The
points are independent: e1 = ((m + 2) / 2**61)**k. Then the 61 k bits are mapped to b bits by a random binary
Toeplitz matrix, under which different words collide with a chance of exactly 2**-b. Together eps <= e1 + 2**-b.
With b = ceil(log2(2 / eps_cor)) and the least k with e1 <= eps_cor / 2, eps <= eps_cor.

Sources: Wegman and Carter, J. Comput. Syst. Sci. 22 (1981) 265 (composition, Toeplitz family of Krawczyk,
CRYPTO '94); Lim, Curty, Walenta, Xu and Zbinden, Phys. Rev. A 89 (2014) 022307 (the term log2(2 / eps_cor)).
"""

import hmac
import math
from dataclasses import dataclass

import numpy as np

from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, VerificationFailedError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels.polynomial import FIELD_BITS, PRIME, evaluate

MAX_BITS = 1 << 40
_COEFFICIENT_BITS = 32
_POINT_BYTES = 8


@dataclass(frozen=True, slots=True)
class VerificationCost:
    """What verifying a key of some length to some eps_cor takes; build it with `for_key`."""

    bits: int
    """Tag bits, all of them disclosed."""
    points: int
    """Points at which the polynomial is evaluated."""
    collision_bound: float
    """Chance that two different keys pass, at most."""

    @classmethod
    def for_key(cls, eps_cor: float, n: int) -> "VerificationCost":
        """Return the cost for keys of ``n`` bits.

        Raises
        ------
        LocalProtocolError
            ``eps_cor`` is not in (0, 1), or ``n`` not in 0 … 2**40.
        """
        if not 0.0 < eps_cor < 1.0:
            raise LocalProtocolError(f"eps_cor must lie between 0 and 1, got {eps_cor}")
        if not 0 <= n <= MAX_BITS:
            raise LocalProtocolError(f"a key to verify must have 0 to 2**40 bits, got {n}")
        bits = math.ceil(math.log2(2.0 / eps_cor))
        root = (-(-n // _COEFFICIENT_BITS) + 2) / 2.0**FIELD_BITS
        points = max(1, math.ceil(math.log(eps_cor / 2.0) / math.log(root)))
        return cls(bits, points, root**points + 2.0**-bits)

    @property
    def seed_bytes(self) -> int:
        """Bytes of fresh public seed."""
        return self.points * _POINT_BYTES + -(-(self.bits + self.points * FIELD_BITS - 1) // 8)


def tag_bits(eps_cor: float, n: int) -> int:
    """Return the bits that verifying ``n`` bits to ``eps_cor`` discloses."""
    return VerificationCost.for_key(eps_cor, n).bits


def verification_tag(bits: Bits, seed: bytes, *, eps_cor: float) -> bytes:
    """Return the tag of a key.

    Parameters
    ----------
    bits
        The corrected key, (n,) uint8.
    seed
        ``VerificationCost.for_key(eps_cor, n).seed_bytes`` bytes, drawn after the last correction.
    eps_cor
        Chance that different keys may pass.

    Returns
    -------
    bytes
        `VerificationCost.bits` bits, big-endian with leading zeros.
    """
    cost = VerificationCost.for_key(eps_cor, bits.size)
    if len(seed) != cost.seed_bytes:
        raise LocalProtocolError(f"the seed for this tag has {cost.seed_bytes} bytes, got {len(seed)}")
    packed = np.packbits(bits, bitorder="little")
    coefficients = np.zeros(-(-bits.size // _COEFFICIENT_BITS), np.uint32)
    coefficients.view(np.uint8)[: packed.size] = packed
    word = 0
    for index in range(cost.points):
        drawn = int.from_bytes(seed[index * _POINT_BYTES : (index + 1) * _POINT_BYTES], "little")
        point = (drawn & PRIME) % PRIME
        word = word << FIELD_BITS | int(evaluate(np.uint64(bits.size), coefficients, np.uint64(point)))
    return _toeplitz_tag(word, seed[cost.points * _POINT_BYTES :], cost)


def _toeplitz_tag(word: int, seed: bytes, cost: VerificationCost) -> bytes:
    diagonals = int.from_bytes(seed, "little")
    window = (1 << (cost.points * FIELD_BITS)) - 1
    tag = 0
    for row in range(cost.bits):
        tag |= ((diagonals >> row & window & word).bit_count() & 1) << row
    return tag.to_bytes(-(-cost.bits // 8), "big")


def tags_agree(ours: bytes, theirs: bytes) -> bool:
    """Return whether two tags are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(ours, theirs)


def verify(alice_bits: Bits, bob_bits: Bits, *, eps_cor: float, entropy: Entropy) -> VerificationCost:
    """Compare both keys of one process by their tags, and return what it cost.

    Raises
    ------
    VerificationFailedError
        The keys differ.
    """
    cost = VerificationCost.for_key(eps_cor, alice_bits.size)
    seed = entropy.draw(cost.seed_bytes, "verification")
    same_size = alice_bits.size == bob_bits.size
    if not same_size or not tags_agree(
        verification_tag(alice_bits, seed, eps_cor=eps_cor), verification_tag(bob_bits, seed, eps_cor=eps_cor)
    ):
        raise VerificationFailedError(
            f"the corrected keys of {alice_bits.size} bits differ",
            hint="the block is lost and its leak counts; check the QBER hint given to the reconciliation",
            bits=alice_bits.size,
        )
    return cost
