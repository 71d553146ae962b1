"""What a key store holds: stock that came from links, and keys that are promised to a pair of applications.

*Stock* is what a link's nodes distilled, cut into units of `UNIT_BITS`. Both sites cut the same block in the same way,
so that ``(block, number)`` names the same bits at both. Every unit belongs to one pool (`Pool`), decided by the cut
and not by who asks first: both sites can promise keys at the same time without asking each other who may.

A *key* is what an application gets. Its material leaves the stock in the moment in which it is promised, and leaves the
store in the moment in which it is handed out: at most once to the master's application here, or at most once to the
slave's application there. A key goes through `KeyState` in one direction only.

Nothing here shows key material in its ``repr``.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from faintlink.core.errors import ConfigError

UNIT_BITS = 256
"""Bits of a unit of stock."""
UNIT_BYTES = UNIT_BITS // 8


class Pool(StrEnum):
    """Who may take a unit of a link's stock, and for what."""

    OURS = "ours"
    """Keys whose master application is at this site."""
    THEIRS = "theirs"
    """Keys whose master application is at the other site; taken only as that site names them."""
    RESERVE_OURS = "reserve_ours"
    """Relay and authentication towards the other site; never an application's."""
    RESERVE_THEIRS = "reserve_theirs"
    """Relay and authentication from the other site; never an application's."""


class Role(StrEnum):
    """On which side of a key this site stands."""

    MASTER = "master"
    """The application here asked for the key."""
    SLAVE = "slave"
    """The application here is told the key's name by the master's."""


class KeyState(StrEnum):
    """Where a key stands; it only ever moves down this list."""

    RESERVED = "reserved"
    """Master's site: taken from the stock, the other site has not agreed yet. May not be handed out."""
    READY = "ready"
    """Both sites have it; the application may fetch it."""
    DELIVERED = "delivered"
    """Handed out; the material is destroyed."""
    VOID = "void"
    """Given up on both sides; the material is destroyed."""


@dataclass(frozen=True, slots=True, order=True)
class UnitId:
    """The name of a unit of stock, equal at both sites."""

    block: str
    """Key name (UUID) of the distilled block."""
    number: int
    """From 0, in the order of the block's bits."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a block becomes units: part of what both sites must have in common."""

    first_site: str
    """The site that the first share belongs to; the one whose name sorts first."""
    share_first: int = 50
    """Per cent of the units beyond the reserve whose master is at ``first_site``."""
    share_reserve: int = 10
    """Per cent of the units that are kept for relay and authentication."""

    def __post_init__(self) -> None:
        if not (0 <= self.share_first <= 100 and 0 <= self.share_reserve < 100):
            raise ConfigError(
                f"shares of {self.share_first} % and {self.share_reserve} % make no cut",
                hint="share_first lies within 0 and 100, share_reserve within 0 and 99",
            )

    def pool(self, number: int, site: str) -> Pool:
        """Return the pool of a unit as ``site`` sees it.

        Every hundred units hold the reserve first; reserve and rest are each divided between the sites in turns, so
        that a short block serves both.
        """
        place = number % 100
        reserved = place < self.share_reserve
        width = self.share_reserve if reserved else 100 - self.share_reserve
        index = place if reserved else place - self.share_reserve
        share = 50 if reserved else self.share_first
        is_first = (index + 1) * share // 100 > index * share // 100 if width else False
        mine = is_first == (site == self.first_site)
        if reserved:
            return Pool.RESERVE_OURS if mine else Pool.RESERVE_THEIRS
        return Pool.OURS if mine else Pool.THEIRS


@dataclass(frozen=True, slots=True)
class Block:
    """A distilled key of a link, on its way into the store."""

    block_id: str
    """Key name (UUID), equal at both sites."""
    material: bytes = field(repr=False, compare=False)
    """The bits, most significant first."""
    epsilon: float
    """Total security parameter of the block."""
    provenance: dict[str, str] = field(default_factory=dict)
    """Run, file hash, configuration hash, program version; shown to auditors."""


@dataclass(frozen=True, slots=True)
class Stock:
    """How much of a pool there is."""

    units: int
    bits: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """A key that is promised to a pair of applications, without its material."""

    key_id: str
    """UUID, equal at both sites."""
    bits: int
    """Length of the key; the units' bits beyond it are destroyed."""
    master: str
    """Name of the application (SAE) that asked."""
    slave: str
    """Name of the application that may fetch it at the other site."""
    units: tuple[UnitId, ...]
    """What it is made of; empty for a relayed key, which is not made of a shared stock."""


Placed: TypeAlias = tuple[Assignment, bytes | bytearray | memoryview]
"""A relayed key and its material, which stays the caller's."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Everything that may be known of a key, kept after its material is gone."""

    assignment: Assignment
    peer: str
    """The other site."""
    role: Role
    state: KeyState
    epsilon: float
    """Sum of the epsilons of the blocks it was made of."""
    blocks: tuple[str, ...]
    """Distilled blocks it was made of, so that it can be traced to a run file."""
    created_utc: str
    settled_utc: str | None
    """When it was delivered or given up."""
    reason: str = ""
    """Why it was given up."""


@dataclass(frozen=True, slots=True)
class DeliveredKey:
    """A key that is handed out now and never again."""

    key_id: str
    bits: int
    material: bytearray = field(repr=False, compare=False)
    """Owned by the caller, who overwrites it when it is sent."""


@dataclass(frozen=True, slots=True)
class BlockLedger:
    """Which units of a block one site still holds: what two sites compare without showing a bit of key."""

    block: str
    units: int
    """Number of units of the block, used ones included."""
    free: bytes
    """Bitmap, unit 0 in the most significant bit of the first byte; 1 where the unit is still in the stock."""
