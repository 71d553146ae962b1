"""Messages of a payment as bytes: the client's report, its cryptogram, and the merchant's request to the bank.

Sans-I/O. Layout: ``fP``, version, kind, 16 bytes of session, then the fields; integers little-endian, bits packed eight
a byte with the first one highest and zeros behind the last. None of them is secret; the channel between merchant and
bank must be authenticated by whoever carries it.

Sources: own design.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.conjugate import fields as conjugate

MAGIC = b"fP\x01"
SESSION_BYTES = 16
CLIENT_BYTES = 16
MAX_POSITIONS = 2**22
MAX_NAME_BYTES = 63


class Kind(IntEnum):
    """What a message is."""

    REPORT = 1
    """Client to bank, before any payment: which pulses it detected."""
    CRYPTOGRAM = 2
    """Client to merchant."""
    REQUEST = 3
    """Merchant to bank."""


class Fields(conjugate.Fields):
    """Reads the fields of one message of a payment in their order, or raises `RemoteProtocolError`."""

    def __init__(self, data: bytes, kind: Kind) -> None:
        super().__init__(data, MAGIC + bytes([kind]), kind.name)
        self.session = self.take(SESSION_BYTES)


def head(kind: Kind, session: bytes) -> bytes:
    """Return what a message begins with."""
    return MAGIC + bytes([kind]) + session


@dataclass(frozen=True, slots=True)
class Cryptogram:
    """What a client gives to a merchant."""

    session: bytes
    client: bytes
    """C_ID: `CLIENT_BYTES` by which the bank knows the client; not its secret."""
    positions: int
    outcomes: bytes = field(repr=False)
    """kappa, packed bits; good for one merchant."""

    def encode(self) -> bytes:
        """Return the message."""
        return head(Kind.CRYPTOGRAM, self.session) + self._body()

    def _body(self) -> bytes:
        return self.client + struct.pack("<I", self.positions) + self.outcomes

    @classmethod
    def decode(cls, data: bytes) -> "Cryptogram":
        """Return the cryptogram of a message, or raise `RemoteProtocolError`."""
        fields = Fields(data, Kind.CRYPTOGRAM)
        found = cls._read(fields)
        fields.end()
        return found

    @classmethod
    def _read(cls, fields: Fields) -> "Cryptogram":
        client = fields.take(CLIENT_BYTES)
        positions = int(fields.number("<I", 1, MAX_POSITIONS))
        return cls(fields.session, client, positions, fields.bits(positions))

    def request(self, merchant: str) -> bytes:
        """Return a merchant's request to be paid with it."""
        name = merchant.encode()
        if not 1 <= len(name) <= MAX_NAME_BYTES:
            raise LocalProtocolError(f"a merchant's name has 1 to {MAX_NAME_BYTES} bytes, got {len(name)}")
        return head(Kind.REQUEST, self.session) + bytes([len(name)]) + name + self._body()

    @classmethod
    def from_request(cls, data: bytes) -> "tuple[str, Cryptogram]":
        """Return the merchant's name and the cryptogram of a request, or raise `RemoteProtocolError`."""
        fields = Fields(data, Kind.REQUEST)
        raw = fields.take(int(fields.number("<B", 1, MAX_NAME_BYTES)))
        try:
            merchant = raw.decode("ascii")
        except UnicodeDecodeError:
            raise RemoteProtocolError("a request names its merchant by anything but ASCII") from None
        found = cls._read(fields)
        fields.end()
        return merchant, found
