"""Client, merchant and bank of a payment, as objects that exchange bytes and nothing else.

The bank is the trusted third party that sends the pulses. It may have several branches that verify without asking
each other. Client and bank share a secret C from when the account was opened; the merchant shares nothing.

Notes
-----
The bases m of a merchant M are prescribed for every slot before the first pulse: m = SHAKE-256 of a seed, the seed a
keyed BLAKE2b of session and merchant under C. The client measures in m and has no basis to choose; its outcomes are
the cryptogram. The bank recomputes m and compares where m equals the basis that it sent in.

Why the receiver must be driven by m, own derivation. If it measured in random bases y and kept the positions with
y = m afterwards, half of the detections would have to be allowed to be missing, and a client could keep the other half
for a second merchant: both would be paid without a single error. So positions are reported before any payment, they
are as many as were agreed on, and one report binds for all merchants.

Which positions may be reported, own derivation. A client with a better line than declared may choose among its
detections, and it knows the bases of all merchants: it would report positions where those of two merchants agree, and
pay both. So the bank, who knows them too, refuses a report in which the bases of any two registered merchants differ
in less than the agreed share. It also refuses one of which it would have to compare more than the agreed share, so that
the number of errors that all merchants together let pass is fixed beforehand.

Sources: P. Schiansky et al., Nat. Commun. 14, 3849 (2023) with correction 14, 5059; BLAKE2, RFC 7693; SHAKE, FIPS 202.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from faintlink.core.basis_pattern import SEED_BYTES, basis_pattern
from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.errors import NotEnoughSignalsError, RemoteProtocolError
from faintlink.core.records import ErrorCount
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.conjugate.verifier import compare
from faintlink.postprocess.payments.messages import CLIENT_BYTES, Cryptogram, Fields, Kind, head

SECRET_BYTES = 32
_PERSON = b"faintlink pay"


class Reason(IntEnum):
    """Why a request was decided as it was."""

    ACCEPTED = 0
    TOO_MANY_ERRORS = 1
    REPLAYED = 2
    """This branch has decided about this session and merchant before."""
    UNKNOWN_MERCHANT = 3
    """The merchant is not registered, or is not the one on the line."""
    UNKNOWN_CLIENT = 4
    """The client or the session is not known."""
    MALFORMED = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """What a branch decided about a request."""

    merchant: str
    reason: Reason
    count: ErrorCount
    """Positions compared and wrong ones."""

    @property
    def is_accepted(self) -> bool:
        """Whether the merchant is paid."""
        return self.reason is Reason.ACCEPTED


def basis_seed(secret: bytes, session: bytes, merchant: str) -> bytes:
    """Return the seed of a merchant's bases, the MAC under the client's secret."""
    hash_ = hashlib.blake2b(key=secret, person=_PERSON, digest_size=SEED_BYTES)
    hash_.update(session + merchant.encode())
    return hash_.digest()


def bases_at(secret: bytes, session: bytes, merchant: str, slots: Slots) -> Bits:
    """Return a merchant's bases in ``slots`` (n,) int64, rising, as (n,) uint8."""
    return basis_pattern(basis_seed(secret, session, merchant), int(slots[-1]) + 1)[slots]


class Client:
    """Measures in the bases of one merchant, and pays it.

    Parameters
    ----------
    policy
        What was agreed on.
    session, secret
        Of the session; C, shared with the bank.
    slots, bit
        (k,) its detections in their order, and outcomes.
    """

    def __init__(self, policy: PaymentPolicy, session: bytes, secret: bytes, slots: Slots, bit: Bits) -> None:
        if slots.size < policy.positions:
            raise NotEnoughSignalsError(
                f"{slots.size} detections in {policy.pulses} pulses, a payment needs {policy.positions}",
                hint="send more pulses, or agree on fewer positions before the next session",
            )
        self.session = session
        self.slots, self.bit = slots[: policy.positions], bit[: policy.positions]
        self.name = client_name(secret)

    def report(self) -> bytes:
        """Return the report of detections, before any payment: the first so many, whatever they showed."""
        return head(Kind.REPORT, self.session) + self.name + self.slots.astype("<i8").tobytes()

    def cryptogram(self) -> bytes:
        """Return what the merchant gets."""
        return Cryptogram(self.session, self.name, self.slots.size, np.packbits(self.bit).tobytes()).encode()


def client_name(secret: bytes) -> bytes:
    """Return C_ID, by which the bank finds the client's secret."""
    return hashlib.blake2b(secret, person=b"faintlink c-id", digest_size=CLIENT_BYTES).digest()


class MerchantShop:
    """Forwards a cryptogram under its own name; it can check nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def request(self, cryptogram: bytes) -> bytes:
        """Return the request to the bank."""
        return Cryptogram.decode(cryptogram).request(self.name)


class Bank:
    """Sent the pulses, knows the client's secret, takes its report and arms its branches.

    Parameters
    ----------
    policy
        What was agreed on.
    session, secret
        Of the session; the client's C.
    first_slot
        Of the session.
    slots, basis, bit
        (k,) what was sent in the slots that may be reported, rising; the bank's secrets.
    """

    def __init__(
        self,
        policy: PaymentPolicy,
        session: bytes,
        secret: bytes,
        *,
        first_slot: int,
        slots: Slots,
        basis: Bits,
        bit: Bits,
    ) -> None:
        self.policy, self.session, self._secret = policy, session, secret
        self.client = client_name(secret)
        self._first, self._slots, self._basis, self._bit = first_slot, slots, basis, bit
        self.slots: Slots = np.empty(0, np.int64)
        self.basis: Bits = np.empty(0, np.uint8)
        self.bit: Bits = np.empty(0, np.uint8)
        self.prescribed: dict[str, Bits] = {}

    def take_report(self, data: bytes) -> None:
        """Take the report, or refuse it.

        Raises
        ------
        RemoteProtocolError
            It is malformed, names slots that were not sent, or positions that favour a pair of merchants.
        """
        fields = Fields(data, Kind.REPORT)
        if fields.session != self.session or fields.take(CLIENT_BYTES) != self.client or self.slots.size:
            raise RemoteProtocolError("a report of an unknown client or session, or a second one")
        slots = np.frombuffer(fields.take(8 * self.policy.positions), "<i8").astype(np.int64)
        fields.end()
        inside = self._first <= slots[0] and slots[-1] < self._first + self.policy.pulses
        at = np.minimum(np.searchsorted(self._slots, slots), self._slots.size - 1)
        if not inside or (np.diff(slots) <= 0).any() or (self._slots[at] != slots).any():
            raise RemoteProtocolError("a report must name rising slots of the session that were sent")
        prescribed = {name: bases_at(self._secret, self.session, name, slots) for name in self.policy.merchants}
        self._refuse_favours(prescribed, self._basis[at])
        self.slots, self.basis, self.bit, self.prescribed = slots, self._basis[at], self._bit[at], prescribed

    def _refuse_favours(self, prescribed: dict[str, Bits], sent: Bits) -> None:
        count = self.policy.positions
        least = least_distance(prescribed)
        if least < self.policy.min_distance * count:
            raise RemoteProtocolError(
                f"the bases of two merchants differ in {least} of {count} reported positions only",
                hint="the client has chosen positions, or the session is a rare one: repeat it",
            )
        most = max(int(np.count_nonzero(bases == sent)) for bases in prescribed.values())
        if most > self.policy.max_checked * count:
            raise RemoteProtocolError(f"{most} of {count} positions would have to be compared for one merchant")

    def branch(self) -> "Branch":
        """Return a branch that verifies by itself; another one knows nothing of what it has decided."""
        return Branch(self)


class Branch:
    """One verifier of the bank with a memory of its own."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._decided: set[str] = set()

    def decide(self, request: bytes, *, merchant: str) -> Decision:
        """Decide about the request of the ``merchant`` that the authenticated line belongs to."""
        nothing = ErrorCount()
        try:
            name, shown = Cryptogram.from_request(request)
        except RemoteProtocolError:
            return Decision(merchant, Reason.MALFORMED, nothing)
        bank = self._bank
        if name != merchant or name not in bank.prescribed:
            return Decision(merchant, Reason.UNKNOWN_MERCHANT, nothing)
        if (shown.session, shown.client, shown.positions) != (bank.session, bank.client, bank.slots.size):
            return Decision(merchant, Reason.UNKNOWN_CLIENT, nothing)
        if name in self._decided:
            return Decision(merchant, Reason.REPLAYED, nothing)
        self._decided.add(name)
        claimed = np.unpackbits(np.frombuffer(shown.outcomes, np.uint8), count=shown.positions)
        counted = bank.prescribed[name] == bank.basis
        verdict = compare(claimed, bank.bit, counted, max_error_rate=bank.policy.max_error_rate)
        return Decision(merchant, Reason.ACCEPTED if verdict.is_accepted else Reason.TOO_MANY_ERRORS, verdict.count)


def least_distance(prescribed: dict[str, Bits]) -> int:
    """Return in how many positions the bases of any two merchants differ at least."""
    rows = np.stack(list(prescribed.values())).astype(np.int32)
    ones = rows.sum(axis=1)
    distance = ones[:, None] + ones[None, :] - 2 * rows @ rows.T
    distance[np.diag_indices_from(distance)] = rows.shape[1]
    return int(distance.min())
