"""Dishonest users for rehearsals and tests of tokens; none of them is used in earnest.

On a recorded run their measurements are played: outcomes are drawn from what was sent, with the errors that the
measurement would have made on single photons.

Sources: C. Bennett et al., J. Cryptol. 5, 3 (1992) (the basis half-way, of Breidbart).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.units import Bits
from faintlink.postprocess.conjugate.guessing import Pulses
from faintlink.postprocess.conjugate.observations import Observations
from faintlink.postprocess.tokens.issue import TokenUser
from faintlink.postprocess.tokens.messages import Kind, message
from faintlink.postprocess.tokens.network import Order

BREIDBART_ERROR = math.sin(math.pi / 8.0) ** 2
"""Share of errors in both bases of whoever measures half-way between them: 14.64 %."""
ATTACKS = ("none", "double-spend", "breidbart", "guess", "lossy", "wrong-point", "replay")


def generator(entropy: Entropy) -> np.random.Generator:
    """Return a generator seeded from an entropy."""
    return np.random.default_rng(int.from_bytes(entropy.draw(16, "adversary"), "little"))


def flipped(bit: Bits, share: float, rng: np.random.Generator) -> Bits:
    """Return bits (n,) of which each is wrong with a probability of ``share``."""
    return bit ^ (rng.random(bit.size) < share).astype(np.uint8)


class BreidbartUser(TokenUser):
    """Measures every pulse half-way between the bases, and presents at two points."""

    def __init__(self, policy: TokenPolicy, seen: Sequence[Observations], entropy: Entropy) -> None:
        super().__init__(policy, seen, entropy)
        rng = generator(entropy)
        self.held = [
            replace(held, bit=self.outcomes(copy.sent_bit[np.searchsorted(copy.slots, held.slots)], rng))
            for held, copy in zip(self.held, seen, strict=True)
        ]

    def outcomes(self, sent: Bits, rng: np.random.Generator) -> Bits:
        """Return what it has measured of bits (n,) that were sent."""
        return flipped(sent, BREIDBART_ERROR, rng)


class GuessingUser(BreidbartUser):
    """Measures nothing."""

    def outcomes(self, sent: Bits, rng: np.random.Generator) -> Bits:
        """Return coins."""
        return rng.integers(0, 2, sent.size, np.uint8)


class LossyUser(BreidbartUser):
    """Has a line without loss, reports the pulses of several photons first, and measures the others half-way.

    It knows the bits of the former. `mean_photons` must be set before it is made.
    """

    mean_photons = 0.0

    def __init__(self, policy: TokenPolicy, seen: Sequence[Observations], entropy: Entropy) -> None:
        self._chance = float(Pulses(policy.pulses_per_copy, self.mean_photons).multi_photon)
        self._pulses = policy.pulses_per_copy
        super().__init__(policy, seen, entropy)

    def outcomes(self, sent: Bits, rng: np.random.Generator) -> Bits:
        """Return outcomes of which those of several photons are right."""
        known = np.zeros(sent.size, np.bool_)
        known[rng.permutation(sent.size)[: int(rng.binomial(self._pulses, self._chance))]] = True
        return np.where(known, sent, super().outcomes(sent, rng)).astype(np.uint8)


class ShortUser(TokenUser):
    """Reports one position less than agreed, as one would who has none to spare."""

    def report(self, session: bytes) -> bytes:
        """Return a report that lacks its last slot."""
        return super().report(session)[:-8]


class FreeUser(TokenUser):
    """Reports one slot twice, in hope of a position less to guess."""

    def report(self, session: bytes) -> bytes:
        """Return a report whose first two slots are one."""
        self._session = session
        columns = []
        for held in self.held:
            slots = held.slots.astype("<i8").copy()
            slots[1] = slots[0]
            columns.append(slots.tobytes())
        return message(Kind.REPORT, session, *columns)


def user_kind(attack: str, mean_photons: float) -> type[TokenUser]:
    """Return the class of the user who plays an attack."""
    if attack == "lossy":
        return type("LossyUser", (LossyUser,), {"mean_photons": mean_photons})
    return {"breidbart": BreidbartUser, "guess": GuessingUser}.get(attack, TokenUser)


def orders(attack: str, point: int, points: int) -> list[Order]:
    """Return where and how often a user presents who has chosen ``point``."""
    other = point ^ (points - 1)
    places = {
        "double-spend": (point, other),
        "breidbart": (point, other),
        "lossy": (point, other),
        "wrong-point": (other,),
        "replay": (point, point),
    }
    return [Order(place) for place in places.get(attack, (point,))]


def error_rates(attack: str, honest: float, share_known: float) -> list[float]:
    """Return the error rate to expect at each presentation of `orders`."""
    lossy = BREIDBART_ERROR * (1.0 - share_known)
    expected = {
        "double-spend": [honest, 0.5],
        "breidbart": [BREIDBART_ERROR] * 2,
        "guess": [0.5],
        "lossy": [lossy] * 2,
        "wrong-point": [0.5],
        "replay": [honest, honest],
    }
    return expected.get(attack, [honest])
