"""What signer, receiver and verifier send one another, as bytes with one reading each.

Sans-I/O: the parties encode and decode with it, files and sockets carry the bytes. Every length is checked against
the parameters before anything is built, and every padding bit must be zero.

Layout, big-endian. Signed document: ``FLQDS1``, variant, message bits u64, hash, tag, blocks, errors u16 each; for
each link (receiver, verifier) a count u16 and as many slices (name of u8 length in ASCII, first bit u64, bits u64);
then the signatures, 2 b_H bits each in whole bytes; then the document. Integers of b bits stand in (b + 7) // 8 bytes.

Sources: own design.
"""

import struct
from dataclasses import dataclass

from faintlink.core.errors import ConfigError, RemoteProtocolError
from faintlink.postprocess.signatures.keys import KeySlice
from faintlink.postprocess.signatures.parameters import Parameters, Variant

_MAGIC = b"FLQDS1"
_HEAD = struct.Struct(">6sBQHHHH")
_SLICE = struct.Struct(">QQ")
_MOST_SLICES = 1024
_MOST_KEY_BITS = 2**48
_VARIANTS = (Variant.BLOCK, Variant.SEQUENCE)
Slices = tuple[KeySlice, ...]


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document with its signatures, and which key bits they stand on."""

    parameters: Parameters
    """What was agreed on."""
    receiver_key: Slices
    """Bits of the link to the receiver."""
    verifier_key: Slices
    """Bits of the link to the verifier."""
    signatures: tuple[int, ...]
    """Hash and polynomial under the pad, hash lowest: n of the receiver's link, then n of the verifier's; or one."""
    document: bytes
    """What is signed."""


class Reader:
    """Takes a message apart from its front, and refuses what is too short or too long."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises
        ------
        RemoteProtocolError
            There are fewer.
        """
        if size < 0 or self._at + size > len(self._data):
            raise RemoteProtocolError(f"a message of {len(self._data)} bytes was cut short at byte {self._at}")
        self._at += size
        return self._data[self._at - size : self._at]

    def integer(self, bits: int) -> int:
        """Return an integer of so many bits.

        Raises
        ------
        RemoteProtocolError
            It is larger.
        """
        value = int.from_bytes(self.take((bits + 7) // 8), "big")
        if value >> bits:
            raise RemoteProtocolError(f"a number at byte {self._at} has more than {bits} bits")
        return value

    def end(self) -> None:
        """Refuse bytes that are left.

        Raises
        ------
        RemoteProtocolError
            Some are.
        """
        if self._at != len(self._data):
            raise RemoteProtocolError(f"{len(self._data) - self._at} bytes stand behind the end of a message")


def as_bytes(value: int, bits: int) -> bytes:
    """Return an integer of ``bits`` bits as bytes."""
    return value.to_bytes((bits + 7) // 8, "big")


def encode_signed(signed: SignedDocument) -> bytes:
    """Return a signed document as bytes."""
    p = signed.parameters
    head = _HEAD.pack(
        _MAGIC, _VARIANTS.index(p.variant), p.message_bits, p.hash_bits, p.tag_bits, p.blocks, p.max_errors
    )
    parts = [head, encode_slices(signed.receiver_key), encode_slices(signed.verifier_key)]
    parts += [as_bytes(signature, 2 * p.hash_bits) for signature in signed.signatures]
    return b"".join([*parts, signed.document])


def decode_signed(data: bytes) -> SignedDocument:
    """Return the signed document that bytes stand for.

    Raises
    ------
    RemoteProtocolError
        They stand for none.
    """
    reader = Reader(data)
    magic, variant, message_bits, hash_bits, tag_bits, blocks, errors = _HEAD.unpack(reader.take(_HEAD.size))
    if magic != _MAGIC or variant >= len(_VARIANTS):
        raise RemoteProtocolError("these bytes are no signed document", hint="name the file that `sign` wrote")
    try:
        parameters = Parameters(_VARIANTS[variant], message_bits, hash_bits, tag_bits, blocks, errors)
    except ConfigError as error:
        raise RemoteProtocolError(f"a signed document has impossible parameters: {error.message}") from error
    keys = [decode_slices(reader), decode_slices(reader)]
    for slices in keys:
        if sum(part.bits for part in slices) != parameters.link_bits:
            raise RemoteProtocolError(f"each link must give {parameters.link_bits} key bits")
    signatures = tuple(reader.integer(2 * hash_bits) for _ in range(parameters.signatures))
    document = reader.take(message_bits // 8)
    reader.end()
    return SignedDocument(parameters, keys[0], keys[1], signatures, document)


def encode_slices(slices: Slices) -> bytes:
    """Return names of key bits as bytes."""
    parts = [struct.pack(">H", len(slices))]
    for part in slices:
        name = part.key_id.encode("ascii")
        parts += [bytes([len(name)]), name, _SLICE.pack(part.first_bit, part.bits)]
    return b"".join(parts)


def decode_slices(reader: Reader) -> Slices:
    """Return the names of key bits that come next.

    Raises
    ------
    RemoteProtocolError
        They are malformed.
    """
    (count,) = struct.unpack(">H", reader.take(2))
    if count > _MOST_SLICES:
        raise RemoteProtocolError(f"at most {_MOST_SLICES} stretches of key, got {count}")
    slices = []
    for _ in range(count):
        name = reader.take(reader.take(1)[0])
        first, bits = _SLICE.unpack(reader.take(_SLICE.size))
        if not name or not all(33 <= byte < 127 and byte != 47 for byte in name) or name.startswith(b"."):
            raise RemoteProtocolError("a key's name is malformed")
        if not bits or first + bits > _MOST_KEY_BITS:
            raise RemoteProtocolError(f"a stretch of {bits} key bits from {first} is impossible")
        slices.append(KeySlice(name.decode("ascii"), first, bits))
    return tuple(slices)
