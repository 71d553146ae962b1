"""What a card is worth: the probability that two branches accept it, and that an honest one is refused.

Notes
-----
A branch accepts when at least ``min_answered`` checked pulses are answered and at most ``max_error_rate`` of these are
wrong. Two acceptances need a score (see `cloning`) of S >= 2 min_answered (1 - weight max_error_rate), so that

    eps_clone <= branches (branches - 1)/2 . e**(-t S) G(t, weight)**pairs   for any t > 0 and weight > 1

with weight max_error_rate < 1. The best t and weight are found in floats with the conservative G, which needs no
solver, and the bound is then evaluated there, every rounding upwards.

What is checked are errors and losses of both branches together, since a cheater may divide them between the branches
as it likes. The often named threshold of 7/8 for one ideal pair bounds how often *both* answers are right; two branches
that each count their own errors are safe only below (1 - cos**2(pi/8))/2 = 7.3 % errors, not below 12.5 %.

Sources: M. Bozzio et al., npj Quantum Inf. 4, 5 (2018); C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import minimize

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.records import ErrorCount
from faintlink.postprocess.conjugate.estimates import rate_at_least, rate_at_most
from faintlink.postprocess.conjugate.tails import as_epsilon, lower_tail, upper_tail
from faintlink.postprocess.money.cloning import ROUNDING, growth
from faintlink.postprocess.money.sdp import has_solver

STATEMENTS = (
    "Published (Bozzio et al. 2018): the card of pairs in eight states, the two questions, and that no cheater gives "
    "perfect answers to different questions with more than 3/4. The printed thresholds for noise and loss were not "
    "used.",
    "Own derivation, see faintlink.postprocess.money.cloning and .security: the bound with losses that may depend on "
    "the question, photon numbers and joint attacks on all pairs, from dual feasible points of semidefinite programs "
    "and Markov's inequality. It holds against cheaters who know both branches' questions before they answer, so that "
    "terminals need not be trusted; it has not been reviewed by others.",
    "Measured: answered share and error rate, with one-sided Clopper-Pearson bounds for independent pulses; the count "
    "of bits, which must be compatible with the declared bias.",
    "Declared, not measured here: mean photon number and its uncertainty, bias of the bits. Pulses are "
    "phase-randomised and Poissonian; of three photons or more all is conceded.",
    "Computational: that the questions, drawn as a seed of 32 bytes, are spread over the pairs like coins rests on "
    "SHAKE-256. Nothing else does.",
    "Assumed: the eight states are exact; nothing but them leaves the bank; settings of pulses are independent; each "
    "branch takes a card once, and its question is drawn afresh after the card was handed out.",
    "Rehearsed on a mock: the memory is a loss and a dephasing that stand for the storage time; no photon waits.",
)
CONSERVATIVE = (
    "Conservative bound: cvxpy is not installed, so that a pair of one and two photons is conceded instead of "
    "bounded by a semidefinite program."
)


@dataclass(frozen=True, slots=True)
class CloneBound:
    """Probability that two branches accept one card, and where it was evaluated."""

    ln_epsilon: float
    """Natural logarithm of the bound, rounded up."""
    t: float
    weight: float
    is_optimised: bool
    """Whether by the semidefinite program; otherwise the conservative bound."""

    @property
    def epsilon(self) -> float:
        """The bound, at most 1."""
        if self.ln_epsilon >= 0.0:
            return 1.0
        return min(1.0, max(math.exp(self.ln_epsilon) * (1.0 + ROUNDING), 5e-324))


@dataclass(frozen=True, slots=True)
class Certificate:
    """The epsilons of a card and what they rest on."""

    clone: CloneBound
    """Of two branches that accept one card."""
    eps_honest: float
    """Probability that an honest card is refused."""
    answered: float
    """Lower bound of the probability that a checked pulse is answered."""
    error_rate: float
    """Upper bound."""

    def shortcomings(self, policy: MoneyPolicy) -> list[str]:
        """Return in words what does not meet the policy."""
        pairs = (
            ("eps_clone", self.clone.epsilon, policy.max_eps_clone),
            ("eps_honest", self.eps_honest, policy.max_eps_honest),
        )
        return [f"{name} {value:.3g} exceeds {limit:.3g}" for name, value, limit in pairs if value > limit]


def ln_clone(policy: MoneyPolicy, mean_photons: float, t: float, weight: float, *, optimise: bool) -> float:
    """Return an upper bound of ln eps_clone at one t and weight."""
    kept = 1.0 - weight * policy.max_error_rate
    if kept <= 0.0:
        return math.inf
    most = mean_photons * (1.0 + policy.mean_photon_uncertainty)
    grown = policy.pairs * math.log(growth(most, t, weight, bit_bias=policy.bit_bias, optimise=optimise))
    needed = 2.0 * t * policy.min_answered * kept
    ways = math.log(math.comb(policy.branches, 2))
    return grown - needed + ways + ROUNDING * (policy.pairs + needed + grown + 1.0)


def clone_bound(policy: MoneyPolicy, mean_photons: float, *, optimise: bool | None = None) -> CloneBound:
    """Return the bound on two acceptances; known before a card is made.

    Parameters
    ----------
    policy, mean_photons
        What was agreed on, and the mean photon number of the link file.
    optimise
        Whether to use the semidefinite program; by default when `cvxpy` is there.
    """
    use = has_solver() if optimise is None else optimise

    def objective(at: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        t, weight = math.exp(min(at[0], 3.0)), 1.0 + math.exp(min(at[1], 6.0))
        return min(ln_clone(policy, mean_photons, t, weight, optimise=False), 1e12)

    starts = [np.array([math.log(t), math.log(w)]) for t in (0.02, 0.2) for w in (2.4, 10.0)]
    found = min((minimize(objective, at, method="Nelder-Mead", options={"maxfev": 100}) for at in starts), key=_value)
    t, weight = math.exp(min(found.x[0], 3.0)), 1.0 + math.exp(min(found.x[1], 6.0))
    return CloneBound(ln_clone(policy, mean_photons, t, weight, optimise=use), t, weight, use)


def _value(found: object) -> float:
    return float(getattr(found, "fun", math.inf))


def certify(policy: MoneyPolicy, mean_photons: float, count: ErrorCount) -> Certificate:
    """Return the certificate of a card whose check gave ``count``."""
    answered = rate_at_least(count.bits, policy.pairs, policy.eps_estimate)
    wrong = rate_at_most(count.errors, count.bits, policy.eps_estimate)
    return Certificate(
        clone=clone_bound(policy, mean_photons),
        eps_honest=as_epsilon(min(Fraction(1), honest_refusal(policy, answered, wrong))),
        answered=float(answered),
        error_rate=float(wrong),
    )


def honest_refusal(policy: MoneyPolicy, answered: Fraction, error_rate: Fraction) -> Fraction:
    """Return an upper bound of the probability that an honest card is refused, for too few answers or by errors."""
    few = lower_tail(policy.pairs, policy.min_answered - 1, answered)
    period = math.ceil(1.0 / policy.max_error_rate)
    # Over one period of the whole part from the fewest answers on; more answers make it less likely.
    last = min(policy.pairs, policy.min_answered + period)
    counts = range(policy.min_answered, last + 1)
    return few + max(upper_tail(n, allowed_errors(policy, n) + 1, error_rate) for n in counts)


def allowed_errors(policy: MoneyPolicy, answered: int) -> int:
    """Return how many wrong answers a branch lets pass."""
    return int(policy.max_error_rate * answered)
