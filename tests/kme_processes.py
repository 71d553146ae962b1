"""Two sites as processes of their own, for tests that kill them, and benchmarks."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from faintlink.core.errors import PeerUnavailableError
from faintlink.core.records import SecretKey
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.kme.asking import ask as ask_admin
from faintlink.delivery.kme.config import FILE_NAME, load_kme
from faintlink.delivery.kme.provision import Plan, make_sites
from faintlink.delivery.kme.stores import opened_store
from faintlink.postprocess.keystore import FileKeyStore
from tests.kme_load import OTHER, Load
from tests.unit.delivery.kme.sites import FAST, SITES, application_context, change, free_ports, set_ports
from tests.unit.delivery.ledger.sites import Pair

_SERVE = (
    "import sys; from faintlink.core.log import configure; configure(0); "
    "from faintlink.delivery.commands.kme import kme; kme()"
)


@dataclass
class Processes:
    """The pair, with a key folder of the link's node at each site."""

    folders: dict[str, Path]
    running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @classmethod
    def make(cls, out: Path, *, timing: dict[str, float] | None = None) -> "Processes":
        """Make both sites on free ports."""
        folders = make_sites(out, Plan([SITES], {}))
        numbers = free_ports(4)
        set_ports(folders, {"site-a": (numbers[0], numbers[1]), "site-b": (numbers[2], numbers[3])})
        for folder in folders:
            data = yaml.safe_load((folder / FILE_NAME).read_text())
            data["peers"][0]["node_keys"] = "node-keys"
            change(folder, timing={**FAST, **(timing or {})}, peers=data["peers"])
        return cls({folder.name: folder for folder in folders})

    def distil(self, block: int, units: int) -> None:
        """Leave a block of the link in both nodes' folders."""
        data = hashlib.shake_256(b"block %d" % block).digest(units * 32)
        name = f"00000000-0000-4000-8000-{block:012x}"
        for folder in self.folders.values():
            FileKeyStore(folder / "node-keys").put(
                SecretKey(name, units * 256, data, 1e-10), {"usable": True, "run_id": "made up"}
            )

    def start(self, site: str) -> None:
        """Start a site; its log goes on in one file."""
        with (self.folders[site].parent / f"{site}.log").open("ab") as log:
            command = [sys.executable, "-c", _SERVE, "serve", str(self.folders[site])]
            self.running[site] = subprocess.Popen(command, stdout=log, stderr=log)

    @contextmanager
    def serving(self) -> Iterator["Processes"]:
        """Let both sites serve within the block."""
        for site in self.folders:
            self.start(site)
        try:
            self.await_up()
            yield self
        finally:
            self.stop()

    def kill(self, site: str) -> None:
        """Kill a site without warning."""
        os.kill(self.running[site].pid, signal.SIGKILL)
        self.running[site].wait()

    def stop(self) -> None:
        """End both as a service manager does."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(20)

    def check_stores(self) -> int:
        """Assert that the stopped sites' stores agree, and return how many keys wait in them for ever."""
        with ExitStack() as stack:
            stores: dict[str, KeyStore] = {
                site: stack.enter_context(opened_store(folder, load_kme(folder)))
                for site, folder in self.folders.items()
            }
            Pair(stores).check_agreement()
            return sum(len(store.waiting(OTHER[site])) for site, store in stores.items())

    def log(self) -> str:
        """Return the ends of both logs."""
        return "\n".join((folder.parent / f"{site}.log").read_text()[-3000:] for site, folder in self.folders.items())

    def status(self, site: str, *, compare: bool = False) -> dict[str, Any]:
        """Return what a site says of itself, its ledger freshly compared or not."""
        return ask_admin(self.folders[site], "admin.sock", "POST /compare" if compare else "GET /status")

    def await_up(self, *, within_s: float = 60.0) -> None:
        """Wait until both sites run and have compared their ledgers."""
        deadline = time.monotonic() + within_s
        while not all(self._is_up(site) for site in SITES):
            assert time.monotonic() < deadline, self.log()
            assert all(process.poll() is None for process in self.running.values()), self.log()
            time.sleep(0.05)

    def _is_up(self, site: str) -> bool:
        try:
            return bool(self.status(site)["peers"][OTHER[site]]["is_up"])
        except PeerUnavailableError:
            return False

    def url(self, site: str) -> str:
        """Return where applications call a site for keys with the other one's."""
        port = yaml.safe_load((self.folders[site] / FILE_NAME).read_text())["applications"]["port"]
        return f"https://127.0.0.1:{port}/api/v1/keys/sae-{OTHER[site]}"

    def load(self, *, number: int = 1, size: int = 256) -> Load:
        """Return applications that ask for ``number`` keys of ``size`` bits at a time."""
        contexts = {site: application_context(folder) for site, folder in self.folders.items()}
        return Load(contexts, {site: self.url(site) for site in SITES}, number, size)
