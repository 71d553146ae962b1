"""Whom a site trusts, in words; and that it does not start on another trust than the one in force.

The audit log keeps what is in force. Where the rule of two persons is on, only a change that two officers approved
(`faintlink.delivery.kme.approving`) puts something else into force: files that somebody edited or exchanged by hand
keep the site from starting. Where it is off, a start notes what has changed and goes on.

The rule is on where officers are named, and where the certificates are not of the development authority, unless
``two_persons`` says otherwise. That word is part of the trust itself: it cannot be taken back by one person.

It is a rule of the program. Whoever controls the machine, or the site's account, can run another program; the audit
log, with anchors kept elsewhere, is what shows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faintlink.core.errors import AccessDeniedError, ConfigError
from faintlink.delivery.audit.latest import latest
from faintlink.delivery.kme.changes import digest_of
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.pki.authority import fingerprint, is_development
from faintlink.delivery.witness import Event, Fact, Witness

Read = Callable[[str], bytes]
"""Returns a file by its path in the site's folder."""
Parts = Mapping[str, str]
"""Who or what is trusted, and by what it is known."""
_RULE = "two persons"
_FIRST = "is_first"


def reader(folder: Path, instead: Mapping[str, str] | None = None) -> Read:
    """Return what reads files of a site, some of them as they are to be."""

    def read(name: str) -> bytes:
        if instead and name in instead:
            return instead[name].encode()
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise ConfigError(
                f"{folder / name}, which the configuration names, cannot be read: {error.strerror}",
                hint="put it back, or rename it",
            ) from None

    return read


def takes_two(config: KmeConfig, read: Read) -> bool:
    """Return whether the trust of a site takes two persons to change.

    Raises
    ------
    ConfigError
        It does, and nobody is named who could; or a certificate cannot be read.
    """
    of_its_own = not all(is_development(read(one.authority)) for one in (config.applications, config.sites))
    is_on = config.two_persons if config.two_persons is not None else config.officers is not None or of_its_own
    if is_on and config.officers is None:
        raise ConfigError(
            f"changing the trust of {config.site} takes two crypto officers, and kme.yaml names none",
            hint="name them under `officers`, or say `two_persons: false` before the site first starts",
        )
    return is_on


def trust_of(config: KmeConfig, read: Read) -> Parts:
    """Return whom a site trusts.

    Raises
    ------
    ConfigError
        As `takes_two`.
    """
    parts = {_RULE: "yes" if takes_two(config, read) else "no"}
    parts |= {f"application {name}": urn for name, urn in config.own.items()}
    parts |= {f"site {peer.name}": f"{peer.urn} at {peer.tls_name}" for peer in config.peers}
    authorities = {"applications": config.applications.authority, "sites": config.sites.authority}
    for peer in config.peers:
        authorities |= {f"device of {peer.name} {one.agreement.link}": one.authority for one in peer.devices}
    if config.officers:
        parts |= {f"officer {name}": urn for name, urn in config.officers.enrolled.items()}
        authorities["officers"] = config.officers.authority
    return parts | {f"authority of {name}": fingerprint(read(path)) for name, path in authorities.items()}


def differences(before: Parts, after: Parts) -> list[str]:
    """Return what differs between two trusts, one line each, for people to read and to sign."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            lines.append(f"{name}: {old or 'nobody'} -> {new or 'nobody'}")
    return lines


@dataclass(frozen=True, slots=True)
class TrustInForce:
    """The trust that the audit log says is in force."""

    parts: Parts
    record: int
    """Number of the fact that put it into force."""
    about: Mapping[str, Any]
    """What that fact says."""

    def is_after(self, record: int) -> bool:
        """Return whether it is what a proposal was made for, which names its fact, or -1 before there was any."""
        return record == self.record or (record == -1 and _FIRST in self.about)


def in_force(folder: Path, config: KmeConfig) -> TrustInForce | None:
    """Return the trust that the audit log says is in force; None before a site first starts."""
    last = latest(folder / config.audit, Event.TRUST_CHANGED)
    if last is None:
        return None
    parts = {name: known for name, _, known in (part.partition(": ") for part in last.about["parts"])}
    return TrustInForce(parts, last.n, last.about)


def require_in_force(folder: Path, config: KmeConfig, witness: Witness) -> Parts:
    """Return the trust of the files of a site, which is the one in force or may be put into force by one person.

    Raises
    ------
    AccessDeniedError
        It is another one, and takes two persons.
    AuditError
        It cannot be noted.
    ConfigError
        As `takes_two`.
    """
    parts = trust_of(config, reader(folder))
    known = in_force(folder, config)
    before = known.parts if known else {}
    if parts == before:
        return parts
    lines = differences(before, parts)
    if before.get(_RULE) == "yes":
        reason = f"the trust of {config.site} is not what two officers approved: {'; '.join(lines)}"
        witness.note(Fact(Event.ACCESS_DENIED, config.site, {"reason": reason[:1000]}))
        raise AccessDeniedError(reason, hint="put the files back, or have the change approved: faintlink kme change")
    witness.note(changed(config.site, parts, lines, **({} if known else {_FIRST: "yes"})))
    return parts


def require_one_person(folder: Path, config: KmeConfig) -> None:
    """Return if one person may change whom a site trusts.

    Raises
    ------
    AccessDeniedError
        It takes two.
    ConfigError
        As `takes_two`.
    """
    known = in_force(folder, config)
    if takes_two(config, reader(folder)) or (known and known.parts.get(_RULE) == "yes"):
        raise AccessDeniedError(
            f"changing whom {config.site} trusts takes two crypto officers",
            hint=f"propose it and have it approved: faintlink kme change {folder} --enroll NAME=URN --out FILE",
        )


def changed(subject: str, parts: Parts, lines: list[str], **more: str | list[str]) -> Fact:
    """Return the fact that puts a trust into force."""
    listed = [f"{name}: {known}" for name, known in sorted(parts.items())]
    return Fact(Event.TRUST_CHANGED, subject, {"digest": digest_of(parts), "changes": lines, "parts": listed, **more})
