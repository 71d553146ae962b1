"""A PostgreSQL server of the test's own, from the machine's packages, in a folder of its own, on a Unix socket."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OPTIONS = ("-c", "listen_addresses=", "-c", "shared_buffers=16MB", "-c", "max_connections=40")


def programs() -> Path | None:
    """Return the folder of initdb and postgres: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return folders[-1].parent if folders else None


def _user() -> str | None:
    """Return whom the server runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = [name for name in ("postgres", "nobody") if any(entry.pw_name == name for entry in pwd.getpwall())]
    return names[0] if names else pytest.skip("PostgreSQL does not run as root, and there is no user for it")


@contextmanager
def running_server() -> Iterator[str]:
    """Start a server and give its address; skip the test where PostgreSQL or psycopg is not installed."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    user = _user()
    # Not in pytest's folder: the server's user could not reach it, and socket names must be short.
    folder = Path(tempfile.mkdtemp(prefix="flpg"))
    data = folder / "data"
    try:
        if user:
            shutil.chown(folder, user)
        arguments = [str(bin_folder / "initdb"), "-D", str(data), "-U", "faintlink", "-A", "trust", "--no-sync"]
        made = subprocess.run(arguments, user=user, capture_output=True, text=True, cwd="/", check=False, timeout=120)
        assert made.returncode == 0, made.stdout + made.stderr
        with (folder / "log").open("wb") as log:
            command = [str(bin_folder / "postgres"), "-D", str(data), *_OPTIONS, "-k", str(folder)]
            server = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd="/")
        try:
            address = f"host={folder} user=faintlink dbname=postgres"
            _wait_for(address, folder / "log")
            yield address
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(60)
    finally:
        shutil.rmtree(folder)


def _wait_for(address: str, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        else:
            return
