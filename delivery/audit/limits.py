"""How an audit log spaces what it does besides noting facts, and which facts it keeps room for."""

from dataclasses import dataclass

from faintlink.delivery.witness import Event

LAST_WORDS = frozenset({Event.ZEROIZED, Event.KEYS_VOIDED, Event.STOPPED})
"""Facts that are noted even when the disk is full, in room that is kept for them."""


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """When an audit log makes anchors and new segments."""

    anchor_records: int = 1000
    """Most records without an anchor."""
    anchor_seconds: float = 3600.0
    """Longest time without an anchor while there are new records."""
    head_seconds: float = 1.0
    """Longest time until the head is on the disk: what somebody may cut off unnoticed after a crash of the machine. 0
    synchronises it with each fact."""
    segment_records: int = 100_000
    """Records of a segment before the next is begun."""
