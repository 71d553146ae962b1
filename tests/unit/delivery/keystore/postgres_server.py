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
from dataclasses import dataclass
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


@dataclass
class Server:
    """A server that a test may end and start."""

    bin_folder: Path
    folder: Path
    user: str | None
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """How to reach it as its owner."""
        return f"host={self.folder} user=faintlink dbname=postgres"

    def make(self) -> None:
        """Make its folder of data."""
        data = str(self.folder / "data")
        arguments = [str(self.bin_folder / "initdb"), "-D", data, "-U", "faintlink", "-A", "trust", "--no-sync"]
        made = subprocess.run(
            arguments, user=self.user, capture_output=True, text=True, cwd="/", check=False, timeout=120
        )
        assert made.returncode == 0, made.stdout + made.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            command = [str(self.bin_folder / "postgres"), "-D", str(self.folder / "data"), *_OPTIONS]
            command += ["-k", str(self.folder)]
            self.process = subprocess.Popen(command, user=self.user, stdout=log, stderr=log, cwd="/")
        _wait_for(self.address, self.folder / "log")

    def stop_at_once(self) -> None:
        """End it without a checkpoint, as a crash does: ``pg_ctl stop -m immediate``."""
        command = [str(self.bin_folder / "pg_ctl"), "stop", "-m", "immediate", "-D", str(self.folder / "data")]
        done = subprocess.run(command, user=self.user, capture_output=True, text=True, cwd="/", check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        assert self.process is not None
        self.process.wait(60)
        self.process = None

    def end(self) -> None:
        """End it however it is."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)
            self.process = None


@contextmanager
def restartable_server() -> Iterator[Server]:
    """Start a server; skip the test where PostgreSQL or psycopg is not installed."""
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    user = _user()
    # Not in pytest's folder: the server's user could not reach it, and socket names must be short.
    folder = Path(tempfile.mkdtemp(prefix="flpg"))
    server = Server(bin_folder, folder, user)
    try:
        if user:
            shutil.chown(folder, user)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.end()
    finally:
        shutil.rmtree(folder)


@contextmanager
def running_server() -> Iterator[str]:
    """Start a server and give its address; skip as `restartable_server` does."""
    with restartable_server() as server:
        yield server.address


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
