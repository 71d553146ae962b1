"""Audit logs to tamper with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faintlink.delivery.audit.limits import AuditLimits
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.audit.signing import AuditKey
from faintlink.delivery.audit.verify import Verification, verify
from faintlink.delivery.witness import Event, Fact

BLOCK: dict[str, str | int | float | list[str]] = {
    "block_id": "block-1",
    "peer": "site-b",
    "bits": 512,
    "epsilon": 1e-10,
    "run_id": "run-1",
    "link_sha256": "ab",
}
"""What is told of a block that comes in."""


def fact(number: int) -> Fact:
    return Fact(Event.KEYS_DELIVERED, "urn:sae:a", {"key_ids": [f"key-{number}"], "bits": 256})


@dataclass
class Home:
    """Where a log, its key and its anchors are."""

    folder: Path
    key: AuditKey
    anchors: Path

    @classmethod
    def make(cls, place: Path) -> "Home":
        (place / "elsewhere").mkdir(parents=True)
        return cls(place / "log", AuditKey.create(place / "audit.key"), place / "elsewhere" / "anchors")

    def open(self, limits: AuditLimits | None = None, monotonic: Callable[[], float] = lambda: 0.0) -> AuditLog:
        return AuditLog(self.folder, self.key, anchors=self.anchors, site="site-a", limits=limits, monotonic=monotonic)

    def filled(self, facts: int, limits: AuditLimits | None = None) -> "Home":
        log = self.open(limits)
        for number in range(facts):
            log.note(fact(number))
        log.close()
        return self

    def verified(self) -> Verification:
        return verify(self.folder, anchors=self.anchors, key=self.key.public())
