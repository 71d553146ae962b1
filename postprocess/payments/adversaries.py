"""Dishonest clients, merchants and lines for rehearsals and tests of payments; none of them is used in earnest.

Sources: own; what each is caught by is in `faintlink.postprocess.payments.security`.
"""

import numpy as np

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.payments.messages import Cryptogram
from faintlink.postprocess.payments.parties import Client, bases_at
from faintlink.postprocess.tokens.adversaries import BREIDBART_ERROR, flipped

ATTACKS = ("none", "two-merchants", "altered", "wrong-merchant", "replay", "chosen-positions")
ALTERED_SHARE = 0.1
"""Share of a cryptogram's bits that the line inverts in a rehearsal."""


class TwoMerchantClient(Client):
    """Measures half-way between the bases where those of two merchants differ, and pays both with the outcomes.

    Its outcomes there are drawn from what was sent (k,) uint8, with the errors of that measurement on single photons.
    """

    def __init__(
        self,
        policy: PaymentPolicy,
        session: bytes,
        secret: bytes,
        slots: Slots,
        bit: Bits,
        *,
        sent: Bits,
        merchants: tuple[str, str],
        rng: np.random.Generator,
    ) -> None:
        super().__init__(policy, session, secret, slots, bit)
        first, second = (bases_at(secret, session, name, self.slots) for name in merchants)
        between = flipped(sent[: policy.positions], BREIDBART_ERROR, rng)
        self.bit = np.where(first == second, self.bit, between).astype(np.uint8)


class ChoosingClient(Client):
    """Has a better line than declared, and reports positions where the bases of two merchants agree."""

    def __init__(
        self,
        policy: PaymentPolicy,
        session: bytes,
        secret: bytes,
        slots: Slots,
        bit: Bits,
        *,
        merchants: tuple[str, str],
    ) -> None:
        first, second = (bases_at(secret, session, name, slots) for name in merchants)
        # Those that agree come first; the report must still rise.
        order = np.argsort(first != second, kind="stable")[: policy.positions]
        keep = np.sort(order)
        super().__init__(policy, session, secret, slots[keep], bit[keep])


def altered(cryptogram: bytes, share: float, rng: np.random.Generator) -> bytes:
    """Return a cryptogram of which each bit is inverted with a probability of ``share``."""
    honest = Cryptogram.decode(cryptogram)
    bits = np.unpackbits(np.frombuffer(honest.outcomes, np.uint8), count=honest.positions)
    outcomes = np.packbits(flipped(bits, share, rng)).tobytes()
    return Cryptogram(honest.session, honest.client, honest.positions, outcomes).encode()


def error_rates(attack: str, honest: float) -> list[float]:
    """Return the error rate to expect at each request of an attack that reaches a branch."""
    expected = {
        "two-merchants": [(BREIDBART_ERROR + honest) / 2] * 2,
        "altered": [honest + ALTERED_SHARE - 2 * honest * ALTERED_SHARE],
        "wrong-merchant": [(0.5 + honest) / 2],
        "replay": [honest],
        "chosen-positions": [],
    }
    return expected.get(attack, [honest])
