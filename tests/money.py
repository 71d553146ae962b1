"""Cards without a laboratory: what a bank sends, a line loses and a terminal measures, by the numbers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.postprocess.money.card import Card, CardDatabase, mint
from faintlink.postprocess.money.messages import Challenge
from faintlink.postprocess.money.parties import Branch, Terminal, slot_bases

FIRST = 1000
MEAN_PHOTONS = 0.2
KEY = bytes(range(32))


def small_policy(**changes: object) -> MoneyPolicy:
    """Return a policy of few pairs; ``changes`` replace its fields."""
    fields: dict[str, object] = {
        "pulses": 240_000,
        "pairs": 56_000,
        "min_answered": 8_600,
        "max_error_rate": 0.02,
    }
    return MoneyPolicy.model_validate({**fields, **changes})


@dataclass(frozen=True, slots=True)
class Table:
    """One card, in the bank's database and in a terminal."""

    policy: MoneyPolicy
    card: Card
    database: CardDatabase
    challenge: Challenge
    terminal: Terminal

    def branch(self, name: str = "north") -> Branch:
        """Return a new branch of the bank."""
        return Branch(name, self.policy, self.database)

    def asked(self, name: str = "north") -> Branch:
        """Return a branch that has given the challenge that the terminal was driven by."""
        branch = self.branch(name)
        branch.ask(self.challenge)
        return branch


def table(
    folder: Path, seed: int, *, policy: MoneyPolicy | None = None, transmission: float = 0.88, error: float = 0.008
) -> Table:
    """Return a card that was minted, kept and read."""
    rng = np.random.default_rng(seed)
    policy = policy or small_policy()
    settings = rng.integers(0, 4, policy.pulses, dtype=np.uint8)
    serial = rng.bytes(16)
    card = mint(settings, serial=serial, first_slot=FIRST, pairs=policy.pairs)
    home = folder / f"bank-{serial.hex()}"
    home.mkdir()
    database = CardDatabase(home, KEY)
    database.issue(card)
    challenge = Challenge(serial, rng.bytes(32))
    basis = slot_bases(challenge.seed, FIRST + policy.pulses)[FIRST:]
    sent_basis, sent_bit = settings >> 1, settings & 1
    wrong = rng.random(policy.pulses) < error
    noise = rng.integers(0, 2, policy.pulses)
    bit = np.where(basis == sent_basis, sent_bit ^ wrong, noise).astype(np.uint8)
    seen = np.flatnonzero(rng.random(policy.pulses) < -np.expm1(-MEAN_PHOTONS * transmission))
    terminal = Terminal(FIRST, policy.pulses, slots=seen + FIRST, basis=basis[seen], bit=bit[seen])
    return Table(policy, card, database, challenge, terminal)
