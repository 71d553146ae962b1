"""The universal hash families that may amplify a key, behind one small interface.

A link's policy names a family; whoever amplifies looks it up here. Both families are universal_2 with the collision
chance of at most 2**-r, so a key length that holds for one holds for the other; they differ in seed and speed.

Sources: as `faintlink.postprocess.qkd.amplify` and `faintlink.postprocess.qkd.modular_hash`.
"""

from dataclasses import dataclass
from typing import Protocol

from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd import amplify, modular_hash

_LEFTOVER = "eps_PA <= 2**(-(H_min - r) / 2) / 2 (leftover hash lemma, Tomamichel et al. 2011)"


class HashFamily(Protocol):
    """A universal_2 family of functions from n to r bits."""

    @property
    def name(self) -> str:
        """What a policy calls it."""
        ...

    @property
    def epsilon_statement(self) -> str:
        """What it is proved to do, with the proof's place."""
        ...

    def check(self, n: int) -> None:
        """Refuse keys of ``n`` bits if they cannot be hashed with what is installed.

        Raises
        ------
        ConfigError
            Another family, or a library, is needed.
        """
        ...

    def seed_bytes(self, n: int, r: int) -> int:
        """Return the bytes of fresh seed that hashing ``n`` bits to ``r`` takes."""
        ...

    def hash(self, bits: Bits, seed: bytes, r: int) -> Bits:
        """Return the (r,) uint8 hash of (n,) uint8 ``bits``."""
        ...


@dataclass(frozen=True, slots=True)
class ToeplitzFamily:
    """Modified Toeplitz matrices (I|T); a seed of n - 1 bits, needs nothing but scipy."""

    name: str = "toeplitz"
    """What a policy calls it."""
    epsilon_statement: str = f"universal_2: collisions <= 2**-r (module amplify); {_LEFTOVER}"
    """What it is proved to do."""

    def check(self, n: int) -> None:
        """Accept keys of any length."""

    def seed_bytes(self, n: int, r: int) -> int:
        """Return the bytes of fresh seed that hashing ``n`` bits to ``r`` takes."""
        return amplify.seed_bytes(n, r)

    def hash(self, bits: Bits, seed: bytes, r: int) -> Bits:
        """Return the (r,) uint8 hash of (n,) uint8 ``bits``."""
        return amplify.toeplitz_hash(bits, seed, r)


@dataclass(frozen=True, slots=True)
class ModularFamily:
    """((a x + b) mod 2**(n+r-1)) >> (n-1); a seed of 2 (n + r - 1) bits, fast with gmpy2."""

    name: str = "modular"
    """What a policy calls it."""
    epsilon_statement: str = f"universal_2: collisions = 2**-r (module modular_hash); {_LEFTOVER}"
    """What it is proved to do."""

    def check(self, n: int) -> None:
        """Refuse keys that are too long for Python's own integers when gmpy2 is missing."""
        if n > modular_hash.FALLBACK_BITS and not modular_hash.has_fast_integers():
            raise ConfigError(
                f"the modular hash of {n} bits takes gmpy2, at most {modular_hash.FALLBACK_BITS} bits go without",
                hint="pip install 'faintlink[fast]' on both nodes, or set distillation: hash_family: toeplitz",
            )

    def seed_bytes(self, n: int, r: int) -> int:
        """Return the bytes of fresh seed that hashing ``n`` bits to ``r`` takes."""
        return modular_hash.seed_bytes(n, r)

    def hash(self, bits: Bits, seed: bytes, r: int) -> Bits:
        """Return the (r,) uint8 hash of (n,) uint8 ``bits``."""
        return modular_hash.modular_hash(bits, seed, r)


FAMILIES: dict[str, HashFamily] = {family.name: family for family in (ToeplitzFamily(), ModularFamily())}
"""All families by name."""


def get(name: str) -> HashFamily:
    """Return the family of a name.

    Raises
    ------
    LocalProtocolError
        There is none.
    """
    if name not in FAMILIES:
        raise LocalProtocolError(
            f"no hash family is called {name!r}", hint=f"choose one of {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[name]
