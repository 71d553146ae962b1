"""Change whom a site trusts, when two of its crypto officers have approved exactly that change.

::

    propose    the files as they are to be, and in words what differs; until when it may be applied
    approve    an officer signs the SHA-256 of that document with the key of the own certificate
    apply      two signatures of two officers who are enrolled *now*: noted in the audit log, then written

A document names the trust that it changes by its digest, and by the fact that put that into force: it cannot be applied
to another trust, nor a second time after the first change was taken back. The officers sign what they read: the words
are computed again when it is applied, and must be the same.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faintlink.core.config.loader import parse_yaml
from faintlink.core.durable import fsync
from faintlink.core.errors import AccessDeniedError, ConfigError
from faintlink.delivery.access import Action, Identity, Role, TwoPersonRule
from faintlink.delivery.kme import config_text
from faintlink.delivery.kme.asking import post
from faintlink.delivery.kme.changes import digest_of
from faintlink.delivery.kme.config import FILE_NAME, KmeConfig, Listener, load_kme
from faintlink.delivery.kme.noting import unless_running
from faintlink.delivery.kme.officers_config import Officers
from faintlink.delivery.kme.trust import (
    Parts,
    TrustInForce,
    changed,
    differences,
    in_force,
    reader,
    require_in_force,
    trust_of,
)
from faintlink.delivery.kme.trust_documents import Approval, Change, officer_of, read
from faintlink.delivery.witness import Event, Fact, Witness

VALID_HOURS = 72.0
"""How long a proposal may be applied, unless it says otherwise."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A change that was put into force."""

    officers: tuple[str, ...]
    changes: tuple[str, ...]


def propose(folder: Path, files: Mapping[str, str], *, hours: float = VALID_HOURS) -> Change:
    """Return the proposal to put other files in the place of some of a site's.

    Raises
    ------
    ConfigError
        The site would not be sound with them, or its trust would not change.
    """
    config = load_kme(folder)
    before = trust_of(config, reader(folder))
    lines = _in_words(folder, config, files)
    if not lines:
        raise ConfigError("these files change nothing that the site trusts", hint="what else they change takes no two")
    until = _now() + dt.timedelta(hours=hours)
    return Change(
        site=config.site,
        before=digest_of(before),
        record=known.record if (known := in_force(folder, config)) else -1,
        changes=lines,
        files=dict(files),
        expires_utc=until.isoformat(timespec="seconds"),
    )


def files_for(
    folder: Path, *, config: Path | None = None, enrolled: Sequence[str] = (), files: Sequence[str] = ()
) -> dict[str, str]:
    """Return the files of a proposal, by path in the site's folder.

    Parameters
    ----------
    folder
        Of the site.
    config
        Its ``kme.yaml`` as it is to be.
    enrolled
        Applications to be let in, as ``name=urn``; not together with ``config``.
    files
        ``path=file``: an authority's path in the folder, and what is to be there.

    Raises
    ------
    ConfigError
        One is not of its form.
    """
    if config and enrolled:
        raise ConfigError("--config holds the applications already", hint="name either --config or --enroll")
    given = {name: _text(Path(path)) for name, path in map(_parted, files)}
    if config:
        given[FILE_NAME] = _text(config)
    elif enrolled:
        new = dict(map(_parted, enrolled))
        given[FILE_NAME] = config_text.changed(folder, lambda data: data["own"].update(new))
    return given


def _parted(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ConfigError(f"{text!r} is not of the form NAME=VALUE", hint="such as vpn-a=urn:example:vpn-a")
    return name, value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", hint="name a text file") from None


def apply_at(folder: Path, change: bytes, approvals: Sequence[bytes]) -> Applied:
    """Put a change into force at a site; one that runs does it itself. Raises as `apply`, or what the site answers."""
    config = load_kme(folder)
    read(change, Change)
    for one in approvals:
        read(one, Approval)
    with unless_running(folder, config) as log:
        if log is None:
            said = {"change": change.decode(), "approvals": [one.decode() for one in approvals]}
            answer = post(folder, config.admin_socket, "/trust", said)
            return Applied(tuple(answer["officers"]), tuple(answer["changes"]))
        return apply(folder, log, change, approvals)


def apply(folder: Path, witness: Witness, change: bytes, approvals: Sequence[bytes]) -> Applied:
    """Put a change into force that two officers approved: noted first, then written.

    It may be called again where it was broken off.

    Raises
    ------
    AccessDeniedError
        It is not approved by two enrolled officers, is too old, or is for another trust; the message says which.
    ConfigError
        A document is none, or the files do not change what it says.
    AuditError
        It cannot be noted; nothing was changed.
    """
    said, digest = read(change, Change), hashlib.sha256(change).hexdigest()
    config = load_kme(folder)
    known = in_force(folder, config)
    if known and known.about.get("change") == digest:
        # Noted already, and broken off while its files were written.
        _write(folder, said.files)
        return Applied(tuple(known.about["officers"]), tuple(said.changes))
    before = require_in_force(folder, config, witness)
    _require_fit(said, config, before, in_force(folder, config))
    first, second = _two(folder, config, change, [read(one, Approval) for one in approvals])
    if _in_words(folder, config, said.files) != said.changes:
        raise ConfigError("the files change something else than the document says", hint="propose and approve it anew")
    after = trust_of(_config(folder, said.files), reader(folder, said.files))
    officers = [first, second]
    witness.note(changed(first, after, said.changes, change=digest, officers=officers))
    for kind in ("application", "site"):
        for name in sorted(name for name in after.keys() - before.keys() if name.startswith(f"{kind} ")):
            about = {"kind": kind, "name": name.partition(" ")[2], "urn": after[name].partition(" ")[0]}
            witness.note(Fact(Event.ENROLLED, first, {**about, "officers": officers}))
    _write(folder, said.files)
    return Applied((first, second), tuple(said.changes))


def _require_fit(said: Change, config: KmeConfig, before: Parts, now: TrustInForce | None) -> None:
    if said.site != config.site:
        raise AccessDeniedError(
            f"the change is for {said.site}, not for {config.site}", hint="propose it for this site"
        )
    if said.before != digest_of(before) or now is None or not now.is_after(said.record):
        raise AccessDeniedError(
            "the trust of the site is not the one that the change was proposed for", hint="propose it anew"
        )
    if _now() > dt.datetime.fromisoformat(said.expires_utc):
        raise AccessDeniedError(f"the change was to be applied until {said.expires_utc}", hint="propose it anew")


def _two(folder: Path, config: KmeConfig, change: bytes, approvals: Sequence[Approval]) -> tuple[str, str]:
    """Return the first two officers whose approvals count, if no approval is wrong."""
    if config.officers is None:
        raise AccessDeniedError("the site names no crypto officers", hint="one person may change its trust so far")
    rule = TwoPersonRule()
    digest = hashlib.sha256(change).hexdigest()
    owners: dict[bytes, str] = {}
    for approval in approvals:
        name, key = officer_of(folder, config.officers, change, approval)
        if owners.setdefault(key, name) != name:
            raise AccessDeniedError(f"{owners[key]} and {name} share one key", hint="each officer has a key alone")
        if rule.ask(Action.CHANGE_TRUST, digest, Identity(name, frozenset({Role.CRYPTO_OFFICER}))):
            return next(iter(owners.values())), name
    names = sorted(set(owners.values()))
    raise AccessDeniedError(
        f"the change takes two officers, {len(names)} approved it: {', '.join(names) or 'nobody'}",
        hint=f"two of {', '.join(sorted(config.officers.enrolled))} must approve the same file",
    )


def _in_words(folder: Path, config: KmeConfig, files: Mapping[str, str]) -> list[str]:
    """Return what files change: first the trust, then other sections of the configuration."""
    after = _config(folder, files)
    _require_public(after, files)
    lines = differences(trust_of(config, reader(folder)), trust_of(after, reader(folder, files)))
    if not lines:
        return []
    old, new = config.model_dump(mode="json"), after.model_dump(mode="json")
    sections = [f"section {name} of {FILE_NAME}: {digest_of(new[name])}" for name in new if new[name] != old[name]]
    return lines + sections


def _config(folder: Path, files: Mapping[str, str]) -> KmeConfig:
    return parse_yaml(files[FILE_NAME], KmeConfig, FILE_NAME) if FILE_NAME in files else load_kme(folder)


def _require_public(after: KmeConfig, files: Mapping[str, str]) -> None:
    """Raise unless files are the configuration, or authorities and lists of revoked ones that it names."""
    owners: list[Listener | Officers] = [after.applications, after.sites]
    if after.officers:
        owners.append(after.officers)
    allowed = {FILE_NAME, *(one.authority for one in owners), *(one.revoked for one in owners)}
    allowed |= {device.authority for peer in after.peers for device in peer.devices}
    for name in files:
        if name not in allowed or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ConfigError(
                f"{name} is no authority that {FILE_NAME} names, within the folder",
                hint=f"one of {', '.join(sorted(allowed))}",
            )


def _write(folder: Path, files: Mapping[str, str]) -> None:
    # The configuration last: it names the others.
    for name in sorted(files, key=lambda name: name == FILE_NAME):
        path = folder / name
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_text(files[name], encoding="utf-8")
        fsync(fresh)
        fresh.replace(path)
        fsync(path.parent)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
