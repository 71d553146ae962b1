"""What the rest of a site tells the audit log and the metrics, so that neither is imported by those who tell.

An event is told *before* what it is about is released: a witness that cannot write raises, and nothing is released.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Event(StrEnum):
    """What is worth a line in the audit log."""

    STARTED = "started"
    STOPPED = "stopped"
    SELF_TEST = "self_test"
    BLOCK_INGESTED = "block_ingested"
    KEYS_RESERVED = "keys_reserved"
    KEYS_ASSIGNED = "keys_assigned"
    KEYS_DELIVERED = "keys_delivered"
    KEYS_VOIDED = "keys_voided"
    KEYS_RELAYED = "keys_relayed"
    LEDGERS_COMPARED = "ledgers_compared"
    ACCESS_DENIED = "access_denied"
    ENROLLED = "enrolled"
    REVOKED = "revoked"
    TRUST_CHANGED = "trust_changed"
    ZEROIZED = "zeroized"
    BACKUP = "backup"
    CONFIG_CHANGED = "config_changed"


@dataclass(frozen=True, slots=True)
class Fact:
    """One event. ``about`` holds names and numbers, never key material."""

    event: Event
    subject: str
    """Who did it: an application, a peer, an operator, or the site itself."""
    about: Mapping[str, str | int | float | list[str]] = field(default_factory=dict)


class Witness(Protocol):
    """Keeps facts."""

    def note(self, fact: Fact) -> None:
        """Keep a fact; it is durable when this returns.

        Raises
        ------
        AuditError
            It cannot be kept.
        """
        ...


class SilentWitness:
    """Keeps nothing; for tests and benches."""

    def note(self, fact: Fact) -> None:
        """Pass over it."""
