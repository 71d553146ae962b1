"""Dishonest holders of a card for rehearsals and tests; none of them is used in earnest.

They have a line and a memory without loss, know how many photons a pulse has, and answer two branches whose questions
they know. Their measurements are played: outcomes are drawn from what was sent, with the probabilities of the optimal
measurement.

Notes
-----
The optimal measurement of a pair of single photons that both branches ask differently: with v the top eigenvector of W
for the answer 0000, the sixteen projections P_g v, P_g the flips of bits, each with weight 4/16, are a measurement, and
its worth is 4 lambda_max: the primal solution to the dual Y = lambda_max 1.

Sources: `faintlink.postprocess.money.cloning`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.units import Bits
from faintlink.postprocess.money.card import Card
from faintlink.postprocess.money.messages import Answer, Challenge
from faintlink.postprocess.money.parties import questions
from faintlink.postprocess.money.states import (
    ANSWERS,
    BOTH_RIGHT,
    LOST,
    NUMBER_RIGHT,
    STATES,
    Floats,
    Worth,
    operators,
    qubit,
)

ATTACKS = ("none", "clone", "split", "lossy", "measured", "altered", "other-card", "replay")
ALTERED_SHARE = 0.1
"""Share of an answer's bits that the line inverts in a rehearsal."""
BREIDBART_ERROR = math.sin(math.pi / 8.0) ** 2
"""Least error of whoever must answer for a single photon in both bases."""
_FLIPS = tuple(row for row, answer in enumerate(ANSWERS) if LOST not in answer)
TWO_COPIES = ("clone", "split", "lossy")


@lru_cache(maxsize=8)
def optimal_answers(worth: Worth) -> Floats:
    """Return the probabilities (16, 8) of the answers without losses, in the order of `_FLIPS`, on each state."""
    base = operators((1, 1), worth)[_FLIPS[0]]
    top = np.linalg.eigh(base)[1][:, -1].reshape(2, 2)
    x, z = np.array([[0.0, 1.0], [1.0, 0.0]]), np.diag([1.0, -1.0])
    table = np.empty((len(_FLIPS), len(STATES)))
    for row, flip in enumerate(_FLIPS):
        z1, z2, x1, x2 = ANSWERS[flip]
        first = np.linalg.matrix_power(x, z1) @ np.linalg.matrix_power(z, x1)
        second = np.linalg.matrix_power(x, z2) @ np.linalg.matrix_power(z, x2)
        vector = (first @ top @ second.T).reshape(4)
        for column, (order, z_bit, x_bit) in enumerate(STATES):
            pulses = (qubit(0, z_bit), qubit(1, x_bit))
            state = np.kron(pulses[order], pulses[1 - order])
            table[row, column] = 0.25 * float(vector @ state) ** 2
    return table


@dataclass(frozen=True, slots=True)
class Cheater:
    """Serves two branches with one card."""

    card: Card
    """What was sent, from which outcomes are drawn."""
    mean_photons: float
    share: float = 1.0
    """Of the single photons asked differently, the share answered to both branches; the others to one only."""
    worth: Worth = NUMBER_RIGHT
    """What the measurement of pairs of single photons is best for."""

    def answers(self, first: Challenge, second: Challenge, rng: np.random.Generator) -> tuple[bytes, bytes]:
        """Return the answers to both branches."""
        ask = [questions(one.seed, self.card) for one in (first, second)]
        photons = rng.poisson(self.mean_photons, (self.card.pair.size, 2))
        given = self._answers(ask[0], ask[1], photons, rng)
        return self._encoded(first, given[0]), self._encoded(second, given[1])

    def _answers(
        self,
        ask_1: Bits,
        ask_2: Bits,
        photons: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
        rng: np.random.Generator,
    ) -> list[Bits]:
        """Return the answers (k, 2) to each branch, by pulse of the pair; `LOST` where there is none."""
        card = self.card
        pulse = np.arange(2)[None, :]
        in_z = (card.order[:, None] == pulse).astype(np.bool_)
        sent = np.where(in_z, card.z_bit[:, None], card.x_bit[:, None])
        basis = np.where(in_z, 0, 1)
        z_shown, x_shown = self._both_bases(in_z, photons, rng)
        differ = (ask_1 != ask_2)[:, None]
        single = (photons == 1) & differ
        split = single & (rng.random(photons.shape) >= self.share)
        to_first = rng.random(photons.shape) < 0.5
        given = []
        for ask, is_first in ((ask_1, True), (ask_2, False)):
            exact = np.where(basis == ask[:, None], sent, rng.integers(0, 2, sent.shape))
            measured = np.where(ask[:, None] == 0, z_shown, x_shown)
            out = np.where(single & ~split, measured, exact)
            out = np.where(split & (to_first != is_first), LOST, out)
            given.append(np.where(photons == 0, LOST, out).astype(np.uint8))
        return given

    def _both_bases(
        self,
        in_z: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]",
        photons: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]",
        rng: np.random.Generator,
    ) -> tuple[Bits, Bits]:
        """Return Z and X bits (k, 2) of single photons that are measured for both."""
        card = self.card
        wrong = rng.random(in_z.shape) < BREIDBART_ERROR
        noise = rng.integers(0, 2, in_z.shape)
        z_shown = np.where(in_z, card.z_bit[:, None] ^ wrong, noise)
        x_shown = np.where(in_z, noise, card.x_bit[:, None] ^ wrong)
        rows = np.flatnonzero((photons == 1).all(axis=1))
        state = 4 * card.order[rows].astype(np.int64) + 2 * card.z_bit[rows] + card.x_bit[rows]
        cumulative = np.cumsum(optimal_answers(self.worth), axis=0)[:, state]
        drawn = np.minimum((rng.random(rows.size)[None, :] > cumulative).sum(axis=0), len(_FLIPS) - 1)
        shown = np.array([ANSWERS[flip] for flip in _FLIPS])[drawn]
        z_shown[rows], x_shown[rows] = shown[:, :2], shown[:, 2:]
        return z_shown.astype(np.uint8), x_shown.astype(np.uint8)

    def _encoded(self, challenge: Challenge, given: Bits) -> bytes:
        card = self.card
        outcome = np.full(card.pulses, LOST, np.uint8)
        for pulse in (0, 1):
            outcome[2 * card.pair + pulse] = given[:, pulse]
        detected = (outcome != LOST).astype(np.uint8)
        return Answer(challenge.serial, challenge.digest, detected, outcome[detected == 1]).encode()


def cheater(attack: str, card: Card, policy: MoneyPolicy, mean_photons: float) -> Cheater:
    """Return the cheater of an attack on two branches."""
    shares = {"clone": 1.0, "split": 0.0, "lossy": lossy_share(policy, mean_photons)}
    return Cheater(card, mean_photons, shares[attack])


def lossy_share(policy: MoneyPolicy, mean_photons: float, *, spare: float = 0.01) -> float:
    """Return the share of single photons that must be answered to both branches to give just enough answers."""
    wanted = policy.min_answered / policy.pairs * (1.0 + spare)
    without, gain = expected(mean_photons, 0.0)[0], mean_photons * math.exp(-mean_photons) / 4.0
    return min(1.0, max(0.0, (wanted - without) / gain))


def expected(mean_photons: float, share: float) -> tuple[float, float]:
    """Return the share of checked pulses that a cheater answers at each branch, and its error rate there.

    The errors are those of `NUMBER_RIGHT`: `BREIDBART_ERROR` for each single photon answered to both.
    """
    none, one = math.exp(-mean_photons), mean_photons * math.exp(-mean_photons)
    several = 1.0 - none - one
    answered = (1.0 - none) / 2.0 + (several + one * (1.0 + share) / 2.0) / 2.0
    return answered, one * share * BREIDBART_ERROR / 2.0 / answered


def perfect_copies(states: Floats, rng: np.random.Generator) -> float:
    """Return the share of pairs (n,) of state numbers that the best copier answers right to two different questions."""
    cumulative = np.cumsum(optimal_answers(BOTH_RIGHT), axis=0)[:, states.astype(np.int64)]
    drawn = np.minimum((rng.random(states.size)[None, :] > cumulative).sum(axis=0), len(_FLIPS) - 1)
    right = np.zeros((len(_FLIPS), len(STATES)), np.bool_)
    for row, flip in enumerate(_FLIPS):
        z1, z2, x1, x2 = ANSWERS[flip]
        for column, (order, z, x) in enumerate(STATES):
            right[row, column] = (z1, x2) == (z, x) if order == 0 else (z2, x1) == (z, x)
    return float(right[drawn, states.astype(np.int64)].mean())


def altered(data: bytes, share: float, rng: np.random.Generator) -> bytes:
    """Return an answer of which each bit is inverted with a probability of ``share``."""
    honest = Answer.decode(data)
    flips = (rng.random(honest.bit.size) < share).astype(np.uint8)
    return Answer(honest.serial, honest.challenge, honest.detected, honest.bit ^ flips).encode()
