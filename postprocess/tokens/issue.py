"""Bank and user at the issue of a token: what was detected, what is told, what stays secret.

Both are objects that exchange bytes; pure but for the entropy that is passed in. `faintlink.postprocess.tokens.agents`
are what they hand their parts to.

Notes
-----
Reporting, own derivation. Scheme QT1 lets the user tell d = y + z, y being its bases and z a secret bit. If y is
uneven among the reported positions, d is uneven too, and the side on which it is tells z: with 10 000 positions a
splitting of 51 : 49 gives z away. So the user reports an even number n of positions, n/2 of each basis, drawn at
random among all detections of that basis. As long as detections of the two bases are alike but for their frequency,
set and bases have the same joint distribution when both bases are exchanged, so that (set, d) is independent of z
whatever the frequencies are. Slots with several clicks enter with random bits and bases (`qkd.squash`): nothing is
left out for what it showed. The number is fixed before the first pulse, so that it tells nothing either.

Sources: A. Kent et al., npj Quantum Inf. 8, 28 (2022), scheme QT1; M. Bozzio et al., PRX Quantum 2, 030338 (2021)
(what a bank can learn from reports).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, NotEnoughSignalsError, RemoteProtocolError
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.conjugate.fields import packed_size
from faintlink.postprocess.conjugate.observations import Observations
from faintlink.postprocess.tokens.agents import commitment
from faintlink.postprocess.tokens.messages import (
    COMMITMENT_BYTES,
    NONCE_BYTES,
    SESSION_BYTES,
    CopyKey,
    Deposit,
    Fields,
    Holding,
    Kind,
    choice_message,
    message,
    read_choice,
)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What the user has of one copy: its secrets until the token is presented."""

    slots: Slots
    """(n,) int64, reported."""
    basis: Bits = field(repr=False)
    """(n,) uint8, y."""
    bit: Bits = field(repr=False)
    """(n,) uint8, x."""
    mask: int = field(repr=False)
    """z."""
    nonce: bytes = field(repr=False)
    """Of the commitment; empty without one."""

    @property
    def offsets(self) -> Bits:
        """(n,) uint8, d = y + z; public."""
        return self.basis ^ np.uint8(self.mask)


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What the bank knows of the pulses that anything was detected of: its secrets."""

    slots: Slots
    """(k,) int64, strictly increasing."""
    basis: Bits = field(repr=False)
    """(k,) uint8, u."""
    bit: Bits = field(repr=False)
    """(k,) uint8, t."""

    def at(self, slots: Slots) -> "Sent":
        """Return the part at ``slots``, or raise `RemoteProtocolError` when one of them was not played."""
        at = np.minimum(np.searchsorted(self.slots, slots), max(0, self.slots.size - 1))
        if not self.slots.size or (self.slots[at] != slots).any():
            raise RemoteProtocolError("a report names slots that the bank did not play or does not remember")
        return Sent(slots, self.basis[at], self.bit[at])


def copies_of(seen: Observations, policy: TokenPolicy) -> list[Observations]:
    """Return the detections of each copy, stretch by stretch."""
    number = (seen.slots - seen.first_slot) // policy.pulses_per_copy
    return [seen.where(number == copy) for copy in range(policy.point_bits)]


def balanced(basis: Bits, positions: int, entropy: Entropy) -> npt.NDArray[np.int64]:
    """Return which detections to report, ascending: half of ``positions`` of each basis, at random.

    Raises
    ------
    NotEnoughSignalsError
        One basis has too few.
    """
    labels = np.frombuffer(entropy.draw(8 * basis.size, "token report"), "<u8")
    chosen = []
    for code in (0, 1):
        found = np.flatnonzero(basis == code)
        if found.size < positions // 2:
            raise NotEnoughSignalsError(
                f"{found.size} detections in basis {code}, a copy needs {positions // 2} of each",
                hint="send more pulses for as many positions, or agree on fewer, before the next session",
            )
        chosen.append(found[np.argsort(labels[found], kind="stable")[: positions // 2]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


class TokenUser:
    """Receives pulses, reports, and decides where the token shall be valid.

    Parameters
    ----------
    policy
        What was agreed on.
    seen
        Its detections of each copy; what was sent is not looked at.
    entropy
        Its own.
    """

    def __init__(self, policy: TokenPolicy, seen: Sequence[Observations], entropy: Entropy) -> None:
        self._policy, self._entropy = policy, entropy
        self.held = [self._hold(copy) for copy in seen]
        self._session = b""

    def _hold(self, seen: Observations) -> Held:
        keep = balanced(seen.basis, self._policy.positions, self._entropy)
        mask = self._entropy.draw(1, "token choice")[0] & 1
        nonce = self._entropy.draw(NONCE_BYTES, "token nonce") if self._policy.has_commitments else b""
        return Held(seen.slots[keep], seen.basis[keep], seen.bit[keep], mask, nonce)

    def report(self, session: bytes) -> bytes:
        """Return the report of what was detected."""
        self._session = session
        return message(Kind.REPORT, session, *(held.slots.astype("<i8").tobytes() for held in self.held))

    def token(self) -> bytes:
        """Return d of each copy with its commitment."""
        parts = []
        for held in self.held:
            offsets, outcomes = np.packbits(held.offsets).tobytes(), np.packbits(held.bit).tobytes()
            parts += [offsets, commitment(held.nonce, offsets, outcomes)]
        return message(Kind.TOKEN, self._session, *parts)

    def choose(self, point: int) -> bytes:
        """Return c, which makes the token valid at ``point`` and tells nothing of it."""
        if point >> self._policy.point_bits:
            raise LocalProtocolError(f"there are {2**self._policy.point_bits} points, asked for {point}")
        choice = point
        for number, held in enumerate(self.held):
            choice ^= held.mask << number
        return choice_message(self._session, choice)

    def holding(self) -> Holding:
        """Return what its agents need."""
        outcomes = tuple(np.packbits(held.bit).tobytes() for held in self.held)
        return Holding(self._session, self._policy.positions, outcomes, tuple(held.nonce for held in self.held))


class TokenBank:
    """Sent the pulses; issues the token and arms its agents.

    Parameters
    ----------
    policy
        What was agreed on.
    first_slot
        Of the session.
    sent
        What it played, at least in the slots that may be reported.
    entropy
        Its own.
    """

    def __init__(self, policy: TokenPolicy, first_slot: int, sent: Sent, entropy: Entropy) -> None:
        self._policy, self._first, self._sent = policy, first_slot, sent
        self.session = entropy.draw(SESSION_BYTES, "token session")
        self.issued: list[Sent] = []
        self.offsets: list[bytes] = []
        self.commitments: list[bytes] = []

    def take_report(self, data: bytes) -> None:
        """Take the report of what was detected, or refuse it.

        Raises
        ------
        RemoteProtocolError
            It does not name as many slots of each copy as agreed on, each once.
        """
        fields = Fields(data, Kind.REPORT, self.session)
        if self.issued:
            raise RemoteProtocolError("a second report of one session")
        issued = []
        for copy in range(self._policy.point_bits):
            slots = np.frombuffer(fields.take(8 * self._policy.positions), "<i8").astype(np.int64)
            start = self._first + copy * self._policy.pulses_per_copy
            inside = start <= slots[0] and slots[-1] < start + self._policy.pulses_per_copy
            if not inside or (np.diff(slots) <= 0).any():
                raise RemoteProtocolError(f"the slots of copy {copy} must rise within its stretch")
            issued.append(self._sent.at(slots))
        fields.end()
        self.issued = issued

    def take_token(self, data: bytes) -> None:
        """Take d and the commitments."""
        fields = Fields(data, Kind.TOKEN, self.session)
        if not self.issued or self.offsets:
            raise RemoteProtocolError("a token comes once, after the report")
        size = COMMITMENT_BYTES * self._policy.has_commitments
        parts = [(fields.bits(self._policy.positions), fields.take(size)) for _ in self.issued]
        fields.end()
        self.offsets, self.commitments = [d for d, _ in parts], [digest for _, digest in parts]

    def deposit(self) -> bytes:
        """Return what its agents need."""
        if not self.offsets:
            raise LocalProtocolError("the token is not issued yet")
        keys = tuple(
            CopyKey(np.packbits(sent.bit).tobytes(), np.packbits(sent.basis).tobytes(), offsets, digest)
            for sent, offsets, digest in zip(self.issued, self.offsets, self.commitments, strict=True)
        )
        return Deposit(self.session, self._policy.positions, self._policy.max_error_rate, keys).encode()

    def take_choice(self, data: bytes) -> int:
        """Return c of the user's message, which goes on to the agents as it is."""
        return read_choice(data, self.session, self._policy.point_bits)


def unpacked(packed: bytes, count: int) -> Bits:
    """Return ``count`` packed bits as (count,) uint8."""
    if len(packed) != packed_size(count):
        raise RemoteProtocolError(f"{count} bits have {packed_size(count)} bytes, got {len(packed)}")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
