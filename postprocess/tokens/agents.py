"""Agents of bank and user at one presentation point: each decides with what is in its own memory.

Sans-I/O objects and the two functions that run them in processes of their own. The bank's agent asks nobody: that the
token can be valid at its point only is in the bases that it may check. It keeps bits as whole numbers, so that a
comparison of ten thousand positions is three operations.

Notes
-----
With c = b + z and d = y + z the bases that an agent at point b takes for measured are d + c + b = y; at another point
they are the other ones everywhere. It compares x with t where these equal u. Each position counts at exactly one of
two points that differ in a bit.

Commitments, own addition: BLAKE2b-256 of nonce, d and x with 32 secret random bytes as nonce. They bind the user to
one x for all points as long as collisions of BLAKE2b cannot be found, and keep x from the bank as long as the hash of
a random nonce looks random. The proof of unforgeability does not need them; privacy from an unbounded bank does not
survive them.

Sources: A. Kent et al., npj Quantum Inf. 8, 28 (2022), scheme QT1; BLAKE2, RFC 7693.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.conjugate.fields import packed_size
from faintlink.postprocess.tokens.messages import (
    COMMITMENT_BYTES,
    MAX_MESSAGE_BYTES,
    NONCE_BYTES,
    Decision,
    Deposit,
    Fields,
    Holding,
    Kind,
    Reason,
    read_choice,
)

_PERSON = b"faintlink token"
_WARM_UPS = 8


def commitment(nonce: bytes, offsets: bytes, outcomes: bytes) -> bytes:
    """Return the commitment to a copy's d and x, both packed; empty without a nonce."""
    if not nonce:
        return b""
    if len(nonce) != NONCE_BYTES:
        raise LocalProtocolError(f"a nonce has {NONCE_BYTES} bytes, got {len(nonce)}")
    return hashlib.blake2b(nonce + offsets + outcomes, digest_size=COMMITMENT_BYTES, person=_PERSON).digest()


def whole(packed: bytes, count: int) -> int:
    """Return ``count`` packed bits as a whole number."""
    return int.from_bytes(packed, "big") >> (8 * packed_size(count) - count)


class BankAgent:
    """The bank's agent at a point.

    Parameters
    ----------
    point
        Where it stands; bit i of the number belongs to copy i.
    clock
        Nanoseconds of a monotonic clock.
    now
        Unix time in nanoseconds.
    """

    def __init__(
        self, point: int, *, clock: Callable[[], int] = time.perf_counter_ns, now: Callable[[], int] = time.time_ns
    ) -> None:
        self.point = point
        self._clock, self._now = clock, now
        self._deposit: Deposit | None = None
        self._choice: int | None = None
        self._bits: list[int] = []
        self._checked: list[tuple[int, int]] = []
        self._was_presented = False

    def take_deposit(self, data: bytes) -> None:
        """Take what the bank deposits, and prepare both sets of positions of each copy."""
        deposit = Deposit.decode(data)
        if self._deposit is not None or self.point >> len(deposit.copies):
            raise RemoteProtocolError(f"a deposit for point {self.point} does not fit", hint="one deposit an agent")
        count = deposit.positions
        everywhere = (1 << count) - 1
        for copy in deposit.copies:
            differs = whole(copy.offsets, count) ^ whole(copy.bases, count)
            self._checked.append((everywhere ^ differs, differs))
            self._bits.append(whole(copy.bits, count))
        self._deposit = deposit

    def take_choice(self, data: bytes) -> None:
        """Take c, once."""
        if self._deposit is None or self._choice is not None:
            raise RemoteProtocolError("a choice comes once, after the deposit")
        self._choice = read_choice(data, self._deposit.session, len(self._deposit.copies))
        self._warm_up(self._deposit)

    def _warm_up(self, deposit: Deposit) -> None:
        """Judge nothing a few times, so that a first call's cost does not fall to the presentation."""
        nonce = bytes(NONCE_BYTES) if deposit.copies[0].commitment else b""
        copies = len(deposit.copies)
        zeros = (bytes(packed_size(deposit.positions)),) * copies
        nothing = Holding(deposit.session, deposit.positions, zeros, (nonce,) * copies)
        data = nothing.encode(Kind.PRESENTATION)
        for _ in range(_WARM_UPS):
            self.judge(data)
            self._compare(0, nothing)
            self._was_presented = False

    def judge(self, data: bytes) -> Decision:
        """Decide about a presentation; whatever arrives gets a decision."""
        arrival, start = self._now(), self._clock()
        counts: tuple[tuple[int, int], ...] = ()
        deposit = self._deposit
        if deposit is None or self._choice is None:
            return Decision(bytes(16), self.point, Reason.NOT_DUE, counts, self._clock() - start, arrival)
        try:
            shown = Holding.decode(data, Kind.PRESENTATION)
            reason, counts = self._decide(deposit, self._choice, shown)
        except RemoteProtocolError:
            reason = Reason.MALFORMED
        return Decision(deposit.session, self.point, reason, counts, self._clock() - start, arrival)

    def _decide(self, deposit: Deposit, choice: int, shown: Holding) -> tuple[Reason, tuple[tuple[int, int], ...]]:
        if shown.session != deposit.session or shown.positions != deposit.positions:
            return Reason.NOT_DUE, ()
        if len(shown.outcomes) != len(deposit.copies):
            return Reason.MALFORMED, ()
        if self._was_presented:
            return Reason.REPLAYED, ()
        self._was_presented = True
        for copy, outcomes, nonce in zip(deposit.copies, shown.outcomes, shown.nonces, strict=True):
            if not hmac.compare_digest(commitment(nonce, copy.offsets, outcomes), copy.commitment):
                return Reason.OTHER_OUTCOMES, ()
        counts = self._compare(choice, shown)
        good = all(errors <= int(deposit.max_error_rate * bits) and bits for bits, errors in counts)
        return (Reason.ACCEPTED if good else Reason.TOO_MANY_ERRORS), counts

    def _compare(self, choice: int, shown: Holding) -> tuple[tuple[int, int], ...]:
        counts = []
        for number, outcomes in enumerate(shown.outcomes):
            checked = self._checked[number][(choice ^ self.point) >> number & 1]
            wrong = (whole(outcomes, shown.positions) ^ self._bits[number]) & checked
            counts.append((checked.bit_count(), wrong.bit_count()))
        return tuple(counts)


class UserAgent:
    """The user's agent at a point: presents when it is told to."""

    def __init__(self) -> None:
        self._holding: Holding | None = None

    def take_holding(self, data: bytes) -> None:
        """Take what the user hands over."""
        self._holding = Holding.decode(data)

    def presentation(self, order: bytes) -> bytes:
        """Return the presentation that the user orders."""
        if self._holding is None:
            raise LocalProtocolError("the agent holds no token")
        Fields(order, Kind.GO, self._holding.session).end()
        return self._holding.encode(Kind.PRESENTATION)


def run_bank_agent(point: int, bank: Connection, local: Connection) -> None:
    """Run the bank's agent in its process until its bank hangs up.

    Parameters
    ----------
    point
        Where it stands.
    bank, local
        To its own bank, and to the user's agent at the same point.
    """
    agent = BankAgent(point)
    try:
        agent.take_deposit(bank.recv_bytes(MAX_MESSAGE_BYTES))
        agent.take_choice(bank.recv_bytes(MAX_MESSAGE_BYTES))
        bank.send_bytes(b"")
        while True:
            if bank in wait([bank, local]):
                return
            shown = local.recv_bytes(MAX_MESSAGE_BYTES)
            decision = agent.judge(shown).encode()
            local.send_bytes(decision)
            bank.send_bytes(decision)
            bank.send_bytes(shown)
    except (EOFError, OSError):
        return


def run_user_agent(user: Connection, local: Connection) -> None:
    """Run the user's agent in its process until its user hangs up.

    Each answer to the user is eight bytes, the nanoseconds from handing over to the decision, and the decision.
    """
    agent = UserAgent()
    try:
        agent.take_holding(user.recv_bytes(MAX_MESSAGE_BYTES))
        while True:
            shown = agent.presentation(user.recv_bytes(MAX_MESSAGE_BYTES))
            start = time.perf_counter_ns()
            local.send_bytes(shown)
            decision = local.recv_bytes(MAX_MESSAGE_BYTES)
            user.send_bytes((time.perf_counter_ns() - start).to_bytes(8, "little") + decision)
    except (EOFError, OSError):
        return
