"""The decisions about a block: whether it may become key, and how long the key is.

Pure functions of counts and policy, so that both nodes, and an analysis of both sides' files, decide alike. Each
raises the refusal that it decides on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from faintlink.core.config.link import SecurityPolicy
from faintlink.core.errors import MonitorVetoError, NotEnoughSignalsError, QberTooHighError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.qkd.estimate import error_rate
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.budget import EpsilonBudget
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.security.length import check_length, decide
from faintlink.postprocess.security.result import BoundResult

ATTEMPTS = 2
"""Reconciliations of a block before it is given up; they share eps_cor."""
_MIN_HINT = 0.003


@dataclass(frozen=True, slots=True)
class Disclosed:
    """Bits of the key basis that went over the public channel."""

    parities: int = 0
    """Of all reconciliations, failed ones included."""
    tag_bits: int = 0
    """Of all verification tags, with one bit for each verdict."""
    opened: int = 0
    """Of frames that were told in the clear after they had failed."""

    def beyond_tag_of(self, eps_cor: float) -> int:
        """Return the leak that a bound must subtract, which itself takes off one tag of log2(2 / eps_cor) bits."""
        return self.parities + self.tag_bits + self.opened - math.floor(math.log2(2.0 / eps_cor))


def heed_policy(policy: SecurityPolicy) -> None:
    """Refuse a policy whose way to a length its bound is not proven for, before anything is disclosed.

    Raises
    ------
    ConfigError
        See `faintlink.postprocess.security.length`.
    """
    check_length(registry.get(policy.bound), policy)


def heed_monitors(monitors: Sequence[MonitorReading], policy: SecurityPolicy) -> None:
    """Refuse a block to which a monitor objects.

    Raises
    ------
    MonitorVetoError
        One objects, and the policy lets monitors veto.
    """
    objections = [reading for reading in monitors if reading.objects]
    if objections and policy.monitors.vetoes:
        raise MonitorVetoError(
            "; ".join(reading.sentence for reading in objections),
            hint="find the cause before making key; limits stand under security: monitors",
        )


def accept_test(counts: DecoyCounts, policy: SecurityPolicy) -> None:
    """Refuse a block by its test basis.

    Raises
    ------
    NotEnoughSignalsError
        A basis is empty.
    QberTooHighError
        More errors than the policy allows.
    """
    if not counts.key.bits or not counts.test.bits:
        raise NotEnoughSignalsError(
            f"{counts.key.bits} bits in the key basis and {counts.test.bits} in the test basis: both are needed",
            hint="check that light arrives, and the gate; lengthen security: block_s",
        )
    test = error_rate(counts.test)
    if test.rate > policy.max_qber:
        raise QberTooHighError(
            f"QBER in the test basis is {test.rate:.2%} (95 % between {test.low:.2%} and {test.high:.2%}), "
            f"allowed is {policy.max_qber:.2%}",
            hint="align the receiver; if alignment is good, somebody may be measuring the pulses",
        )


def accept_key(counts: DecoyCounts, policy: SecurityPolicy) -> None:
    """Refuse a block by the errors that reconciliation found in the key basis.

    Raises
    ------
    QberTooHighError
        More errors than the policy allows.
    """
    if counts.key.rate > policy.max_qber:
        raise QberTooHighError(
            f"QBER in the key basis is {counts.key.rate:.2%}, allowed is {policy.max_qber:.2%}",
            hint="align the receiver; if alignment is good, somebody may be measuring the pulses",
        )


def first_hint(counts: DecoyCounts) -> float:
    """Return the error rate with which reconciliation starts."""
    return min(max(counts.test.rate, _MIN_HINT), 0.5)


def second_hint(first: float, found: float) -> float:
    """Return the error rate for a second attempt, when the first found a rate of ``found`` and failed."""
    return min(max(2 * first, 1.2 * found), 0.5)


def eps_cor_of_attempt(policy: SecurityPolicy) -> float:
    """Return the share of eps_cor that one verification may spend."""
    return policy.eps_cor / ATTEMPTS


def bound_input(
    counts: DecoyCounts,
    disclosed: Disclosed,
    policy: SecurityPolicy,
    *,
    intensities: tuple[float, ...],
    probabilities: tuple[float, ...],
) -> BoundInput:
    """Return what the bound is evaluated on."""
    return BoundInput(
        counts=counts,
        intensities=intensities,
        probabilities=probabilities,
        leak_ec=disclosed.beyond_tag_of(policy.eps_cor),
        eps_sec=policy.eps_sec,
        eps_cor=policy.eps_cor,
        options=policy.options,
    )


def key_length(given: BoundInput, policy: SecurityPolicy) -> BoundResult:
    """Return the length of the key with every term; 0 is an answer, `accept_length` refuses it."""
    return decide(registry.get(policy.bound), given, policy)


def accept_length(result: BoundResult, given: BoundInput, policy: SecurityPolicy) -> EpsilonLedger:
    """Return the ledger of a key of the bound's length, or refuse the block.

    Raises
    ------
    NotEnoughSignalsError
        The bound allows no key.
    """
    if not result.length:
        raise NotEnoughSignalsError(
            f"{result.bound} allows no key: {result.refusal}",
            hint="longer blocks (security: block_s), less loss or a lower QBER help",
        )
    return EpsilonBudget.of(registry.get(policy.bound), given, eps_auth=policy.eps_auth).ledger
