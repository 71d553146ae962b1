"""Each write and sync of a key store fails in turn, or kills it: nothing is handed out twice, and nothing is lost."""

from pathlib import Path

import pytest

from tests.unit.delivery.keystore.fault_worker import KINDS
from tests.unit.delivery.keystore.shim import compiled, memory_folder, run_module


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What makes writes fail."""
    return compiled(tmp_path_factory.mktemp("faults"))


def sweep(library: Path, script: str, kind: str, *, first: int, step: int) -> int:
    """Return how many faults struck."""
    with memory_folder() as folder:
        return int(run_module(library, "fault_worker", folder, script, kind, first, step))


@pytest.mark.parametrize("kind", KINDS)
def test_some_writes_fail(library: Path, kind: str) -> None:
    # Another residue for each kind, so that together they meet more of the 169 writes.
    assert sweep(library, "use", kind, first=1 + list(KINDS).index(kind), step=11) >= 15


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("script", ["use", "create", "tidy"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_write_fails(library: Path, script: str, kind: str) -> None:
    assert sweep(library, script, kind, first=1, step=1) >= 100


def test_a_full_disk_stops_promises_but_neither_giving_up_nor_zeroizing(library: Path) -> None:
    with memory_folder() as folder:
        seconds = float(run_module(library, "full_disk_worker", folder).split()[2])
    assert seconds < 1.0
