"""A branch of the bank and a payment terminal, as objects that exchange bytes and nothing else.

Sources: M. Bozzio et al., npj Quantum Inf. 4, 5 (2018) (challenge and check).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from faintlink.core.basis_pattern import SEED_BYTES, basis_pattern
from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, RecordMismatchError, RemoteProtocolError
from faintlink.core.records import ErrorCount
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.conjugate.verifier import compare
from faintlink.postprocess.money.card import Card, CardDatabase, replayed
from faintlink.postprocess.money.messages import Answer, Challenge

PULSES_OF_PAIR = 2
"""Slots that a basis of the challenge lasts."""


class Reason(IntEnum):
    """Why a card was decided as it was."""

    ACCEPTED = 0
    TOO_MANY_ERRORS = 1
    TOO_FEW_ANSWERS = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """What a branch decided about a card."""

    branch: str
    reason: Reason
    count: ErrorCount
    """Checked pulses that were answered, and wrong ones."""

    @property
    def is_accepted(self) -> bool:
        """Whether the card is good."""
        return self.reason is Reason.ACCEPTED


def slot_bases(seed: bytes, slots: int) -> Bits:
    """Return the basis of each slot from the sender's slot 0 on, (slots,) uint8, the same for both of a pair."""
    return basis_pattern(seed, slots, PULSES_OF_PAIR)


def questions(seed: bytes, card: Card) -> Bits:
    """Return the basis that a challenge asks of each pair of a card, (k,) uint8."""
    return slot_bases(seed, card.first_slot + card.pulses)[card.first_slot + PULSES_OF_PAIR * card.pair]


class Branch:
    """Challenges and verifies; it knows the bank's cards and asks no other branch.

    Parameters
    ----------
    name
        Of the branch, under which it notes spent cards.
    policy
        What was agreed on.
    database
        The bank's cards.
    """

    def __init__(self, name: str, policy: MoneyPolicy, database: CardDatabase) -> None:
        self.name = name
        self._policy, self._database = policy, database
        self._open: dict[bytes, Challenge] = {}

    def challenge(self, serial: bytes, entropy: Entropy) -> bytes:
        """Return a fresh challenge to a card that lies in the terminal.

        Raises
        ------
        RecordMismatchError
            The bank has issued no such card.
        RecordReplayedError
            This branch has challenged or taken it before.
        """
        return self.ask(Challenge(serial, entropy.draw(SEED_BYTES, "money challenge")))

    def ask(self, challenge: Challenge) -> bytes:
        """Return a challenge whose seed was drawn elsewhere, as for a receiver that must be driven by it."""
        self._database.card(challenge.serial)
        if challenge.serial in self._open or self._database.is_spent(challenge.serial, self.name):
            raise replayed(challenge.serial, self.name)
        self._open[challenge.serial] = challenge
        return challenge.encode()

    def verify(self, data: bytes) -> Decision:
        """Return the decision about an answer. The card is spent whatever the decision is.

        Raises
        ------
        RemoteProtocolError
            The answer is malformed, or of another number of pulses than the card.
        RecordReplayedError
            This branch has taken the card before.
        RecordMismatchError
            The answer is to another challenge, or to none.
        """
        answer = Answer.decode(data)
        if self._database.is_spent(answer.serial, self.name):
            raise replayed(answer.serial, self.name)
        challenge = self._open.get(answer.serial)
        if challenge is None or challenge.digest != answer.challenge:
            raise RecordMismatchError(
                f"the answer for card {answer.serial.hex()} is not to a challenge of branch {self.name}",
                hint="answer the challenge that this branch gave",
            )
        card = self._database.card(answer.serial)
        if answer.detected.size != card.pulses:
            raise RemoteProtocolError(f"the answer is about {answer.detected.size} pulses, the card has {card.pulses}")
        self._database.spend(answer.serial, self.name)
        del self._open[answer.serial]
        return self._decide(card, challenge, answer)

    def _decide(self, card: Card, challenge: Challenge, answer: Answer) -> Decision:
        slots, sent = card.checked(questions(challenge.seed, card))
        at = slots - card.first_slot
        outcome = np.zeros(card.pulses, np.uint8)
        outcome[answer.detected == 1] = answer.bit
        policy = self._policy
        verdict = compare(
            outcome[at],
            sent,
            answer.detected[at] == 1,
            max_error_rate=policy.max_error_rate,
            min_positions=policy.min_answered,
        )
        if verdict.count.bits < policy.min_answered:
            return Decision(self.name, Reason.TOO_FEW_ANSWERS, verdict.count)
        return Decision(self.name, Reason.ACCEPTED if verdict.is_accepted else Reason.TOO_MANY_ERRORS, verdict.count)


class Terminal:
    """Reads a card in the bases of a challenge and answers.

    Parameters
    ----------
    first_slot, pulses
        Of the card, printed on it.
    slots, basis, bit
        (n,) of its detections: slots, bases measured in, and outcomes.
    """

    def __init__(self, first_slot: int, pulses: int, *, slots: Slots, basis: Bits, bit: Bits) -> None:
        self.first_slot, self.pulses = first_slot, pulses
        self.slots, self.basis, self.bit = slots, basis, bit

    def misled(self, challenge: Challenge) -> float:
        """Return the share of detections that are not in the basis of a challenge."""
        if not self.slots.size:
            return 0.0
        asked = slot_bases(challenge.seed, self.first_slot + self.pulses)[self.slots]
        return float(np.mean(asked != self.basis))

    def answer(self, data: bytes) -> bytes:
        """Return the answer to a challenge: every detection in its basis, whatever it showed.

        Raises
        ------
        RemoteProtocolError
            The challenge is malformed.
        LocalProtocolError
            A detection lies outside the card.
        """
        challenge = Challenge.decode(data)
        at = self.slots - self.first_slot
        if at.size and not (int(at.min()) >= 0 and int(at.max()) < self.pulses):
            raise LocalProtocolError("a detection lies outside the card's pulses")
        detected = np.zeros(self.pulses, np.uint8)
        detected[at] = 1
        return Answer(challenge.serial, challenge.digest, detected, self.bit).encode()
