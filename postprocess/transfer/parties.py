"""Sender and receiver of a transfer, as objects that exchange bytes and nothing else.

The order of the messages is that of `faintlink.postprocess.transfer.messages.Kind`, each made by a method that takes
the message before. The sender ends with two strings, the receiver with the one of its choice. The receiver never
says whether its string could be corrected: a sender that spoils one syndrome would learn the choice from the answer.
It never asks for more than the first syndrome either. The channel must be authenticated by the caller.

Sources: M. Lemus et al., arXiv:2501.03973 (protocol of randomised transfer); C. Bennett, G. Brassard, C. Crépeau,
M.-H. Skubiszewska, CRYPTO '91.
"""

from dataclasses import dataclass, field

import numpy as np

from faintlink.core.config.applications.transfer import TransferPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, NotEnoughSignalsError, QberTooHighError, RemoteProtocolError
from faintlink.core.records import ErrorCount
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.amplify import seed_bytes, toeplitz_hash
from faintlink.postprocess.qkd.ldpc.parameters import MAX_FRAME_BITS, LdpcParameters, frame_length
from faintlink.postprocess.qkd.ldpc.parties import SYNDROMES, LdpcAlice, LdpcBob
from faintlink.postprocess.transfer.commitment import COMMITMENT_BYTES, SEED_BYTES, Rows, check_openings, commit
from faintlink.postprocess.transfer.messages import (
    Kind,
    Places,
    columns_of,
    message,
    pack,
    pack_places,
    packed_size,
    unpack,
    unpack_places,
)
from faintlink.postprocess.transfer.security import Sizes, sizes

LDPC_SEED_BYTES = 16
_LDPC_REQUEST = np.array([SYNDROMES], "<u4").tobytes()


def code_of(policy: TransferPolicy) -> LdpcParameters:
    """Return the code of a transfer: fixed by the policy, not by what the test found."""
    _, length = frame_length(sizes(policy).raw, MAX_FRAME_BITS)
    return LdpcParameters.for_qber(policy.max_error_rate + policy.delta_error, length)


def syndrome_bits(policy: TransferPolicy) -> int:
    """Return how many bits the sender discloses of each string."""
    frames, _ = frame_length(sizes(policy).raw, MAX_FRAME_BITS)
    return frames * code_of(policy).opening_bits


def sample(count: int, size: int, entropy: Entropy, purpose: str) -> Places:
    """Return ``size`` of ``count`` positions, ascending, all choices alike but for ties of 64-bit labels."""
    labels = np.frombuffer(entropy.draw(8 * count, purpose), "<u8")
    return np.sort(np.argsort(labels, kind="stable")[:size]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Strings:
    """The two strings of the sender."""

    first: Bits = field(repr=False)
    """(n,) uint8."""
    second: Bits = field(repr=False)
    """(n,) uint8."""


class TransferSender:
    """Knows what was sent; tests the receiver, and ends with two strings.

    Parameters
    ----------
    policy
        What was agreed on.
    bit, basis
        (N_0,) uint8, what was sent in the slots that the receiver reported.
    entropy
        Its own.
    """

    def __init__(self, policy: TransferPolicy, bit: Bits, basis: Bits, entropy: Entropy) -> None:
        _check_count(policy, bit)
        self._policy, self._sizes, self._entropy = policy, sizes(policy), entropy
        self._bit, self._basis = bit, basis
        self._challenge: Rows = np.zeros((2, COMMITMENT_BYTES), np.uint8)
        self._commitments: Rows | None = None
        self._tested: Places = np.zeros(0, np.int64)
        self.strings: Strings | None = None
        """Its two strings, once the syndromes have left."""
        self.count: ErrorCount | None = None
        """What the test found."""

    def challenge(self) -> bytes:
        """Return the first message."""
        drawn = self._entropy.draw(2 * COMMITMENT_BYTES, "ot challenge")
        self._challenge = np.frombuffer(drawn, np.uint8).reshape(2, COMMITMENT_BYTES)
        return message(Kind.CHALLENGE, drawn)

    def choose_sample(self, commitments: bytes) -> bytes:
        """Keep the commitments and return which to open.

        Raises
        ------
        RemoteProtocolError, LocalProtocolError
            The message is malformed, or comes twice.
        """
        if self._commitments is not None:
            raise LocalProtocolError("commitments are taken once")
        count = self._policy.detections
        (data,) = columns_of(commitments, Kind.COMMITMENTS, count * COMMITMENT_BYTES)
        self._commitments = np.frombuffer(data, np.uint8).reshape(count, COMMITMENT_BYTES)
        self._tested = sample(count, self._sizes.test, self._entropy, "ot sample")
        return message(Kind.SAMPLE, pack_places(self._tested))

    def judge(self, openings: bytes) -> bytes:
        """Test the opened positions and return the bases of the others.

        Raises
        ------
        RemoteProtocolError
            An opening does not fit its commitment, or the message is malformed.
        NotEnoughSignalsError
            Too few of them have equal bases.
        QberTooHighError
            Too many of these are wrong.
        """
        if self._commitments is None or self.count is not None:
            raise LocalProtocolError("openings are judged once, after the commitments")
        n = self._sizes.test
        seeds, bit, basis = columns_of(openings, Kind.OPENINGS, n * SEED_BYTES, packed_size(n), packed_size(n))
        bits, bases = unpack(bit, n), unpack(basis, n)
        rows = np.frombuffer(seeds, np.uint8).reshape(n, SEED_BYTES)
        check_openings(self._commitments[self._tested], bits, bases, rows, self._challenge)
        equal = bases == self._basis[self._tested]
        wrong = int(np.count_nonzero((bits != self._bit[self._tested]) & equal))
        self.count = ErrorCount(int(np.count_nonzero(equal)), wrong)
        _check_test(self.count, self._sizes, self._policy)
        return message(Kind.BASES, pack(np.delete(self._basis, self._tested)))

    def syndromes(self, sets: bytes) -> bytes:
        """Return what the receiver needs to correct either string, and keep both strings.

        Raises
        ------
        RemoteProtocolError
            The sets are malformed, or overlap.
        """
        if self.count is None or self.strings is not None:
            raise LocalProtocolError("sets are taken once, after the test")
        raw, left = self._sizes.raw, self._policy.detections - self._sizes.test
        places = [unpack_places(part, left) for part in columns_of(sets, Kind.SETS, 4 * raw, 4 * raw)]
        if np.isin(places[0], places[1], assume_unique=True).any():
            raise RemoteProtocolError("the two sets share positions")
        bits = np.delete(self._bit, self._tested)
        ldpc = self._entropy.draw(LDPC_SEED_BYTES, "ldpc")
        hashes = [self._entropy.draw(seed_bytes(raw, self._policy.string_bits), "ot hash") for _ in places]
        code = code_of(self._policy)
        answers = [LdpcAlice(bits[part], code, ldpc).answer(_LDPC_REQUEST) for part in places]
        self.strings = Strings(
            *(toeplitz_hash(bits[p], h, self._policy.string_bits) for p, h in zip(places, hashes, strict=True))
        )
        return message(Kind.SYNDROMES, ldpc, *hashes, *answers)


class TransferReceiver:
    """Knows what was measured; ends with the string of its choice.

    Parameters
    ----------
    policy
        What was agreed on.
    bit, basis
        (N_0,) uint8, what was measured in the slots that it reported.
    choice
        0 or 1: which string it wants.
    entropy
        Its own.
    """

    def __init__(self, policy: TransferPolicy, bit: Bits, basis: Bits, choice: int, entropy: Entropy) -> None:
        _check_count(policy, bit)
        if choice not in (0, 1):
            raise LocalProtocolError(f"the choice is 0 or 1, got {choice}")
        self._policy, self._sizes, self._entropy = policy, sizes(policy), entropy
        self._bit, self._basis, self._choice = bit, basis, choice
        self._seeds: Rows = np.zeros((0, SEED_BYTES), np.uint8)
        self._tested: Places | None = None
        self._good: Places | None = None
        self.is_corrected = False
        """Whether its string could be corrected; for its own eyes."""

    def commitments(self, challenge: bytes) -> bytes:
        """Return a commitment to each outcome.

        Raises
        ------
        RemoteProtocolError, LocalProtocolError
            The message is malformed, or comes twice.
        """
        if self._seeds.size:
            raise LocalProtocolError("outcomes are committed to once")
        (drawn,) = columns_of(challenge, Kind.CHALLENGE, 2 * COMMITMENT_BYTES)
        secret = self._entropy.draw(self._policy.detections * SEED_BYTES, "ot commitments")
        self._seeds = np.frombuffer(secret, np.uint8).reshape(-1, SEED_BYTES)
        rows = np.frombuffer(drawn, np.uint8).reshape(2, COMMITMENT_BYTES)
        return message(Kind.COMMITMENTS, commit(*self.claimed(), self._seeds, rows).tobytes())

    def claimed(self) -> tuple[Bits, Bits]:
        """Return bits and bases that it commits to: what it measured."""
        return self._bit, self._basis

    def openings(self, request: bytes) -> bytes:
        """Open what the sender asks for.

        Raises
        ------
        RemoteProtocolError, LocalProtocolError
            The message is malformed, or comes too early or twice.
        """
        if self._tested is not None or not self._seeds.size:
            raise LocalProtocolError("commitments are opened once, after they were made")
        (data,) = columns_of(request, Kind.SAMPLE, 4 * self._sizes.test)
        places = unpack_places(data, self._policy.detections)
        self._tested = places
        bit, basis = self.claimed()
        return message(Kind.OPENINGS, self._seeds[places].tobytes(), pack(bit[places]), pack(basis[places]))

    def sets(self, bases: bytes) -> bytes:
        """Return I_0 and I_1: that of its choice has the equal bases.

        Raises
        ------
        NotEnoughSignalsError
            One of the sets does not fill; the choice stays private.
        RemoteProtocolError, LocalProtocolError
            The message is malformed, or comes too early or twice.
        """
        if self._tested is None or self._good is not None:
            raise LocalProtocolError("sets are made once, after the test")
        left = self._policy.detections - self._sizes.test
        (data,) = columns_of(bases, Kind.BASES, packed_size(left))
        equal = np.delete(self._basis, self._tested) == unpack(data, left)
        raw, chosen = self._sizes.raw, []
        for kind in (equal, ~equal):
            places = np.flatnonzero(kind)
            if places.size < raw:
                raise NotEnoughSignalsError(
                    f"{places.size} positions of one kind, the sets need {raw}",
                    hint="allow a larger delta_basis; are both parties' bases even?",
                )
            chosen.append(places[sample(places.size, raw, self._entropy, "ot sets")])
        self._good = chosen[0]
        ordered = chosen if self._choice == 0 else chosen[::-1]
        return message(Kind.SETS, *(pack_places(part) for part in ordered))

    def finish(self, syndromes: bytes) -> Bits:
        """Return the string of its choice, (n,) uint8; a wrong one if correction failed, which it does not say.

        Raises
        ------
        RemoteProtocolError, LocalProtocolError
            The message is malformed, or comes too early.
        """
        if self._good is None or self._tested is None:
            raise LocalProtocolError("syndromes come after the sets")
        raw, bits = self._sizes.raw, self._policy.string_bits
        code, opening = code_of(self._policy), packed_size(syndrome_bits(self._policy))
        seed = seed_bytes(raw, bits)
        parts = columns_of(syndromes, Kind.SYNDROMES, LDPC_SEED_BYTES, seed, seed, opening, opening)
        bob = LdpcBob(np.delete(self._bit, self._tested)[self._good], code, parts[0])
        bob.next_request()
        bob.receive(parts[3 + self._choice])
        self.is_corrected = bob.next_request() is None and not bob.exhausted_frames
        return toeplitz_hash(bob.corrected(), parts[1 + self._choice], bits)


def _check_count(policy: TransferPolicy, bit: Bits) -> None:
    if bit.size != policy.detections:
        raise LocalProtocolError(f"a transfer takes {policy.detections} detections, got {bit.size}")


def _check_test(count: ErrorCount, needed: Sizes, policy: TransferPolicy) -> None:
    if count.bits < needed.check:
        raise NotEnoughSignalsError(
            f"{count.bits} tested positions have equal bases, {needed.check} are needed",
            hint="the receiver's bases are not even, or it does not say what it measured",
        )
    if count.errors > policy.max_error_rate * count.bits:
        raise QberTooHighError(
            f"{count.errors} of {count.bits} tested outcomes are wrong, allowed is a share of {policy.max_error_rate}",
            hint="align the link; a receiver that has not measured yet looks like this too",
        )
