"""Keys that stay secret if either the quantum link or a post-quantum key exchange does: QKD and ML-KEM, combined.

An option for applications and for sites that hand keys to them. Both ends of a pair exchange an ML-KEM secret, and from
then on every delivered key is combined with that secret. Each message is under a one-time tag of a key that they share
already, and signed with the sender's certificate, which the other end has pinned (`faintlink.delivery.hybrid_ends`).
Where keys are relayed this keeps the sites on the way, which have the keys in the clear and can make the tags, from
reading what is encrypted under them and from putting themselves between, as long as ML-KEM holds and nobody forges a
signature while the exchange is under way. Who is not on the way has to forge a tag besides.

What is claimed changes. A delivered key alone is secret without an assumption on computing power, up to its epsilon,
if every site on its way is trusted. The combined key is secret if *either* that holds *or* ML-KEM holds; and in both
cases only as far as HMAC-SHA-384 behaves like a random function, which is an assumption on computing power. Do not
combine where the first claim alone is wanted, such as under a one-time pad.

The combiner concatenates the secrets of fixed place and stated length and derives with HKDF-SHA-384; what was
exchanged, both applications and the key's name are bound by the context, as a concatenation combiner needs.

Sources
-------
NIST SP 800-56C rev. 2, section 2 (Z' = Z || T) and section 5 (two-step derivation); ETSI TS 103 744 V1.1.1, clause 8.2
(concatenating hybrid derivation); FIPS 203 (ML-KEM); RFC 5869 (HKDF); Giacon, Heuer and Poettering, "KEM combiners",
PKC 2018 (why the ciphertext belongs into the context).
"""

import hashlib
import struct
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from faintlink.core.errors import AuthenticationError, ConfigError, LocalProtocolError, RemoteProtocolError
from faintlink.delivery.hybrid_ends import Ends, read_signature, signed
from faintlink.delivery.keystore.model import DeliveredKey
from faintlink.delivery.keystore.sealing import wipe
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KEY_BYTES, TAG_BYTES, KeyPosition, OneTimeKey
from faintlink.postprocess.conjugate.fields import Fields

SHARED_BYTES = 32
"""Bytes of an ML-KEM secret."""
LEAST_BYTES = 16
"""Bytes of the shortest key that is combined."""
MOST_BYTES = 48 * 255
"""Bytes of the longest key that HKDF-SHA-384 gives."""
TAG_KEY_BYTES = 2 * KEY_BYTES
"""Bytes of shared key that one exchange uses for its two tags."""
_LABEL = b"faintlink hybrid key 1"
_OFFER, _REPLY = b"FLHO\x02", b"FLHR\x02"
"""Magic and version; version 1 had tags only."""


class Kem(Enum):
    """Parameter set of ML-KEM: code on the wire, bytes of encapsulation key and of ciphertext (FIPS 203, table 3)."""

    ML_KEM_768 = (1, 1184, 1088)
    ML_KEM_1024 = (2, 1568, 1568)

    @property
    def label(self) -> str:
        """Its name in FIPS 203."""
        return self.name.replace("_", "-")

    @property
    def key_bytes(self) -> int:
        """Bytes of an encapsulation key."""
        return self.value[1]

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext."""
        return self.value[2]

    @classmethod
    def of(cls, code: int) -> "Kem":
        """Return the parameter set of a code."""
        for kem in cls:
            if kem.value[0] == code:
                return kem
        raise RemoteProtocolError(f"an exchange offers the unknown parameter set {code}", hint="run the same version")


def combine(qkd_key: bytes | bytearray, mlkem_shared: bytes | bytearray, context: bytes) -> bytes:
    """Return a key as long as ``qkd_key`` that is secret if one of the two secrets is.

    Parameters
    ----------
    qkd_key
        At least 16 bytes.
    mlkem_shared
        32 bytes.
    context
        Whatever both ends must agree on; different contexts give keys that say nothing of each other.

    Raises
    ------
    LocalProtocolError
        A secret has another length.
    """
    if not LEAST_BYTES <= len(qkd_key) <= MOST_BYTES or len(mlkem_shared) != SHARED_BYTES:
        raise LocalProtocolError(
            f"keys of {len(qkd_key)} and {len(mlkem_shared)} bytes cannot be combined",
            hint=f"a delivered key of {LEAST_BYTES} to {MOST_BYTES} bytes and an ML-KEM secret of {SHARED_BYTES}",
        )
    # The lengths are part of the information, so that no two pairs of secrets give one input.
    info = _LABEL + struct.pack(">II", len(qkd_key), len(mlkem_shared)) + context
    secret = bytearray(qkd_key) + bytearray(mlkem_shared)
    try:
        return HKDF(SHA384(), length=len(qkd_key), salt=None, info=info).derive(secret)
    finally:
        wipe(secret)


@dataclass(frozen=True, slots=True)
class HybridSecret:
    """What an exchange leaves at both ends."""

    kem: Kem
    transcript: bytes
    """SHA-384 over both ends, the names of the tags' keys and both messages."""
    shared: bytearray = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the exchange, equal at both ends; it says nothing of the secret."""
        return self.transcript[:16].hex()

    def apply(self, key: DeliveredKey, *, master: str, slave: str) -> tuple[bytearray, dict[str, str]]:
        """Combine a delivered key, whose material is overwritten.

        Parameters
        ----------
        key
            As it was handed out.
        master, slave
            The applications.

        Returns
        -------
        tuple
            The combined key, and what the other end must be told: the members of a ``key_extension`` of ETSI GS QKD
            014 V1.1.1, table 11.
        """
        names = b"".join(struct.pack(">H", len(part)) + part for part in map(str.encode, (key.key_id, master, slave)))
        combined = bytearray(combine(key.material, self.shared, self.transcript + names))
        wipe(key.material)
        return combined, {"faintlink_hybrid": self.kem.label, "faintlink_exchange": self.name}

    def wipe(self) -> None:
        """Overwrite the secret."""
        wipe(self.shared)


class MlKemOffer:
    """The side that begins: makes a key pair for this exchange only.

    Parameters
    ----------
    kem
        Parameter set.
    tag_keys
        `TAG_KEY_BYTES` of key that both ends share and that serves nothing else; overwritten.
    ends
        This end and the other.

    Raises
    ------
    ConfigError
        The ``cryptography`` package cannot do ML-KEM.
    """

    def __init__(self, kem: Kem, tag_keys: bytearray, ends: Ends) -> None:
        own, self._reply_key = _tag_keys(tag_keys)
        self._kem = kem
        self._other = ends.other
        self._context = ends.text(began_here=True)
        try:
            self._private: Any = getattr(_mlkem(), f"{_class(kem)}PrivateKey").generate()
        except UnsupportedAlgorithm as error:
            raise _no_mlkem() from error
        body = _OFFER + bytes((kem.value[0],)) + self._private.public_key().public_bytes_raw()
        body += signed(ends.own, self._context + body)
        self.message = body + own.tag([body])
        """What to send."""

    def finish(self, reply: bytes) -> HybridSecret:
        """Return the secret that the other side's reply stands for.

        Raises
        ------
        RemoteProtocolError
            It is no reply.
        AuthenticationError
            Its tag is wrong, or it is not signed by the other end. The exchange has failed and needs a new key for its
            tags.
        """
        fields = Fields(reply, _REPLY, "of a hybrid exchange")
        ciphertext = fields.take(self._kem.ciphertext_bytes)
        signature, tag = read_signature(fields), fields.take(TAG_BYTES)
        fields.end()
        _require(self._reply_key.check([self.message, reply[:-TAG_BYTES]], tag))
        self._other.verify(self._context + self.message + _REPLY + ciphertext, signature)
        shared = bytearray(self._private.decapsulate(ciphertext))
        self._private = None
        return HybridSecret(self._kem, _transcript(self._context, self.message, reply), shared)


def reply_to(offer: bytes, tag_keys: bytearray, ends: Ends) -> tuple[bytes, HybridSecret]:
    """Return the reply to an offer, and the secret.

    Parameters
    ----------
    offer
        As it came.
    tag_keys
        As for `MlKemOffer`; overwritten.
    ends
        This end and the other.

    Raises
    ------
    RemoteProtocolError
        It is no offer.
    AuthenticationError
        Its tag is wrong, or it is not signed by the other end; the key for the tags is used up.
    ConfigError
        The ``cryptography`` package cannot do ML-KEM.
    """
    offer_key, own = _tag_keys(tag_keys)
    fields = Fields(offer, _OFFER, "of a hybrid exchange")
    kem = Kem.of(fields.take(1)[0])
    public = fields.take(kem.key_bytes)
    signature, tag = read_signature(fields), fields.take(TAG_BYTES)
    fields.end()
    _require(offer_key.check([offer[:-TAG_BYTES]], tag))
    context = ends.text(began_here=False)
    ends.other.verify(context + offer[: len(_OFFER) + 1 + kem.key_bytes], signature)
    try:
        key = getattr(_mlkem(), f"{_class(kem)}PublicKey").from_public_bytes(public)
    except UnsupportedAlgorithm as error:
        raise _no_mlkem() from error
    except ValueError as error:
        raise RemoteProtocolError(f"an exchange offers no key of {kem.label}", hint="run the same version") from error
    shared, ciphertext = key.encapsulate()
    body = _REPLY + ciphertext
    body += signed(ends.own, context + offer + body)
    reply = body + own.tag([offer, body])
    return reply, HybridSecret(kem, _transcript(context, offer, reply), bytearray(shared))


def _transcript(context: bytes, offer: bytes, reply: bytes) -> bytes:
    return hashlib.sha384(context + offer + reply).digest()


def _require(is_genuine: bool) -> None:
    if not is_genuine:
        raise AuthenticationError(
            "the tag of a hybrid exchange is wrong", hint="begin anew with another key for the tags"
        )


def _tag_keys(material: bytearray) -> tuple[OneTimeKey, OneTimeKey]:
    if len(material) != TAG_KEY_BYTES:
        raise LocalProtocolError(f"an exchange needs {TAG_KEY_BYTES} bytes for its tags, got {len(material)}")
    offer = OneTimeKey(material[:KEY_BYTES], direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, 0))
    reply = OneTimeKey(material[KEY_BYTES:], direction=Direction.BOB_TO_ALICE, position=KeyPosition(0, 1))
    wipe(material)
    return offer, reply


def _class(kem: Kem) -> str:
    return kem.name.replace("_", "")


def _mlkem() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import mlkem
    except ImportError as error:
        raise _no_mlkem() from error
    return mlkem


def _no_mlkem() -> ConfigError:
    return ConfigError("the installed cryptography package has no ML-KEM", hint="pip install --upgrade cryptography")
