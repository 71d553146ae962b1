"""Security and cost of quantum digital signatures, and the search for the cheapest parameters.

Used by the parties, which refuse parameters that do not fit, and by ``faintlink qds plan``. It never sees a key. The
forms of the two schemes are those of Lim et al.; tails and sums are exact fractions and only then rounded.

Sources: S. M. Lim, C.-T. Liao, A. Marin, J.-S. Kersaint Tournebize, "Practical Implementation of Quantum Digital
Signatures on BB84-based Hardware" (epsilons and lengths of both schemes; published parameter rows), after
F. Grasselli et al.; H. Krawczyk, CRYPTO '94, 129 (the hash).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from faintlink.core.errors import ConfigError

MOST_HASH_BITS = 64
"""Widest hash that is implemented."""
MOST_BLOCKS = 512
MOST_MESSAGE_BITS = 2**33
DEFAULT_BUDGET = Fraction(1, 10**10)
"""Forging and repudiation together, as in the published rows."""


class Variant(StrEnum):
    """How the keys of the two links enter a signature."""

    BLOCK = "block"
    """2n signatures under n blocks of each link; half of the blocks are exchanged beforehand."""
    SEQUENCE = "sequence"
    """One signature under the sum of both links' keys, which are exchanged afterwards."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What all three parties agree on before a signature."""

    variant: Variant
    """The scheme."""
    message_bits: int
    """Length of the document, b_M; a multiple of 8."""
    hash_bits: int
    """Length of the hash, b_H."""
    tag_bits: int
    """Length of the hash between receiver and verifier, b'_H."""
    blocks: int = 0
    """Key blocks of each link, n; even. 0 for `Variant.SEQUENCE`."""
    max_errors: int = 0
    """Wrong signatures that the verifier puts up with, e_max."""

    def __post_init__(self) -> None:
        if not (8 <= self.message_bits <= MOST_MESSAGE_BITS and self.message_bits % 8 == 0):
            raise ConfigError(f"a document has 8 to {MOST_MESSAGE_BITS} bits in whole bytes, got {self.message_bits}")
        for name, bits in (("hash_bits", self.hash_bits), ("tag_bits", self.tag_bits)):
            if not 2 <= bits <= MOST_HASH_BITS:
                raise ConfigError(
                    f"{name} must lie in 2..{MOST_HASH_BITS}, got {bits}", hint="plan with a larger budget"
                )
        if self.variant is Variant.SEQUENCE and (self.blocks or self.max_errors):
            raise ConfigError("the sequence scheme has neither blocks nor errors", hint="leave both at 0")
        if self.variant is Variant.BLOCK and not (2 <= self.blocks <= MOST_BLOCKS and self.blocks % 2 == 0):
            raise ConfigError(f"blocks must be even and lie in 2..{MOST_BLOCKS}, got {self.blocks}")
        if self.variant is Variant.BLOCK and not 0 <= self.max_errors <= self.blocks // 2:
            raise ConfigError(f"max_errors must lie in 0..{self.blocks // 2}, got {self.max_errors}")

    @property
    def signatures(self) -> int:
        """Signatures of one document."""
        return 2 * self.blocks if self.variant is Variant.BLOCK else 1

    @property
    def block_bits(self) -> int:
        """Key bits of one signature: seed of the hash and pad of hash and polynomial, 3 b_H."""
        return 3 * self.hash_bits

    @property
    def link_bits(self) -> int:
        """Key bits that each of the signer's links gives."""
        return self.block_bits * max(1, self.blocks)

    @property
    def total_bits(self) -> float:
        """Shared bits that the authors count for one document, l_total; `qds-used.jsonl` says what was really used."""
        if self.variant is Variant.SEQUENCE:
            return 6.0 * self.hash_bits + 5.0 * self.tag_bits
        n = self.blocks
        return 9.0 * n * self.hash_bits + n * math.log2(n) + 5.0 * self.tag_bits

    @property
    def eps_forge(self) -> Fraction:
        """Bound of the probability that a dishonest receiver has another document accepted, eps_for."""
        single = Fraction(self.message_bits, 2 ** (self.hash_bits - 1))
        if self.variant is Variant.SEQUENCE:
            return min(Fraction(1), single)
        half = self.blocks // 2
        return binomial_tail(half, half - self.max_errors, min(Fraction(1), single))

    @property
    def eps_repudiate(self) -> Fraction:
        """Bound of the probability that a dishonest signer has receiver and verifier disagree, eps_rep.

        Notes
        -----
        The product runs over i < e_max, as in the authors' code; over i <= e_max, as in their text, it is smaller.
        """
        unit = 2 ** (self.tag_bits - 1)
        if self.variant is Variant.SEQUENCE:
            return min(Fraction(1), Fraction(max(2 * self.hash_bits + self.message_bits, 3 * self.hash_bits), unit))
        channel = Fraction(self.message_bits + 4 * self.blocks * self.hash_bits, unit)
        return min(Fraction(1), max(unseen(self.blocks, self.max_errors), channel))

    @property
    def epsilon(self) -> Fraction:
        """Both together."""
        return self.eps_forge + self.eps_repudiate


def binomial_tail(n: int, k: int, p: Fraction) -> Fraction:
    """Return P[Bin(n, p) >= k] exactly."""
    up, down = p.numerator, p.denominator - p.numerator
    hits = sum(math.comb(n, j) * up**j * down ** (n - j) for j in range(max(k, 0), n + 1))
    return Fraction(hits, p.denominator**n)


def unseen(blocks: int, errors: int) -> Fraction:
    """Return the probability that ``errors`` wrong blocks all lie outside a random half of ``blocks``."""
    product = Fraction(1)
    for i in range(errors):
        product *= Fraction(blocks // 2 - i, blocks - i)
    return product


def plan(variant: Variant, message_bits: int, budget: Fraction = DEFAULT_BUDGET) -> Parameters:
    """Return the parameters with the fewest shared bits for a document within a budget.

    Raises
    ------
    ConfigError
        None fits, with hashes of up to `MOST_HASH_BITS` bits.
    """
    best: Parameters | None = None
    candidates = _sequences(message_bits, budget) if variant is Variant.SEQUENCE else _blocks(message_bits, budget)
    for found in candidates:
        if best is None or found.total_bits < best.total_bits:
            best = found
    if best is None:
        raise ConfigError(
            f"no {variant} parameters keep {message_bits} bits within {float(budget):.3g}",
            hint="allow a larger budget, or sign a digest of the document",
        )
    return best


def _sequences(message_bits: int, budget: Fraction) -> Iterator[Parameters]:
    for hash_bits in range(2, MOST_HASH_BITS + 1):
        left = budget - Fraction(message_bits, 2 ** (hash_bits - 1))
        tag_bits = _tag_bits(max(2 * hash_bits + message_bits, 3 * hash_bits), left)
        if tag_bits:
            yield Parameters(Variant.SEQUENCE, message_bits, hash_bits, tag_bits)


def _blocks(message_bits: int, budget: Fraction) -> Iterator[Parameters]:
    fewest = math.inf
    for blocks in range(2, MOST_BLOCKS, 2):
        least = next((e for e in range(blocks // 2 + 1) if unseen(blocks, e) <= budget), None)
        if least is None:
            continue
        for hash_bits in range(max(2, math.ceil(math.log2(message_bits)) + 1), MOST_HASH_BITS + 1):
            if 9 * blocks * hash_bits >= fewest:
                break
            found = _block(message_bits, budget, blocks, hash_bits, least)
            if found is not None:
                fewest = min(fewest, found.total_bits)
                yield found


def _block(message_bits: int, budget: Fraction, blocks: int, hash_bits: int, least: int) -> Parameters | None:
    # More errors than needed only help the forger, so that the fewest that fit are the best.
    single = min(Fraction(1), Fraction(message_bits, 2 ** (hash_bits - 1)))
    for errors in range(least, blocks // 2 + 1):
        left = budget - binomial_tail(blocks // 2, blocks // 2 - errors, single)
        if left <= 0:
            return None
        tag_bits = _tag_bits(message_bits + 4 * blocks * hash_bits, left)
        if tag_bits and unseen(blocks, errors) <= left:
            return Parameters(Variant.BLOCK, message_bits, hash_bits, tag_bits, blocks, errors)
    return None


def _tag_bits(numerator: int, left: Fraction) -> int:
    """Return the fewest bits b with numerator / 2**(b-1) <= left, 0 where there are too many."""
    if left <= 0:
        return 0
    return next((b for b in range(2, MOST_HASH_BITS + 1) if Fraction(numerator, 2 ** (b - 1)) <= left), 0)
