"""Compile the library that lets writes fail, and run a module of the tests under it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.data import ROOT

_SOURCE = Path(__file__).with_name("faults.c")


def compiled(folder: Path) -> Path:
    """Return the library; skip the test where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: writes cannot be made to fail")
    library = folder / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where there is one: these tests break writes themselves and need no disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def run_module(library: Path | None, module: str, *arguments: str | Path | int) -> str:
    """Run ``python -m tests.unit.delivery.keystore.<module>`` and return what it printed."""
    command = [sys.executable, "-m", f"tests.unit.delivery.keystore.{module}", *map(str, arguments)]
    preload = {"LD_PRELOAD": str(library)} if library else {}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | preload, capture_output=True, text=True, check=False, timeout=3000
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout
