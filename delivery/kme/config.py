"""``kme.yaml``: the site, its applications, the other sites, and how both are reached."""

import ssl
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from faintlink.core.config.loader import parse_yaml
from faintlink.core.config.models import Positive, StrictModel
from faintlink.core.errors import ConfigError
from faintlink.delivery.etsi014.settings import Api014Settings
from faintlink.delivery.keystore.model import Cut
from faintlink.delivery.kme.foreign_config import ForeignDevice
from faintlink.delivery.kme.officers_config import Officers
from faintlink.delivery.kme.store_config import PostgresStore
from faintlink.delivery.ledger.messages import SaeName, SiteName

FORMAT = "faintlink.kme/1"
FILE_NAME = "kme.yaml"

Urn = Annotated[str, Field(pattern=r"^urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[!-~]{1,200}$")]
"""The one URI among a certificate's subject alternative names that says who it is."""
Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose; for tests."""


class Listener(StrictModel):
    """A port, the certificate that is shown there, and the authority of those who may call. Files are in the folder."""

    host: str = "127.0.0.1"
    port: Port
    certificate: str
    key: str
    authority: str
    """Whoever calls must have a certificate of this authority."""
    revoked: str
    """List of revoked certificates of that authority; read again whenever it changes."""
    oldest_tls: Literal["1.3", "1.2"] = "1.3"
    """ETSI GS QKD 014 V1.1.1 allows 1.2."""

    @property
    def tls_version(self) -> ssl.TLSVersion:
        """Oldest version that is spoken."""
        return ssl.TLSVersion.TLSv1_3 if self.oldest_tls == "1.3" else ssl.TLSVersion.TLSv1_2


class CutShares(StrictModel):
    """How common blocks are divided; the same in both sites' files."""

    share_first: Annotated[int, Field(ge=0, le=100)] = 50
    """Per cent of the units whose master is at the site whose name sorts first."""
    share_reserve: Annotated[int, Field(ge=0, le=99)] = 10
    """Per cent kept for relay and authentication."""


class PeerSite(StrictModel):
    """Another site that shares a link with this one."""

    name: SiteName
    url: Annotated[str, Field(pattern=r"^https://[^/?#@\s]+$")]
    """``https://host:port`` of its listener for sites."""
    urn: Urn
    """Who its certificate must say it is when it calls."""
    tls_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")]
    """DNS name that its certificate must have when it is called, whatever its address."""
    applications: tuple[SaeName, ...]
    """Applications behind it."""
    cut: CutShares = CutShares()
    node_keys: str | None = None
    """Folder into which this site's node of the link puts its keys."""
    allow_simulated: bool = False
    """Whether keys of simulated links may be handed out."""
    devices: tuple[ForeignDevice, ...] = ()
    """KMEs of others whose keys become stock too."""


class Timing(StrictModel):
    """When to give up and when to try again, s."""

    answer_within_s: Positive = 2.0
    """Longest wait for one answer of another site."""
    agree_within_s: Positive = 5.0
    """Longest time in which a key is agreed to; then both sites give it up."""
    compare_within_s: Positive = 30.0
    """Longest wait for one answer while ledgers are compared, which takes longer the more stock there is."""
    compare_every_s: Positive = 60.0
    """Ledgers are compared at every reconnect, and this often."""
    grace_s: Annotated[float, Field(ge=0.0)] = 10.0
    """How long stock must be missing at the other site before it is destroyed here."""
    first_retry_s: Positive = 1.0
    """Pause before the first attempt to reconnect; it doubles with each."""
    longest_retry_s: Positive = 60.0
    drain_s: Positive = 5.0
    """How long requests in progress may take when the server stops."""
    self_test_every_s: Positive = 3600.0
    """How often the self-tests run again."""
    forget_every_s: Positive = 60.0
    """How often the store destroys what opens handed-out keys, and what its files remember of them."""
    keep_waiting_days: Positive = 30.0
    """How long a key waits for the slave's application to fetch it."""


class KmeConfig(StrictModel):
    """The whole of ``kme.yaml``."""

    described_in: ClassVar[str] = "docs/reference/kme-config.md"

    format: Literal["faintlink.kme/1"]
    site: SiteName
    store: str = "store"
    """Folder of the key store and its master key."""
    postgres: PostgresStore | None = None
    """Database that holds the keys instead of a file in that folder."""
    audit: str = "audit"
    """Folder of the audit log."""
    applications: Listener
    sites: Listener
    own: dict[SaeName, Urn]
    """This site's applications, and whom their certificates name."""
    peers: Annotated[tuple[PeerSite, ...], Field(min_length=1)]
    officers: Officers | None = None
    """Crypto officers, of whom two must approve every change of whom the site trusts."""
    two_persons: bool | None = None
    """Whether they must; without it, where officers are named or the certificates are not of the development kind."""
    api: Api014Settings = Api014Settings()
    timing: Timing = Timing()
    network: str | None = None
    """Network file that all sites share, for keys with sites that have no link to this one."""
    admin_socket: str = "admin.sock"
    """Unix socket for `faintlink kme status`."""
    monitoring_port: Port | None = None
    """Port on loopback for health and metrics; none without it."""
    manifest: str | None = None
    """Manifest of the installed files, which every self-test compares them with; not compared without it."""
    anchors: str | None = None
    """File of the audit log's anchors, best on another disk; beside the log without it."""

    @field_validator("peers")
    @classmethod
    def _names_differ(cls, peers: tuple[PeerSite, ...]) -> tuple[PeerSite, ...]:
        for what in ("name", "urn", "tls_name"):
            names = [getattr(peer, what) for peer in peers]
            if len(names) != len(set(names)):
                raise ValueError(f"two peers have the same {what}")
        return peers

    @model_validator(mode="after")
    def _applications_differ(self) -> Self:
        if len(set(self.own.values())) != len(self.own):
            raise ValueError("two applications have the same URN")
        behind = [name for peer in self.peers for name in peer.applications] + list(self.own)
        twice = sorted({name for name in behind if behind.count(name) > 1})
        if twice:
            raise ValueError(f"applications at two places: {', '.join(twice)}")
        if self.site in {peer.name for peer in self.peers}:
            raise ValueError(f"the site {self.site} is its own peer")
        return self

    def peer(self, name: str) -> PeerSite:
        """Return a peer by its name."""
        return next(peer for peer in self.peers if peer.name == name)

    def peer_of(self, application: str) -> PeerSite | None:
        """Return the peer that an application is behind."""
        return next((peer for peer in self.peers if application in peer.applications), None)

    def cut(self, peer: PeerSite) -> Cut:
        """Return how blocks in common with a peer are cut."""
        return Cut(min(self.site, peer.name), peer.cut.share_first, peer.cut.share_reserve)


def load_kme(folder: Path) -> KmeConfig:
    """Return the configuration of the site in ``folder``.

    Raises
    ------
    ConfigError
        With every fault in ``faults``.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="name a site's folder, such as `faintlink kme pki` makes"
        ) from None
    return parse_yaml(text, KmeConfig, str(path))
