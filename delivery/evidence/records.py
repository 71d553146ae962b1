"""The records of a key store, read beside its owner and without its master key: names, states, epsilons, never a bit.

Only tables that hold no material are read. An auditor needs permission to read the database file, and nothing more.
"""

import json
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from faintlink.core.errors import StoreError
from faintlink.delivery.evidence.usage import KeyUse, Usage
from faintlink.delivery.keystore.database import FORMAT

_KEYS = "SELECT key_id, state, bits, epsilon, blocks FROM keys"


def with_store(usage: Usage, database: Path) -> Usage:
    """Return usage with state, epsilon and blocks of each key as the store has them.

    Parameters
    ----------
    usage
        From the audit log; keys that it does not tell of are added.
    database
        File of a SQLite store.

    Raises
    ------
    StoreError
        It cannot be read now, because a running site holds it or for another reason, or is of another format.
    """
    keys, unlike = dict(usage.keys), []
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as connection:
            _require_format(connection, database)
            for key_id, state, bits, epsilon, blocks in connection.execute(_KEYS):
                key = keys.setdefault(key_id, KeyUse(key_id))
                made_of = tuple(json.loads(blocks))
                if _is_unlike(key, epsilon, made_of):
                    unlike.append(key_id)
                key.state, key.bits, key.epsilon, key.blocks = state, bits, epsilon, made_of
    except (sqlite3.Error, ValueError) as error:
        raise StoreError(
            f"the records of {database} cannot be read: {error}",
            hint="while a site runs the audit log tells the same; or stop the site for a moment",
        ) from error
    return replace(usage, keys=keys, unlike=tuple(unlike))


def _is_unlike(key: KeyUse, epsilon: float, blocks: tuple[str, ...]) -> bool:
    """Return whether the log told something else of a key's origin; of a relayed key it names no blocks."""
    if not key.blocks or key.epsilon is None:
        return False
    return set(key.blocks) != set(blocks) or not math.isclose(key.epsilon, epsilon, rel_tol=1e-9)


def _require_format(connection: sqlite3.Connection, database: Path) -> None:
    (found,) = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() or ("none",)
    if found != str(FORMAT):
        raise StoreError(f"{database} is a key store of format {found}, this program reads {FORMAT}", hint="update")
