"""Note in the audit log when a site's configuration is not that of its last start.

The log itself keeps what it was: a digest of each section of ``kme.yaml``, and of each file that says whom the site
trusts or how it relays. A digest tells an auditor that two configurations differ and which part of them does; it is no
copy, and private keys are not even read.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from faintlink.core.errors import ConfigError
from faintlink.delivery.audit.latest import latest
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.witness import Event, Fact, Witness


def note_change(folder: Path, config: KmeConfig, witness: Witness) -> bool:
    """Note that ``config`` is about to be in force, and return whether it differs from what was.

    Raises
    ------
    AuditError
        It cannot be noted, or what was noted before cannot be read.
    ConfigError
        A file that the configuration names cannot be read.
    """
    parts = digests(folder, config)
    last = latest(folder / config.audit, Event.CONFIG_CHANGED)
    before = _noted(last.about["parts"]) if last else {}
    if parts == before:
        return False
    about: dict[str, str | int | float | list[str]] = {
        "digest": digest_of(parts),
        "before": digest_of(before) if before else "",
        "changed": sorted(name for name in parts.keys() | before.keys() if parts.get(name) != before.get(name)),
        "parts": [f"{digest} {name}" for name, digest in sorted(parts.items())],
    }
    witness.note(Fact(Event.CONFIG_CHANGED, config.site, about))
    return True


def digests(folder: Path, config: KmeConfig) -> dict[str, str]:
    """Return the SHA-256 of each section of a configuration and of each public file that it names, by name.

    Raises
    ------
    ConfigError
        A file cannot be read.
    """
    sections = config.model_dump(mode="json")
    found = {name: digest_of(value) for name, value in sections.items()}
    return found | {f"file {name}": _digest_of_file(folder / name) for name in _files(config)}


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's JSON, its members sorted."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _files(config: KmeConfig) -> Iterator[str]:
    # Lists of revoked certificates change while the site runs, and only ever turn somebody away.
    for listener in (config.applications, config.sites):
        yield listener.authority
        yield listener.certificate
    for peer in config.peers:
        yield from (device.authority for device in peer.devices)
    if config.network:
        yield config.network


def _digest_of_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path}, which the configuration names, cannot be read: {error.strerror}", hint="put it back, or rename it"
        ) from None


def _noted(parts: list[str]) -> Mapping[str, str]:
    return {name: digest for digest, _, name in (part.partition(" ") for part in parts)}
