"""Signer, receiver and verifier of a document, as objects that exchange bytes and nothing else.

Block scheme: receiver and verifier each send half of their blocks to the other (`distribute`, `accept_blocks`), then
the signer signs under all blocks; the receiver accepts if everything that it can check is right, the verifier if at
most e_max signatures of its own link are wrong. Sequence scheme: one signature under the sum of both keys; receiver
and verifier exchange their keys only after the receiver has the document.

A party never sees another's pool. Entropy is passed in. Not for more than one document each.

Sources: as `faintlink.postprocess.signatures.parameters`; the order of the steps is that of their protocol text.
"""

from dataclasses import dataclass, field, replace

from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.signatures.hash import draw_irreducible, is_irreducible, register_hash
from faintlink.postprocess.signatures.keys import KeyPool
from faintlink.postprocess.signatures.messages import (
    Reader,
    SignedDocument,
    Slices,
    as_bytes,
    decode_signed,
    encode_signed,
)
from faintlink.postprocess.signatures.parameters import Parameters, Variant
from faintlink.postprocess.signatures.sealed import opened, sealed


@dataclass(frozen=True, slots=True)
class Reserved:
    """Key bits of both links that the signer has booked for one document."""

    parameters: Parameters
    """Of the document."""
    receiver_key: Slices
    """Named for the receiver."""
    verifier_key: Slices
    """Named for the verifier."""
    keys: tuple[int, int] = field(repr=False)
    """Receiver's link, verifier's link; the signer's secret."""


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """What a party found."""

    party: str
    """``receiver`` or ``verifier``."""
    checked: int
    """Signatures that it could check."""
    wrong: int
    """Of these."""
    allowed: int
    """Most that are put up with."""
    is_accepted: bool
    """Whether it stands by the document."""


def sign_one(document: bytes, key: int, hash_bits: int, entropy: Entropy) -> int:
    """Return hash and polynomial of a document under 3 b_H key bits: the register's start, then the pad."""
    polynomial = draw_irreducible(hash_bits, entropy)
    value = register_hash(document, polynomial, key & (1 << hash_bits) - 1)
    return (value | (polynomial ^ 1 << hash_bits) << hash_bits) ^ (key >> hash_bits)


def is_signed(document: bytes, signature: int, key: int, hash_bits: int) -> bool:
    """Return whether a signature is that of a document; a reducible polynomial is none."""
    clear = signature ^ (key >> hash_bits)
    polynomial = clear >> hash_bits | 1 << hash_bits
    if not is_irreducible(polynomial):
        return False
    return register_hash(document, polynomial, key & (1 << hash_bits) - 1) == clear & (1 << hash_bits) - 1


def blocks_of(key: int, parameters: Parameters) -> list[int]:
    """Return the blocks of 3 b_H bits that a link's key is cut into."""
    width = parameters.block_bits
    return [key >> width * j & (1 << width) - 1 for j in range(max(1, parameters.blocks))]


class Signer:
    """Books key bits of both links, and signs one document with them."""

    def __init__(self, receiver_pool: KeyPool, verifier_pool: KeyPool) -> None:
        self._pools = receiver_pool, verifier_pool

    def reserve(self, parameters: Parameters) -> Reserved:
        """Return fresh key bits for a document.

        Raises
        ------
        KeyExhaustedError
            A link has too few; those of the other may be lost.
        """
        (a, first), (b, second) = (pool.take(parameters.link_bits, "signature") for pool in self._pools)
        return Reserved(parameters, first, second, (a, b))

    def sign(self, document: bytes, reserved: Reserved, entropy: Entropy) -> bytes:
        """Return the signed document.

        Raises
        ------
        LocalProtocolError
            The document has another length than was agreed on.
        """
        p = reserved.parameters
        if 8 * len(document) != p.message_bits:
            raise LocalProtocolError(
                f"the parameters are for {p.message_bits} bits, the document has {8 * len(document)}"
            )
        keys = self.signing_keys(reserved)
        signatures = tuple(sign_one(document, key, p.hash_bits, entropy) for key in keys)
        return encode_signed(SignedDocument(p, reserved.receiver_key, reserved.verifier_key, signatures, document))

    @staticmethod
    def signing_keys(reserved: Reserved) -> list[int]:
        """Return the key of each signature."""
        first, second = reserved.keys
        if reserved.parameters.variant is Variant.SEQUENCE:
            return [first ^ second]
        return blocks_of(first, reserved.parameters) + blocks_of(second, reserved.parameters)


class Party:
    """What receiver and verifier have in common: a link to the signer and one to each other."""

    name = "party"

    def __init__(self, parameters: Parameters, key: Slices, signer_pool: KeyPool, peer_pool: KeyPool) -> None:
        if sum(part.bits for part in key) != parameters.link_bits:
            raise RemoteProtocolError(f"the signer must name {parameters.link_bits} key bits of each link")
        self.parameters, self.key_names = parameters, key
        self._own = blocks_of(signer_pool.take_named(key, "signature"), parameters)
        self._peer_pool = peer_pool
        self._peers: dict[int, int] = {}
        self._given: frozenset[int] = frozenset()

    def distribute(self, entropy: Entropy) -> bytes:
        """Return what the peer needs of this party's key: a random half of the blocks, or the key of the sequence."""
        p = self.parameters
        count = p.blocks
        chosen = sorted(_random_half(count, entropy)) if count else [0]
        self._given = frozenset(chosen)
        body = as_bytes(sum(1 << j for j in chosen), max(1, count))
        body += b"".join(as_bytes(self._own[j], p.block_bits) for j in chosen)
        return sealed(self._peer_pool, body, p.tag_bits, f"blocks of {self.name}", entropy, is_secret=True)

    def accept_blocks(self, message: bytes, peer: str) -> None:
        """Take in what the peer sent.

        Raises
        ------
        AuthenticationError, RecordReplayedError, RemoteProtocolError
            It does not come from the peer, came before, or is malformed.
        """
        p = self.parameters
        body = opened(self._peer_pool, message, p.tag_bits, f"blocks of {peer}", is_secret=True)
        reader = Reader(body)
        mask = reader.integer(max(1, p.blocks))
        if mask.bit_count() != max(1, p.blocks // 2):
            raise RemoteProtocolError(f"the peer must send {max(1, p.blocks // 2)} blocks, sent {mask.bit_count()}")
        chosen = [j for j in range(max(1, p.blocks)) if mask >> j & 1]
        self._peers = {j: reader.integer(p.block_bits) for j in chosen}
        reader.end()

    def _signed(self, message: bytes) -> SignedDocument:
        signed = decode_signed(message)
        if signed.parameters != self.parameters:
            raise RemoteProtocolError("the document is signed with other parameters than were agreed on")
        if self.key_names not in (signed.receiver_key, signed.verifier_key):
            raise RemoteProtocolError("the document names other key bits than were agreed on", hint="was it replayed?")
        return signed

    def _wrong(self, signed: SignedDocument, keys: dict[int, int], offset: int) -> int:
        width = self.parameters.hash_bits
        return sum(not is_signed(signed.document, signed.signatures[offset + j], key, width) for j, key in keys.items())


class Receiver(Party):
    """Accepts a document that is right in all it can check, and forwards it."""

    name = "receiver"

    def verify(self, message: bytes) -> SignatureVerdict:
        """Return whether it stands by a signed document.

        Raises
        ------
        RemoteProtocolError
            It is malformed, or made for other parameters or keys.
        """
        signed = self._signed(message)
        if not self._peers:
            raise LocalProtocolError("a document cannot be checked before the peer's blocks are there")
        if self.parameters.variant is Variant.SEQUENCE:
            return _summed(self.name, signed, self._own[0] ^ self._peers[0], self.parameters)
        own = dict(enumerate(self._own))
        wrong = self._wrong(signed, own, 0) + self._wrong(signed, self._peers, self.parameters.blocks)
        return SignatureVerdict(self.name, len(own) + len(self._peers), wrong, 0, wrong == 0)

    def forward(self, message: bytes, entropy: Entropy) -> bytes:
        """Return the document for the verifier; in the sequence scheme before the verifier gives its key."""
        return sealed(self._peer_pool, message, self.parameters.tag_bits, "document", entropy, is_secret=False)

    def report(self, verdict: SignatureVerdict, entropy: Entropy) -> bytes:
        """Return its own verdict for the verifier."""
        body = bytes([verdict.is_accepted])
        return sealed(self._peer_pool, body, self.parameters.tag_bits, "verdict", entropy, is_secret=False)


class Verifier(Party):
    """Decides about a forwarded document; in the sequence scheme it gives its key only once it has the document."""

    name = "verifier"
    _document: SignedDocument | None = None

    def take_document(self, forwarded: bytes) -> None:
        """Keep a forwarded document; it is taken once.

        Raises
        ------
        AuthenticationError, RecordReplayedError, RemoteProtocolError
            It does not come from the receiver, came before, or is malformed or made for other parameters or keys.
        """
        if self._document is not None:
            raise LocalProtocolError("a document is taken once; another one needs fresh keys")
        message = opened(self._peer_pool, forwarded, self.parameters.tag_bits, "document", is_secret=False)
        self._document = self._signed(message)

    def distribute(self, entropy: Entropy) -> bytes:
        """Return what the receiver needs of its key.

        Raises
        ------
        LocalProtocolError
            In the sequence scheme, before it has the document: a receiver that knew the key could sign any other.
        """
        if self.parameters.variant is Variant.SEQUENCE and self._document is None:
            raise LocalProtocolError("the verifier's key leaves only after the document came")
        return super().distribute(entropy)

    def verify(self, report: bytes) -> SignatureVerdict:
        """Return whether it stands by the document that it has.

        Raises
        ------
        AuthenticationError, RecordReplayedError, RemoteProtocolError, LocalProtocolError
            The receiver's report is not the receiver's, came before, is malformed, or came too early.
        """
        body = opened(self._peer_pool, report, self.parameters.tag_bits, "verdict", is_secret=False)
        if len(body) != 1 or body[0] > 1:
            raise RemoteProtocolError("the receiver's verdict is one byte, 0 or 1")
        if self._document is None or not self._peers:
            raise LocalProtocolError("a document cannot be judged before it and the peer's blocks are there")
        signed = self._document
        if self.parameters.variant is Variant.SEQUENCE:
            verdict = _summed(self.name, signed, self._own[0] ^ self._peers[0], self.parameters)
        else:
            wrong = self._wrong(signed, dict(enumerate(self._own)), self.parameters.blocks)
            allowed = self.parameters.max_errors
            verdict = SignatureVerdict(self.name, len(self._own), wrong, allowed, wrong <= allowed)
        return verdict if body[0] else replace(verdict, is_accepted=False)


def _summed(party: str, signed: SignedDocument, key: int, parameters: Parameters) -> SignatureVerdict:
    fits = is_signed(signed.document, signed.signatures[0], key, parameters.hash_bits)
    return SignatureVerdict(party, 1, int(not fits), 0, fits)


def _random_half(count: int, entropy: Entropy) -> list[int]:
    """Return half of 0 … count - 1, all halves alike: the order of random 128-bit labels."""
    drawn = entropy.draw(16 * count, "qds halves")
    labels = sorted(range(count), key=lambda j: drawn[16 * j : 16 * j + 16])
    return labels[: count // 2]
