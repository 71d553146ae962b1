"""What became of each key, as the audit log tells it: one record per key, without a bit of it.

A fact is noted before it happens, so that one delivery that failed and was tried again is noted twice. Which blocks a
key was made of, and its epsilon, stand in the store's records; `faintlink.delivery.evidence.records` adds them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faintlink.delivery.audit.records import Record
from faintlink.delivery.witness import Event

_OWN_NAMES = {"block_id", "peer", "bits", "epsilon"}


@dataclass(frozen=True, slots=True)
class Step:
    """One fact about a key."""

    utc: str
    event: str
    subject: str
    role: str
    record: int
    """Number of the fact in the audit log."""


@dataclass(slots=True)
class KeyUse:
    """Everything that is told of a key."""

    key_id: str
    steps: list[Step] = field(default_factory=list)
    epsilon: float | None = None
    """Of the key's material; None where the store was not read."""
    blocks: tuple[str, ...] = ()
    """Distilled blocks that it was made of."""
    bits: int | None = None
    state: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        steps = [
            {"utc": one.utc, "event": one.event, "by": one.subject, "role": one.role, "record": one.record}
            for one in self.steps
        ]
        return {
            "key_id": self.key_id,
            "state": self.state,
            "bits": self.bits,
            "epsilon": self.epsilon,
            "blocks": list(self.blocks),
            "steps": steps,
        }


@dataclass(frozen=True, slots=True)
class BlockOrigin:
    """Where a distilled block came from."""

    block: str
    peer: str
    bits: int
    epsilon: float
    provenance: Mapping[str, str]
    """Run, hashes of its file and configuration, program version: whatever the node said."""
    record: int
    """Number of the fact in the audit log."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a log tells of keys and blocks."""

    keys: Mapping[str, KeyUse]
    """By key, in the order of their first fact."""
    blocks: Mapping[str, BlockOrigin]
    facts: Mapping[str, int]
    """Number of facts by kind."""

    @property
    def epsilon_of_blocks(self) -> float:
        """Sum over all blocks: what all their keys together may fail with."""
        return sum(block.epsilon for block in self.blocks.values())

    @property
    def untraced(self) -> list[str]:
        """Delivered keys whose blocks are not all known; relayed keys have none and are left out."""
        delivered = [key for key in self.keys.values() if _has(key, Event.KEYS_DELIVERED)]
        return [
            key.key_id
            for key in delivered
            if not _has(key, Event.KEYS_RELAYED) and not (key.blocks and set(key.blocks) <= set(self.blocks))
        ]


def gather(log: Iterable[Record]) -> Usage:
    """Return what the records of an audit log tell of keys and blocks."""
    keys: dict[str, KeyUse] = {}
    blocks: dict[str, BlockOrigin] = {}
    facts: dict[str, int] = {}
    for record in log:
        facts[record.event] = facts.get(record.event, 0) + 1
        if record.event == Event.BLOCK_INGESTED:
            block = _origin(record)
            blocks[block.block] = block
        named = record.about.get("key_ids")
        for key_id in named if isinstance(named, list) else ():
            step = Step(record.utc, record.event, record.subject, str(record.about.get("role", "")), record.n)
            keys.setdefault(key_id, KeyUse(key_id)).steps.append(step)
    return Usage(keys, blocks, facts)


def _origin(record: Record) -> BlockOrigin:
    about = record.about
    return BlockOrigin(
        block=str(about.get("block_id", "")),
        peer=str(about.get("peer", "")),
        bits=int(about.get("bits", 0)),
        epsilon=float(about.get("epsilon", 0.0)),
        provenance={name: str(value) for name, value in about.items() if name not in _OWN_NAMES},
        record=record.n,
    )


def _has(key: KeyUse, event: Event) -> bool:
    return any(step.event == event for step in key.steps)
