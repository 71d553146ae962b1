"""Both nodes of a link as processes of their own beside a recording, each with its own party's files: a rehearsal."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.config.loader import load_link
from faintlink.core.errors import ProtocolError
from faintlink.core.symbols import Party
from faintlink.postprocess.node.home import create_homes

_SEALS = 1024
_COMMAND = [sys.executable, "-c", "import sys; from faintlink.core.cli import main; sys.exit(main())", "node"]


@dataclass(frozen=True, slots=True)
class NodePair:
    """Two running nodes."""

    alice: "subprocess.Popen[str]"
    bob: "subprocess.Popen[str]"
    homes: Path
    """Folder of ``alice`` and ``bob``."""

    def finish(self, timeout_s: float) -> dict[str, tuple[int, str]]:
        """Wait for both and return exit code and last words of each.

        Raises
        ------
        ProtocolError
            One of them did not end in time.
        """
        ends = {}
        for name, process in (("bob", self.bob), ("alice", self.alice)):
            try:
                said, complaint = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                raise ProtocolError(
                    f"{name}'s node did not end within {timeout_s:.0f} s", hint="its log says what it waits for"
                ) from None
            ends[name] = (process.returncode, said + complaint)
        return ends


@contextmanager
def two_nodes(link_file: Path, run: Path, homes: Path) -> Iterator[NodePair]:
    """Start both nodes of a run that is, or will be, recorded into ``run``; stop what still runs at the end.

    Parameters
    ----------
    link_file
        Of both nodes.
    run
        Run folder; may not be there yet.
    homes
        New folder for both homes.
    """
    create_homes(homes, link_id=load_link(link_file).name, seals=_SEALS)
    address = f"127.0.0.1:{_free_port()}"
    alice = _start(Party.ALICE, link_file, run, homes, "--listen", address)
    try:
        bob = _start(Party.BOB, link_file, run, homes, "--connect", address)
        try:
            yield NodePair(alice, bob, homes)
        finally:
            _stop(bob)
    finally:
        _stop(alice)


def _start(party: Party, link_file: Path, run: Path, homes: Path, *address: str) -> "subprocess.Popen[str]":
    options = [party, str(link_file), "--home", str(homes / party), "--run", str(run), "--follow", *address]
    # Our own interpreter with our own arguments.
    return subprocess.Popen([*_COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603


def _free_port() -> int:
    """Return a port that is free now; bob calls until alice listens on it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        process.communicate()
