"""Sessions of payments without a laboratory: a client that measures in prescribed bases, by the numbers."""

from dataclasses import dataclass

import numpy as np

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.payments.parties import Bank, bases_at

MERCHANTS = ("Bakery", "Bookshop", "Kiosk")
FIRST = 1000


def small_policy(**changes: object) -> PaymentPolicy:
    """Return a policy of few positions; ``changes`` replace its fields."""
    fields: dict[str, object] = {
        "pulses": 800,
        "positions": 200,
        "max_error_rate": 0.05,
        "merchants": MERCHANTS,
        "min_distance": 0.3,
        "max_checked": 0.7,
    }
    return PaymentPolicy.model_validate({**fields, **changes})


@dataclass(frozen=True, slots=True)
class Table:
    """One session of a client: what was sent and what it measured."""

    policy: PaymentPolicy
    session: bytes
    secret: bytes
    slots: Slots
    sent_basis: Bits
    sent_bit: Bits
    bit: Bits

    def bank(self) -> Bank:
        """Return the bank of the session."""
        return Bank(
            self.policy,
            self.session,
            self.secret,
            first_slot=FIRST,
            slots=self.slots,
            basis=self.sent_basis,
            bit=self.sent_bit,
        )


def table(policy: PaymentPolicy, seed: int, *, merchant: str = "Bakery", error: float = 0.01) -> Table:
    """Return a session in which half of the pulses are detected, in the bases of ``merchant``."""
    rng = np.random.default_rng(seed)
    session, secret = rng.bytes(16), rng.bytes(32)
    slots = np.flatnonzero(rng.random(policy.pulses) < 0.5).astype(np.int64) + FIRST
    sent_basis, sent_bit, noise = (rng.integers(0, 2, slots.size, dtype=np.uint8) for _ in range(3))
    basis = bases_at(secret, session, merchant, slots)
    bit = np.where(basis == sent_basis, sent_bit ^ (rng.random(slots.size) < error), noise).astype(np.uint8)
    return Table(policy, session, secret, slots, sent_basis, sent_bit, bit)
