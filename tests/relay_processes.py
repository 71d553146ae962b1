"""Three sites in a row as processes of their own, for tests that kill them while the middle one relays.

The sites at the ends have the names of a pair, so that the applications of `tests.kme_load` ask them as they ask two
neighbours; none of them knows that the keys are relayed.
"""

import hashlib
import time
from pathlib import Path

import yaml

from faintlink.core.errors import PeerUnavailableError
from faintlink.core.records import SecretKey
from faintlink.delivery.kme.config import FILE_NAME
from faintlink.delivery.kme.provision import Plan, application_of, make_sites
from faintlink.postprocess.keystore import FileKeyStore
from tests.kme_processes import Processes
from tests.unit.delivery.kme.sites import FAST, SITES, change, free_ports, set_ports

MIDDLE = "site-m"
LINKS = ((SITES[0], MIDDLE), (MIDDLE, SITES[1]))
ROW = (SITES[0], MIDDLE, SITES[1])
_SHARE_RESERVE = 90


class Row(Processes):
    """Both ends and the site between them, with a key folder of each link's node at each site."""

    @classmethod
    def make(cls, out: Path, *, timing: dict[str, float] | None = None) -> "Row":
        """Make all sites on free ports, and the network file that they share."""
        folders = make_sites(out, Plan(LINKS, {}))
        numbers = free_ports(2 * len(ROW))
        set_ports(folders, {site: (numbers[2 * at], numbers[2 * at + 1]) for at, site in enumerate(ROW)})
        network = {
            "format": "faintlink.network/1",
            "name": "row",
            "sites": {site: {"applications": [application_of(site)]} for site in ROW},
            "links": [{"between": list(link)} for link in LINKS],
        }
        (out / "row.network.yaml").write_text(yaml.safe_dump(network))
        # Open relayed keys are settled, and ledgers compared, this often: a test cannot wait for a minute.
        times = {**FAST, "compare_every_s": 0.5, "grace_s": 0.5, **(timing or {})}
        for folder in folders:
            data = yaml.safe_load((folder / FILE_NAME).read_text())
            for peer in data["peers"]:
                peer |= {"node_keys": f"node-{peer['name']}", "cut": {"share_reserve": _SHARE_RESERVE}}
            change(folder, timing=times, peers=data["peers"], network="../row.network.yaml")
        return cls({folder.name: folder for folder in folders})

    def distil(self, block: int, units: int) -> None:
        """Leave a block of each link in its nodes' folders."""
        for number, (first, second) in enumerate(LINKS):
            data = hashlib.shake_256(b"block %d of link %d" % (block, number)).digest(units * 32)
            name = f"00000000-0000-4000-8000-{number:04x}{block:08x}"
            for site, peer in ((first, second), (second, first)):
                FileKeyStore(self.folders[site] / f"node-{peer}").put(
                    SecretKey(name, units * 256, data, 1e-10), {"usable": True, "run_id": "made up"}
                )

    def _is_up(self, site: str) -> bool:
        try:
            seen = [self.status(one)["peers"] for one in (site, MIDDLE)]
        except PeerUnavailableError:
            return False
        return all(peer["is_up"] for peers in seen for peer in peers.values())

    def await_comparisons(self, number: int, *, within_s: float = 60.0) -> None:
        """Wait until every site has compared its ledgers, and settled what it relayed, so many times more."""
        wanted = {site: self._comparisons(site) + number for site in ROW}
        deadline = time.monotonic() + within_s
        while any(self._comparisons(site) < count for site, count in wanted.items()):
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def _comparisons(self, site: str) -> int:
        return min(int(peer["comparisons"]) for peer in self.status(site)["peers"].values())
