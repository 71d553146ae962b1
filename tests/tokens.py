"""Sessions of tokens without a laboratory: detections by the numbers, and presentations to agents in this process."""

from dataclasses import dataclass

import numpy as np

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.entropy import SeededEntropy
from faintlink.postprocess.conjugate.observations import Observations
from faintlink.postprocess.tokens.agents import BankAgent, UserAgent
from faintlink.postprocess.tokens.issue import Sent, TokenBank, TokenUser, copies_of
from faintlink.postprocess.tokens.messages import Decision, Kind, message
from faintlink.postprocess.tokens.network import Order


def small_policy(**changes: object) -> TokenPolicy:
    """Return a policy of few positions; ``changes`` replace its fields."""
    fields: dict[str, object] = {"pulses": 400, "positions": 40, "max_error_rate": 0.1, "mean_photon_uncertainty": 0.0}
    return TokenPolicy.model_validate({**fields, **changes})


def detections(policy: TokenPolicy, seed: int, *, error: float = 0.01, share_x: float = 0.5) -> Observations:
    """Return what a user detects: half of the pulses, in bases of which ``share_x`` are X."""
    rng = np.random.default_rng(seed)
    slots = np.flatnonzero(rng.random(policy.pulses) < 0.5).astype(np.int64) + 1000
    n = slots.size
    sent_basis, sent_bit, noise = (rng.integers(0, 2, n, dtype=np.uint8) for _ in range(3))
    basis = (rng.random(n) < share_x).astype(np.uint8)
    bit = np.where(basis == sent_basis, sent_bit ^ (rng.random(n) < error), noise).astype(np.uint8)
    zeros = np.zeros(n, np.uint8)
    return Observations(1000, policy.pulses, slots, slots, zeros, sent_basis, sent_bit, basis, bit)


@dataclass(frozen=True, slots=True)
class Session:
    """Bank and user after an issue, and the agents of both, ready."""

    bank: TokenBank
    user: TokenUser
    banks: list[BankAgent]
    users: list[UserAgent]

    def present(self, order: Order) -> Decision:
        """Present at a point."""
        go = message(Kind.GO, self.bank.session)
        return self.banks[order.point].judge(self.users[order.point].presentation(go))


def issued(
    policy: TokenPolicy, seed: int, *, kind: type[TokenUser] = TokenUser, point: int = 0, error: float = 0.01
) -> Session:
    """Return a session whose user has chosen ``point``."""
    seen = detections(policy, seed, error=error)
    user = kind(policy, copies_of(seen, policy), SeededEntropy(seed))
    bank = TokenBank(policy, 1000, Sent(seen.slots, seen.sent_basis, seen.sent_bit), SeededEntropy(seed + 10**6))
    bank.take_report(user.report(bank.session))
    bank.take_token(user.token())
    choice, deposit, holding = user.choose(point), bank.deposit(), user.holding().encode()
    banks, users = [], []
    for number in range(2**policy.point_bits):
        agent, holder = BankAgent(number), UserAgent()
        agent.take_deposit(deposit)
        agent.take_choice(choice)
        holder.take_holding(holding)
        banks.append(agent)
        users.append(holder)
    return Session(bank, user, banks, users)
