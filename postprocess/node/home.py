"""A node's own folder: its reserve, its keys, its certificate and its peer's, and its journals.

`create_homes` makes both nodes' folders at one place. One of them is then carried to the other site, and destroyed
where it was made: whoever holds a copy of a reserve can speak for its node.

::

    <home>/
        party               alice or bob
        channel.reserve     one-time keys of the classical channel, and the link key
        tls.key tls.crt     this node's certificate, made for this link alone
        peer.crt            the one certificate that the other node may show
        keys/               released and prepared keys
        journals/           blocks that were begun, one file per run
"""

import datetime as dt
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from faintlink.core.errors import ConfigError, RunExistsError
from faintlink.core.private import write_private
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.channel.session import LINK_KEY_BYTES
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.custody import SLOT_BYTES
from faintlink.postprocess.node.journal import BlockJournal

_VALID = dt.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class NodeHome:
    """The folder of one node."""

    folder: Path
    """Mode 0700."""
    party: Party
    """Whose it is."""

    @classmethod
    def open(cls, folder: Path, party: Party) -> "NodeHome":
        """Return the home of a party.

        Raises
        ------
        ConfigError
            There is none, or it is the other party's.
        """
        marker = folder / "party"
        if not marker.is_file():
            raise ConfigError(f"{folder} is no node's home", hint="make both homes with `faintlink node init`")
        owner = marker.read_text().strip()
        if owner != party:
            raise ConfigError(f"{folder} is the home of {owner}, needed is that of {party}", hint="name the other home")
        return cls(folder, party)

    def reserve(self, *, floor: int) -> KeyReserve:
        """Return the reserve, opened."""
        return KeyReserve.open(self.folder / "channel.reserve", floor=floor)

    def store(self) -> FileKeyStore:
        """Return where keys go."""
        return FileKeyStore(self.folder / "keys")

    def journal(self, run_id: str) -> BlockJournal:
        """Return the journal of a run's blocks."""
        folder = self.folder / "journals"
        folder.mkdir(exist_ok=True)
        return BlockJournal(folder / f"{run_id}.blocks")

    def tls(self) -> ssl.SSLContext:
        """Return TLS 1.3 that shows our certificate and takes the peer's alone; Alice is the server."""
        side = ssl.PROTOCOL_TLS_SERVER if self.party is Party.ALICE else ssl.PROTOCOL_TLS_CLIENT
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # The peer is known by its very certificate, not by a name that somebody certified.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
            context.load_verify_locations(self.folder / "peer.crt")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates in {self.folder} cannot be used: {error}", hint="make both homes anew"
            ) from error
        return context


def create_homes(out: Path, *, link_id: str, seals: int) -> tuple[NodeHome, NodeHome]:
    """Make the homes of Alice and Bob below ``out`` and return them.

    Parameters
    ----------
    out
        New folder.
    link_id
        Name of the link.
    seals
        Seals of each direction that the first reserve pays for.

    Raises
    ------
    RunExistsError
        ``out`` exists.
    """
    try:
        out.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise RunExistsError(f"{out} exists; nothing was overwritten", hint="choose another --out") from None
    shared = bytearray(secrets.token_bytes(LINK_KEY_BYTES + seals * SLOT_BYTES))
    homes = tuple(_create(out / party, party, link_id, shared) for party in (Party.ALICE, Party.BOB))
    shared[:] = bytes(len(shared))
    alice, bob = homes
    (alice.folder / "peer.crt").write_bytes((bob.folder / "tls.crt").read_bytes())
    (bob.folder / "peer.crt").write_bytes((alice.folder / "tls.crt").read_bytes())
    return alice, bob


def _create(folder: Path, party: Party, link_id: str, shared: bytearray) -> NodeHome:
    folder.mkdir(mode=0o700)
    (folder / "party").write_text(f"{party}\n")
    KeyReserve.create(folder / "channel.reserve", link_id=link_id, shared_key=shared).close()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"faintlink {link_id} {party}"[:64])])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(folder / "tls.key", pem)
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return NodeHome(folder, party)
