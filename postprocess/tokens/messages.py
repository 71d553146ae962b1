"""Messages between the nodes and agents of a token as bytes: fixed sizes, refused when anything does not fit.

Sans-I/O and without numpy, so that an agent's process starts at once. Channels between the agents of one party, and
between both parties at one point, must be authenticated by whoever carries them; none of them is secret but for
`Deposit` and `Holding`, which each party sends to its own agents.

Layout: ``fT``, version, kind, 16 bytes of session, then the fields in their order; integers little-endian, bits packed
eight a byte with the first one highest and zeros behind the last.

Sources: own design.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.conjugate import fields as conjugate

MAGIC = b"fT\x01"
SESSION_BYTES = 16
NONCE_BYTES = 32
COMMITMENT_BYTES = 32
MAX_COPIES = 6
MAX_POSITIONS = 2**22
MAX_MESSAGE_BYTES = 64 + MAX_COPIES * (3 * (MAX_POSITIONS // 8) + 8 * MAX_POSITIONS + NONCE_BYTES)


class Kind(IntEnum):
    """What a message is."""

    REPORT = 1
    """User to bank: which pulses it detected."""
    TOKEN = 2
    """User to bank: d, and commitments to its outcomes."""
    DEPOSIT = 3
    """Bank to its agents: what they need to verify."""
    HOLDING = 4
    """User to its agents: what they need to present."""
    CHOICE = 5
    """User to bank, and bank to its agents: c."""
    GO = 6
    """User to its agent at the chosen point."""
    PRESENTATION = 7
    """User's agent to the bank's agent at its point."""
    DECISION = 8
    """The bank's agent's answer."""


class Reason(IntEnum):
    """Why a presentation was decided as it was."""

    ACCEPTED = 0
    TOO_MANY_ERRORS = 1
    REPLAYED = 2
    """The same token was presented at this point before."""
    OTHER_OUTCOMES = 3
    """The outcomes are not those that were committed to."""
    MALFORMED = 4
    NOT_DUE = 5
    """Nothing was deposited for this session, or the user has not chosen yet."""


class Fields(conjugate.Fields):
    """Reads the fields of one message of a token in their order.

    Raises
    ------
    RemoteProtocolError
        The message is of another kind or session, too short or too long.
    """

    def __init__(self, data: bytes, kind: Kind, session: bytes | None = None) -> None:
        super().__init__(data, MAGIC + bytes([kind]), kind.name)
        self.session = self.take(SESSION_BYTES)
        if session is not None and session != self.session:
            raise RemoteProtocolError(f"a message {kind.name} belongs to another session")


def message(kind: Kind, session: bytes, *parts: bytes) -> bytes:
    """Return a message."""
    return MAGIC + bytes([kind]) + session + b"".join(parts)


@dataclass(frozen=True, slots=True)
class CopyKey:
    """What the bank's agents know of one copy, as packed bits."""

    bits: bytes = field(repr=False)
    """t: bits sent; the bank's secret."""
    bases: bytes = field(repr=False)
    """u: bases sent; the bank's secret."""
    offsets: bytes
    """d = y + z, y being the user's bases."""
    commitment: bytes
    """To the outcomes; empty without commitments."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """What the bank gives to each of its agents."""

    session: bytes
    positions: int
    max_error_rate: float
    copies: tuple[CopyKey, ...]

    def encode(self) -> bytes:
        """Return the message."""
        has_commitments = bool(self.copies[0].commitment)
        head = struct.pack("<BBId", len(self.copies), has_commitments, self.positions, self.max_error_rate)
        body = (part for copy in self.copies for part in (copy.bits, copy.bases, copy.offsets, copy.commitment))
        return message(Kind.DEPOSIT, self.session, head, *body)

    @classmethod
    def decode(cls, data: bytes) -> "Deposit":
        """Return the deposit of a message, or raise `RemoteProtocolError`."""
        fields = Fields(data, Kind.DEPOSIT)
        copies = int(fields.number("<B", 1, MAX_COPIES))
        commitment = COMMITMENT_BYTES * int(fields.number("<B", 0, 1))
        positions = int(fields.number("<I", 1, MAX_POSITIONS))
        rate = fields.number("<d", 0.0, 0.5)
        keys = tuple(
            CopyKey(fields.bits(positions), fields.bits(positions), fields.bits(positions), fields.take(commitment))
            for _ in range(copies)
        )
        fields.end()
        return cls(fields.session, positions, rate, keys)


@dataclass(frozen=True, slots=True)
class Holding:
    """What a user's agent presents: outcomes of each copy with the nonce of its commitment."""

    session: bytes
    positions: int
    outcomes: tuple[bytes, ...] = field(repr=False)
    """x of each copy, packed; secret until they are presented."""
    nonces: tuple[bytes, ...] = field(repr=False)
    """Of `NONCE_BYTES` each, or empty without commitments."""

    def encode(self, kind: Kind = Kind.HOLDING) -> bytes:
        """Return the message: `Kind.HOLDING` to an agent, `Kind.PRESENTATION` to the bank."""
        nonce = len(self.nonces[0])
        head = struct.pack("<BBI", len(self.outcomes), nonce // NONCE_BYTES, self.positions)
        body = (part for pair in zip(self.outcomes, self.nonces, strict=True) for part in pair)
        return message(kind, self.session, head, *body)

    @classmethod
    def decode(cls, data: bytes, kind: Kind = Kind.HOLDING) -> "Holding":
        """Return what a message holds, or raise `RemoteProtocolError`."""
        fields = Fields(data, kind)
        copies = int(fields.number("<B", 1, MAX_COPIES))
        nonce = NONCE_BYTES * int(fields.number("<B", 0, 1))
        positions = int(fields.number("<I", 1, MAX_POSITIONS))
        pairs = [(fields.bits(positions), fields.take(nonce)) for _ in range(copies)]
        fields.end()
        return cls(fields.session, positions, tuple(x for x, _ in pairs), tuple(r for _, r in pairs))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a bank's agent decided about a presentation."""

    session: bytes
    point: int
    """Where."""
    reason: Reason
    counts: tuple[tuple[int, int], ...]
    """(|Delta_b|, errors) of each copy that was compared."""
    validation_ns: int
    """From the whole presentation in memory to this decision."""
    arrival_ns: int
    """Unix time of arrival."""

    @property
    def is_accepted(self) -> bool:
        """Whether the presentation stands."""
        return self.reason is Reason.ACCEPTED

    def encode(self) -> bytes:
        """Return the message."""
        head = struct.pack(
            "<BBQQB", self.point, self.reason, self.validation_ns, self.arrival_ns, len(self.counts)
        )  # fmt: skip
        return message(Kind.DECISION, self.session, head, *(struct.pack("<II", *pair) for pair in self.counts))

    @classmethod
    def decode(cls, data: bytes, session: bytes | None = None) -> "Decision":
        """Return the decision of a message, or raise `RemoteProtocolError`."""
        fields = Fields(data, Kind.DECISION, session)
        point, reason = int(fields.number("<B", 0, 63)), int(fields.number("<B", 0, max(Reason)))
        validation, arrival = (int(fields.number("<Q", 0, 2**63)) for _ in range(2))
        copies = int(fields.number("<B", 0, MAX_COPIES))
        pairs = [
            (int(fields.number("<I", 0, MAX_POSITIONS)), int(fields.number("<I", 0, MAX_POSITIONS)))
            for _ in range(copies)
        ]
        fields.end()
        return cls(fields.session, point, Reason(reason), tuple(pairs), validation, arrival)


def choice_message(session: bytes, choice: int) -> bytes:
    """Return c of all copies as a message; bit i belongs to copy i."""
    return message(Kind.CHOICE, session, bytes([choice]))


def read_choice(data: bytes, session: bytes, copies: int) -> int:
    """Return c of a message, or raise `RemoteProtocolError`."""
    fields = Fields(data, Kind.CHOICE, session)
    choice = int(fields.number("<B", 0, (1 << copies) - 1))
    fields.end()
    return choice
