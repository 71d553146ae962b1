"""Back up a site's key store, restore it, and recover one that is refused; `faintlink kme backup|restore|recover`.

A backup holds records and no key (`faintlink.delivery.keystore.backup`). What was delivered after it was made, and
which blocks came in, the site's audit log knows: each of these was noted before it happened. A restored store is told
of them, so that it neither hands out a key again nor takes a block in again. The other site retires what this one no
longer has when the ledgers are compared at the next start.

All acts are noted in the audit log before the file or the store is there, with the digest of a backup.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.durable import fsync
from faintlink.core.errors import RunExistsError, StoreError, StoreRolledBackError
from faintlink.delivery.audit.verify import acknowledged
from faintlink.delivery.evidence.usage import KeyUse, Usage, gather
from faintlink.delivery.keystore.backup import GivenUp, Restored, Since, check
from faintlink.delivery.keystore.database import FORMAT
from faintlink.delivery.keystore.model import UNIT_BITS, Assignment, KeyRecord, KeyState, Role
from faintlink.delivery.keystore.opening import require_site
from faintlink.delivery.keystore.postgres import PostgresKeyStore
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sql_store import SqlKeyStore
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.keystore.sqlite_database import lock
from faintlink.delivery.keystore.stock import BlockRecord
from faintlink.delivery.kme.asking import post
from faintlink.delivery.kme.config import KmeConfig, load_kme
from faintlink.delivery.kme.noting import stopped, unless_running
from faintlink.delivery.kme.stores import ANCHOR, DATABASE, MASTER_KEY, address_of, opened_store
from faintlink.delivery.witness import Event, Fact, Witness

_SETTLED: Mapping[str, KeyState] = {Event.KEYS_DELIVERED: KeyState.DELIVERED, Event.KEYS_VOIDED: KeyState.VOID}

_WITHIN_S = 3600.0
"""A store of millions of keys takes minutes."""


@dataclass(frozen=True, slots=True)
class BackUp:
    """A backup that was written."""

    rows: int
    sha256: str


def back_up(folder: Path, to: Path, *, by: str) -> BackUp:
    """Write the records of the site in ``folder`` into a new file; a site that runs does it itself.

    Parameters
    ----------
    folder
        Of the site.
    to
        The new file.
    by
        Who does it, for the audit log.

    Raises
    ------
    AuditError
        Nothing can be noted.
    DeliveryError
        A running site refuses.
    StoreError
        There is no key store, or it cannot be opened or written.
    RunExistsError
        The file exists.
    """
    config = load_kme(folder)
    place = folder / config.store / (ANCHOR if config.postgres else DATABASE)
    if not place.exists():
        raise StoreError(f"{folder} has no key store yet: there is no {place}", hint="start the site once")
    with unless_running(folder, config) as log:
        if log is None:
            told = {"to": str(to.absolute()), "by": by}
            return BackUp(**post(folder, config.admin_socket, "/backup", told, within_s=_WITHIN_S))
        with opened_store(folder, config) as store:
            return write(store, log, to, by=by)


def write(store: SqlKeyStore, witness: Witness, to: Path, *, by: str) -> BackUp:
    """Write the records of an open store into a new file of mode 0600, which appears whole or not at all.

    Raises
    ------
    RunExistsError
        The file exists.
    StoreError, AuditError
        It cannot be written or noted; nothing is left.
    """
    if to.exists():
        raise _exists(to)
    part = to.with_name(f".{to.name}.part")
    part.unlink(missing_ok=True)
    try:
        rows = store.backup(part)
        done = BackUp(rows, _digest(part))
        witness.note(Fact(Event.BACKUP, by, {"what": "written", "file": str(to), "rows": rows, "sha256": done.sha256}))
        os.link(part, to)
        fsync(to.parent)
    except FileExistsError:
        raise _exists(to) from None
    except OSError as error:
        raise StoreError(f"{to} cannot be made: {error.strerror}", hint="name a folder on another disk") from error
    finally:
        part.unlink(missing_ok=True)
    return done


def restore(folder: Path, backup: Path, *, by: str) -> Restored:
    """Make the lost store of the stopped site in ``folder`` anew from a backup and from the audit log.

    Raises
    ------
    AuditError
        The site runs, its log is broken, or nothing can be noted.
    RunExistsError
        There is a store.
    SchemaError
        The backup is none, is damaged, or was cut short.
    StoreError
        It is another site's, or the store cannot be written.
    """
    config = load_kme(folder)
    with stopped(folder, config) as log:
        _require_no_store(folder / config.store / DATABASE, config)
        head, rows = check(backup)
        require_site({"format": str(FORMAT), **head}, config.site, str(backup))
        since = since_in(gather(acknowledged(log.folder, until=log.records)))
        log.note(
            Fact(Event.BACKUP, by, {"what": "restored", "file": str(backup), "rows": rows, "sha256": _digest(backup)})
        )
        return _restore(folder, config, backup, since)


def recover(folder: Path, *, by: str) -> GivenUp:
    """Make the refused or zeroized store of the stopped site in ``folder`` usable again, without any of its keys.

    Raises
    ------
    AuditError
        The site runs, its log is broken, or nothing can be noted.
    StoreError
        The store opens, so that there is nothing to recover; or it cannot be opened for another reason.
    """
    config = load_kme(folder)
    with stopped(folder, config) as log:
        why = _refusal(folder, config)
        since = since_in(gather(acknowledged(log.folder, until=log.records)))
        log.note(Fact(Event.BACKUP, by, {"what": "recovered", "reason": why[:1000]}))
        with _made(folder, config) as address:
            if address is None:
                return SqliteKeyStore.recover(folder / config.store / DATABASE, config.site, since=since)
            anchor = folder / config.store / ANCHOR
            return PostgresKeyStore.recover(address, config.site, anchor=anchor, since=since)


def _refusal(folder: Path, config: KmeConfig) -> str:
    """Return why a store cannot be opened; raises what no recovery cures, such as a wrong mode of its file."""
    place = folder / config.store
    if config.postgres is None and not (place / DATABASE).exists():
        raise StoreError(f"there is no key store {place / DATABASE}", hint="restore a backup: faintlink kme restore")
    if not (place / MASTER_KEY).exists():
        return "the master key is lost"
    try:
        with opened_store(folder, config):
            pass
    except StoreRolledBackError as error:
        return error.message
    except StoreError as error:
        if not error.fields.get("is_zeroized"):
            raise
        return error.message
    raise StoreError(
        f"the key store of {config.site} opens: there is nothing to recover, and nothing was given up",
        hint="to destroy its keys all the same, use `faintlink zeroize` first",
    )


@contextmanager
def _made(folder: Path, config: KmeConfig) -> Iterator[str | None]:
    """Have the folder and the master key of a store, and hold it; gives the address of a database elsewhere."""
    place = folder / config.store
    place.mkdir(exist_ok=True, mode=0o700)
    if not (place / MASTER_KEY).exists():
        FileMasterKey.create(place / MASTER_KEY)
    if config.postgres is None:
        yield None
        return
    handle = lock(place / ANCHOR)
    try:
        yield address_of(folder, config.postgres)
    finally:
        os.close(handle)


def since_in(usage: Usage) -> Since:
    """Return which blocks came in and which keys were settled, as an audit log tells it from its beginning on."""
    blocks = [
        BlockRecord(one.block, one.peer, one.bits // UNIT_BITS, one.epsilon, dict(one.provenance), one.utc)
        for one in usage.blocks.values()
    ]
    return Since(blocks, [record for key in usage.keys.values() if (record := _record(key)) is not None])


def _record(key: KeyUse) -> KeyRecord | None:
    """Return the record of a key that was handed out or given up here; None for one that was only promised."""
    last = key.settled
    if last is None or key.role not in list(Role):
        return None
    return KeyRecord(
        # Its units are known to the lost store alone: a key of this name with any is taken for another.
        Assignment(key.key_id, key.bits or 0, key.master, key.slave, ()),
        key.peer,
        Role(key.role),
        _SETTLED[last.event],
        key.epsilon or 0.0,
        key.blocks,
        key.steps[0].utc,
        last.utc,
        f"by record {last.record} of the audit log",
    )


def _restore(folder: Path, config: KmeConfig, backup: Path, since: Since) -> Restored:
    place = folder / config.store
    with _made(folder, config) as address:
        if address is None:
            with _nothing_left_of(place / DATABASE):
                return SqliteKeyStore.restore(backup, place / DATABASE, config.site, since=since)
        return PostgresKeyStore.restore(backup, address, config.site, anchor=place / ANCHOR, since=since)


@contextmanager
def _nothing_left_of(database: Path) -> Iterator[None]:
    """Remove a database that could not be made; it was not there before."""
    try:
        yield
    except BaseException:
        for suffix in ("", "-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        raise


def _require_no_store(database: Path, config: KmeConfig) -> None:
    if config.postgres is None and database.exists():
        raise RunExistsError(
            f"{database} is there: a backup is restored into nothing; nothing was overwritten",
            hint=f"move {database.name} and {database.name}-wal away, and leave {database.name}.anchor where it is",
        )


def _exists(path: Path) -> RunExistsError:
    return RunExistsError(f"{path} exists; nothing was overwritten", hint="name a new file for each backup")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
