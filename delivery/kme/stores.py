"""The key store of a site, as its configuration says: in a file of its own, or in a PostgreSQL database.

::

    <store>/
        master.key           opens either kind
        keys.db …            SQLite: the database, its anchor and its lock
        postgres.anchor …    PostgreSQL: what is kept of it on this machine, and the lock of that
"""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faintlink.core.errors import ConfigError, FaintlinkError, StoreError
from faintlink.core.exports.extras import required
from faintlink.delivery.keystore.anchor import Anchor
from faintlink.delivery.keystore.postgres import PostgresKeyStore
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sql_store import SqlKeyStore
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.keystore.sqlite_database import lock
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.kme.store_config import PostgresStore, settings_of
from faintlink.delivery.zeroizing import Zeroizable

if TYPE_CHECKING:
    from faintlink.delivery.kme.site import Site

_log = logging.getLogger(__name__)
_PRIVATE = 0o700
MASTER_KEY = "master.key"
MASTER_KEY = "master.key"
DATABASE = "keys.db"
ANCHOR = "postgres.anchor"
_PAUSE_S = 0.2
_PATIENCE = {
    "connect_timeout": "5",
    # A line that carries nothing any more is told from a slow one by what is not acknowledged, ms.
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


@contextmanager
def opened_store(folder: Path, config: KmeConfig, *, is_starting: bool = False) -> Iterator[SqlKeyStore]:
    """Open the site's key store, made with its master key where neither is there yet.

    Parameters
    ----------
    folder, config
        Of the site.
    is_starting
        Whether to wait for a server that does not answer: machines that start together take their time.

    Raises
    ------
    ConfigError
        Its keys are in the other kind of store, or a file with a secret is open to others.
    StoreError
        It cannot be opened; the class says why.
    """
    place = folder / config.store
    place.mkdir(exist_ok=True, mode=_PRIVATE)
    key, anchor = FileMasterKey(place / MASTER_KEY), place / ANCHOR
    _require_kind(place, is_postgres=config.postgres is not None)
    if not any(path.exists() for path in (key.path, place / DATABASE, anchor)):
        FileMasterKey.create(key.path)
    if config.postgres is None:
        with SqliteKeyStore.open(place / DATABASE, config.site, key) as store:
            yield store
        return
    # Two processes that shared the anchor would each take the other's steps for those of an older copy.
    handle = lock(anchor)
    try:
        with _postgres(
            address_of(folder, config.postgres),
            config.site,
            key,
            anchor,
            answer_within_s=config.postgres.answer_within_s,
            wait_s=config.postgres.start_within_s if is_starting else 0.0,
        ) as store:
            yield store
    finally:
        os.close(handle)


@contextmanager
def opened_to_destroy(folder: Path, config: KmeConfig) -> Iterator[Zeroizable]:
    """Open what there is to destroy of the site's keys: a server that is away must not be a reason to keep them.

    Raises
    ------
    ConfigError, StoreError
        As `opened_store`; of a PostgreSQL store the anchor is enough.
    """
    anchor = folder / config.store / ANCHOR
    with ExitStack() as stack:
        try:
            store: Zeroizable = stack.enter_context(opened_store(folder, config))
        except StoreError as error:
            if config.postgres is None or not anchor.exists():
                raise
            # Raises where the site runs, which would write its secret again.
            stack.callback(os.close, lock(anchor))
            _log.error("the anchor alone is destroyed, which closes every row: %s", error.message)
            store = _Anchor(anchor)
        yield store


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A store without its database."""

    path: Path

    def zeroize(self) -> None:
        anchor = Anchor.open(self.path)
        try:
            anchor.zeroize()
        finally:
            anchor.close()


async def keep_open(store: PostgresKeyStore, look_every_s: float, site: "Site") -> None:
    """Take a store up again whenever its server was away, and compare ledgers then; never returns."""
    problem = ""
    while True:
        await asyncio.sleep(look_every_s)
        if store.is_usable:
            # A server that went away while nobody asked is to be back before somebody asks.
            with suppress(StoreError):
                await site.thread.run(store.stock)
        if store.is_usable:
            continue
        try:
            await asyncio.to_thread(store.reopen)
        except FaintlinkError as error:
            if error.message != problem:
                _log.error("nothing is handed out: %s", error.message)
            problem = error.message
            continue
        problem = ""
        _log.warning("%r is back", store)
        for line in site.lines.values():
            line.compare_soon()


def _postgres(
    address: str, site: str, key: FileMasterKey, anchor: Path, *, answer_within_s: float, wait_s: float
) -> PostgresKeyStore:
    deadline, is_told = time.monotonic() + wait_s, False
    while True:
        try:
            return PostgresKeyStore.open(address, site, key, anchor=anchor, answer_within_s=answer_within_s)
        except StoreError as error:
            if not error.fields.get("is_away") or time.monotonic() >= deadline:
                raise
            if not is_told:
                _log.warning("waits for its server: %s", error.message)
            is_told = True
        time.sleep(_PAUSE_S)


def address_of(folder: Path, settings: PostgresStore) -> str:
    """Return what libpq is told.

    Raises
    ------
    ConfigError
        The password file is not there or open to others (libpq would pass over it), or psycopg is missing.
    """
    conninfo = required("psycopg.conninfo", extra="postgres")
    more: dict[str, Any] = {**_PATIENCE, **settings_of(settings.address)}
    if settings.db_schema is not None:
        more["options"] = f"-c search_path={settings.db_schema}"
    if settings.password_file is not None:
        more["passfile"] = str(_private(folder / settings.password_file))
    address: str = conninfo.make_conninfo("", **more)
    return address


def _private(path: Path) -> Path:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise ConfigError(
            f"the password file {path} cannot be read: {error.strerror}",
            hint="one line host:port:database:user:password, mode 600",
        ) from None
    if mode & 0o077:
        raise ConfigError(
            f"{path} must be its owner's only (mode 600), it has mode {mode:o}",
            hint="chmod 600; if others may have read it, change the password",
        )
    return path.absolute()


def _require_kind(place: Path, *, is_postgres: bool) -> None:
    """Refuse to begin a second store where the first one still knows what was handed out."""
    other = place / (DATABASE if is_postgres else ANCHOR)
    if other.exists():
        raise ConfigError(
            f"{other} says that this site's keys are in {'a file' if is_postgres else 'a PostgreSQL database'}, "
            f"and kme.yaml says otherwise",
            hint="back up the store, restore the backup into the other kind, and move the first one's files away",
        )
