"""A store with a block in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.delivery.keystore.conformance_stock import CUT, HERE, THERE, new_block
from faintlink.delivery.keystore.model import Block
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from tests.unit.delivery.keystore.stores import open_sqlite


@pytest.fixture
def block() -> Block:
    return new_block()


@pytest.fixture
def store(tmp_path: Path, block: Block) -> Iterator[SqliteKeyStore]:
    """A store with a block in it; a test may close it and open it again."""
    store = open_sqlite(tmp_path, HERE)
    store.ingest(THERE, block, CUT)
    yield store
    store.close()
