"""Certificates of three sites of one authority, and ends of hybrid exchanges between them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faintlink.delivery.hybrid_ends import Ends, OwnEnd, PinnedEnd
from faintlink.delivery.kme.provision import site_urn
from faintlink.delivery.pki.authority import Authority

SITES = ("east", "middle", "west")
KEY_IDS = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")


@dataclass(frozen=True)
class Pki:
    """What the development PKI makes for sites."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> "Pki":
        """Issue the certificate of every site."""
        authority = Authority.create(folder / "ca", "peers")
        for site in SITES:
            authority.issue(site_urn(site), is_server=True).write(folder, site)
        return cls(folder)

    def certificate(self, site: str) -> Path:
        """Return a site's certificate."""
        return self.folder / f"{site}.crt"

    def own(self, site: str) -> OwnEnd:
        """Return a site as it knows itself."""
        return OwnEnd.load(self.certificate(site), self.folder / f"{site}.key")

    def pinned(self, site: str, clock: Callable[[], dt.datetime] | None = None) -> PinnedEnd:
        """Return a site as another has pinned it."""
        times = {} if clock is None else {"clock": clock}
        return PinnedEnd.load(self.certificate(site), urn=site_urn(site), **times)

    def ends(self, own: str, other: str, key_ids: tuple[str, ...] = KEY_IDS) -> Ends:
        """Return both ends as one of them sees them."""
        return Ends(self.own(own), self.pinned(other), key_ids)
