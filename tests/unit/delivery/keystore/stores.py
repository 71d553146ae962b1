"""Open SQLite stores in a folder of a test."""

from pathlib import Path

from faintlink.delivery.keystore.conformance_stock import fetch, reserve
from faintlink.delivery.keystore.epochs import EpochLimits
from faintlink.delivery.keystore.model import Role
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sqlite import SqliteKeyStore


def master_key(folder: Path, site: str) -> FileMasterKey:
    """Return the master key of a site, a new one the first time."""
    path = folder / f"{site}.master"
    return FileMasterKey(path) if path.exists() else FileMasterKey.create(path)


def open_sqlite(folder: Path, site: str, limits: EpochLimits | None = None) -> SqliteKeyStore:
    """Open or make the store of a site."""
    return SqliteKeyStore.open(
        folder / f"{site}.db",
        site,
        master_key(folder, site),
        limits=limits or EpochLimits(),
        ballast_bytes=2**20,
    )


def ready(store: SqliteKeyStore) -> str:
    """Return the name of a key that may be fetched."""
    (key,) = reserve(store, 256)
    store.acknowledge([key.key_id])
    return key.key_id


def deliver(store: SqliteKeyStore, name: str) -> None:
    """Fetch a key as its master's application."""
    fetch(store, [name], Role.MASTER)
