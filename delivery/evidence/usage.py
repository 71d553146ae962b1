"""What became of each key, as the audit log tells it: one record per key, without a bit of it.

A fact is noted before it happens, so that one delivery that failed and was tried again is noted twice. What a key was
made of is noted when it is promised, and the epsilon of each block when it comes in: a key's own is their sum, as in
the store, or what the relay noted. So the log alone tells everything while a running site holds its store; where the
store can be read, `faintlink.delivery.evidence.records` puts its records beside.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from faintlink.delivery.audit.records import Record
from faintlink.delivery.witness import Event

_OWN_NAMES = {"block_id", "peer", "bits", "epsilon"}
_SETTLED: Final[Mapping[str, str]] = {Event.KEYS_DELIVERED: "delivered", Event.KEYS_VOIDED: "void"}
_STATES: Final[Mapping[str, str]] = {Event.KEYS_RESERVED: "reserved", Event.KEYS_ASSIGNED: "ready", **_SETTLED}
_ROLES: Final[Mapping[str, str]] = {Event.KEYS_RESERVED: "master", Event.KEYS_ASSIGNED: "slave"}
_AT_THE_ENDS: Final[Mapping[str, str]] = {"arrived": "master", "taken in": "slave"}
"""What the relay says at a route's two ends; a site on the way keeps nothing of a key."""


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
    """Of the key's material; None where neither log nor store tells it."""
    blocks: tuple[str, ...] = ()
    """Distilled blocks that it was made of."""
    bits: int | None = None
    state: str = ""
    role: str = ""
    """Of this site: ``master`` or ``slave``."""
    peer: str = ""
    """The other site."""
    master: str = ""
    slave: str = ""

    @property
    def settled(self) -> Step | None:
        """The last fact that it was handed out or given up."""
        return next((step for step in reversed(self.steps) if step.event in _SETTLED), None)

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON."""
        steps = [
            {"utc": one.utc, "event": one.event, "by": one.subject, "role": one.role, "record": one.record}
            for one in self.steps
        ]
        return {
            "key_id": self.key_id,
            "state": self.state,
            "role": self.role,
            "peer": self.peer,
            "master": self.master,
            "slave": self.slave,
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
    utc: str
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
    unlike: tuple[str, ...] = ()
    """Keys of which log and store tell different blocks or epsilons."""

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
            key = keys.setdefault(key_id, KeyUse(key_id))
            key.steps.append(step)
            _learn(key, record)
    for key in keys.values():
        # What the relay noted is the sum over its hops, blocks of other sites included.
        if key.epsilon is None and key.blocks and all(name in blocks for name in key.blocks):
            key.epsilon = sum(blocks[name].epsilon for name in key.blocks)
    return Usage(keys, blocks, facts)


def _learn(key: KeyUse, record: Record) -> None:
    """Add to a key what a fact tells of it."""
    about = record.about
    if record.event in _SETTLED or key.state not in _SETTLED.values():
        # A promise is noted beside other work, and may stand behind what became of it.
        key.state = _STATES.get(record.event, key.state)
    key.role = _ROLES.get(record.event, key.role)
    if record.event == Event.KEYS_DELIVERED:
        key.role = str(about.get("role", key.role))
    elif record.event == Event.KEYS_RELAYED and (role := _AT_THE_ENDS.get(str(about.get("what")))):
        key.role, key.state = role, key.state if key.state in _SETTLED.values() else "ready"
        key.epsilon = about.get("epsilon")
    key.blocks = tuple(about.get("blocks", key.blocks))
    key.bits = about.get("bits", key.bits)
    key.master, key.slave = about.get("master", key.master), about.get("slave", key.slave)
    if route := about.get("route"):
        key.peer = route[0] if key.role == "slave" else route[-1]
    key.peer = about.get("peer", key.peer)


def _origin(record: Record) -> BlockOrigin:
    about = record.about
    return BlockOrigin(
        block=str(about.get("block_id", "")),
        peer=str(about.get("peer", "")),
        bits=int(about.get("bits", 0)),
        epsilon=float(about.get("epsilon", 0.0)),
        provenance={name: str(value) for name, value in about.items() if name not in _OWN_NAMES},
        utc=record.utc,
        record=record.n,
    )


def _has(key: KeyUse, event: Event) -> bool:
    return any(step.event == event for step in key.steps)
