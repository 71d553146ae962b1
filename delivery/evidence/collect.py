"""Collect the sections of an evidence pack. Each is made alone: one that cannot be made says why, and the others stand.

Nothing here opens a key store with its master key, and no section holds a bit of a key.
"""

import hashlib
import platform
import sqlite3
import ssl
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from faintlink.core import __version__
from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import FaintlinkError, StoreError
from faintlink.delivery import access
from faintlink.delivery.audit.signing import AuditPublicKey
from faintlink.delivery.audit.site import LOG_FOLDER, public_key, verify_site_log
from faintlink.delivery.audit.verify import acknowledged
from faintlink.delivery.evidence import sbom
from faintlink.delivery.evidence.families import CLAIM, FAMILIES
from faintlink.delivery.evidence.records import with_store
from faintlink.delivery.evidence.usage import Usage, gather
from faintlink.delivery.selftest import integrity
from faintlink.delivery.selftest.known_answers import try_all, vectors
from faintlink.delivery.selftest.source import FALSE_ALARM, HealthTestedEntropy

FORMAT = "faintlink-evidence/1"
_READ: Final = "read"
_PUBLIC_SUFFIXES: Final = {".yaml", ".crt", ".crl", ".pub"}
"""Files of a site that are hashed; keys and stores are not even read."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the evidence of a site is. What is left out is missing in the pack, which says so."""

    site: Path | None = None
    """Folder with ``kme.yaml`` and certificates."""
    audit: Path | None = None
    """Folder of the audit."""
    anchors: Path | None = None
    """The auditor's own copy of the anchors."""
    key: Path | None = None
    """The auditor's own copy of the public audit key."""
    store: Path | None = None
    """Database file of the key store."""
    manifest: Path | None = None
    """Of the installed files."""


@dataclass(frozen=True, slots=True)
class Pack:
    """What was collected."""

    sections: Mapping[str, Any]
    """By name, each a JSON object with ``is_good``: true, false, or null where there is nothing to judge."""
    bom: Mapping[str, Any]
    """CycloneDX."""
    usage: Usage | None
    made_utc: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def is_good(self) -> bool:
        """Whether no section found a fault."""
        return all(section["is_good"] is not False for section in self.sections.values())

    def as_data(self) -> dict[str, Any]:
        """Return it for JSON, without what stands in files of its own."""
        families = [{**asdict(one), "standing": str(one.standing)} for one in FAMILIES]
        head = {"format": FORMAT, "claim": CLAIM, "made_utc": self.made_utc, "is_good": self.is_good}
        return {**head, "sections": dict(self.sections), "families": families}


def collect(sources: Sources) -> Pack:
    """Return the evidence that there is."""
    bom = sbom.as_cyclonedx(sbom.components())
    usage: list[Usage] = []
    sections = {
        "versions": _made(_versions),
        "components": _made(lambda: {"is_good": True, "distributions": len(bom["components"]) + 1}),
        "integrity": _made(lambda: _integrity(sources.manifest)),
        "self_tests": _made(_self_tests),
        "permissions": _made(_permissions),
        "configuration": _made(lambda: _configuration(sources.site)),
        "audit": _made(lambda: _audit(sources)),
        "usage": _made(lambda: _usage(sources, usage)),
        "epsilon": _made(lambda: _epsilon(usage)),
        "threats": {"is_good": None, "page": "docs/explanation/threat-model.md", "version": __version__},
    }
    return Pack(sections, bom, usage[0] if usage else None)


def _made(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return make()
    except FaintlinkError as error:
        return {"is_good": False, "failed": error.message, "hint": error.hint}


def _absent(what: str) -> dict[str, Any]:
    return {"is_good": None, "absent": f"{what} was not named"}


def _versions() -> dict[str, Any]:
    return {
        "is_good": None,
        "faintlink": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
    }


def _integrity(manifest: Path | None) -> dict[str, Any]:
    found = integrity.measure()
    section: dict[str, Any] = {"is_good": None, "files": len(found), "digest": integrity.digest(found)}
    if manifest is None:
        return {**section, "absent": "a manifest was not named"}
    integrity.check(manifest)
    return {**section, "is_good": True, "manifest": str(manifest)}


def _self_tests() -> dict[str, Any]:
    results = try_all(vectors())
    source = HealthTestedEntropy(OsEntropy())
    return {
        "is_good": all(result.has_passed for result in results),
        "known_answers": [
            {"name": one.name, "origin": one.origin, "passed": one.has_passed, "seconds": round(one.seconds, 4)}
            for one in results
        ],
        "random_source": {
            "source": "operating system",
            "startup_bits": source.tested_bits,
            "alpha": FALSE_ALARM,
            "repetition_cutoff": source.repetition_cutoff,
            "proportion_cutoff": source.proportion_cutoff,
        },
    }


def _permissions() -> dict[str, Any]:
    return {
        "is_good": None,
        "roles": [str(role) for role in access.Role],
        "matrix": {
            str(action): {str(role): access.is_allowed(role, action) for role in access.Role}
            for action in access.Action
        },
        "two_persons": {str(action): sorted(map(str, roles)) for action, roles in access.SECOND_PERSON.items()},
        "never_together": [sorted(map(str, pair)) for pair in access.NEVER_TOGETHER],
        "unix_groups": {name: str(role) for name, role in access.UNIX_GROUPS.items()},
    }


def _configuration(site: Path | None) -> dict[str, Any]:
    if site is None:
        return _absent("the folder of a site")
    files = sorted(path for path in site.rglob("*") if path.suffix in _PUBLIC_SUFFIXES and path.is_file())
    hashes = {str(path.relative_to(site)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"is_good": bool(hashes), "sha256": hashes}


def _audit(sources: Sources) -> dict[str, Any]:
    if sources.audit is None:
        return _absent("the folder of the audit")
    key = AuditPublicKey.open(sources.key) if sources.key else public_key(sources.audit)
    found = verify_site_log(sources.audit, anchors=sources.anchors, key=key)
    own = {"anchors": sources.anchors is not None, "key": sources.key is not None}
    return {
        "is_good": found.is_sound,
        **{name: value for name, value in asdict(found).items() if name != "faults"},
        "faults": [asdict(fault) for fault in found.faults],
        "key": key.fingerprint,
        "auditors_own_copies": own,
    }


def _usage(sources: Sources, found: list[Usage]) -> dict[str, Any]:
    if sources.audit is None:
        return _absent("the folder of the audit")
    sound = verify_site_log(
        sources.audit,
        anchors=sources.anchors,
        key=AuditPublicKey.open(sources.key) if sources.key else None,
    )
    usage = gather(acknowledged(sources.audit / LOG_FOLDER, until=sound.records))
    store: dict[str, Any] = {"store": "not named"}
    if sources.store is not None:
        usage, store = _with_store(usage, sources.store)
    found.append(usage)
    untraced = usage.untraced
    # What neither the log nor a store that could not be read tells is no fault yet.
    is_traced = not untraced or (False if store["store"] == _READ else None)
    return {
        "is_good": False if usage.unlike else is_traced,
        "keys": len(usage.keys),
        "untraced": len(untraced),
        "delivered_and_not_traced_to_blocks": untraced[:100],
        "log_and_store_differ": list(usage.unlike[:100]),
        "facts": dict(usage.facts),
        "blocks": [asdict(block) for block in usage.blocks.values()],
        **store,
    }


def _with_store(usage: Usage, path: Path) -> tuple[Usage, dict[str, Any]]:
    try:
        return with_store(usage, path), {"store": _READ}
    except StoreError as error:
        # A running site holds its store: the log tells of blocks and epsilons too.
        return usage, {"store": f"not read: {error.message}", "hint": error.hint}


def _epsilon(usage: list[Usage]) -> dict[str, Any]:
    if not usage:
        return _absent("the folder of the audit")
    (found,) = usage
    known = [key.epsilon for key in found.keys.values() if key.epsilon is not None]
    return {
        "is_good": None,
        "blocks": len(found.blocks),
        "sum_over_blocks": found.epsilon_of_blocks,
        "keys_with_epsilon": len(known),
        "largest_of_a_key": max(known, default=None),
        "meaning": "the sum bounds the chance that any key of these blocks fails; a key's own epsilon is that of its"
        " blocks",
    }
