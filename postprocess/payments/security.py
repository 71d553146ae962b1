"""What a payment is worth: the probability that two merchants are paid, and that an honest one is not.

Notes
-----
n positions, fixed and reported before; L the least number of them in which the bases of two merchants differ, and c the
largest number compared for one merchant: the bank refuses a report with less than min_distance n or more than
max_checked n. gamma = max_error_rate.

- eps_double, own derivation. Where the bases of two merchants differ, exactly one of them has the basis that was sent;
  the client must answer in both, which on a single photon errs with lambda at least. Where they agree it may answer
  without error. Both together let at most gamma 2 c errors pass, all of which may be spent on the L positions. So
  eps <= (1 + 2 beta_PS)**n BinCDF(gamma 2 c; L - several photons, lambda), and the terms of
  `conjugate.guessing.forging_bound`; it holds for the pair that the client likes best, since the norm behind it is a
  maximum over what the client does. Errors are not counted for L alone: gamma must stay below about lambda/2.
- eps_honest: too few detections, P[Bin(N, P_det) < n]; a report that is refused although nothing was chosen, by
  binomial tails over all merchants and pairs for bases that look random; a refusal by errors, as for tokens.

The bound is for one cryptogram a merchant: a branch decides once about each, and a merchant has one branch. Two
branches that served one merchant without asking each other would pay it twice for the same cryptogram.

Sources: P. Schiansky et al., Nat. Commun. 14, 3849 (2023); A. Kent et al., npj Quantum Inf. 8, 28 (2022) (the game).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.records import ErrorCount
from faintlink.postprocess.conjugate import honest
from faintlink.postprocess.conjugate.estimates import rate_at_least, rate_at_most
from faintlink.postprocess.conjugate.guessing import ForgingBound, Preparation, Pulses, allowed_errors, forging_bound
from faintlink.postprocess.conjugate.tails import as_epsilon, lower_tail, upper_tail

STATEMENTS = (
    "Published (Schiansky et al. 2023): that outcomes in the bases of one merchant pay no other one, against any "
    "computing power. The printed proof was not used here.",
    "Own derivation, from the game of Kent et al. 2022: the bound with exact binomial tails, the report that binds "
    "before any payment, the least distance between merchants' bases that the bank enforces, and that errors may all "
    "be spent where these differ; see faintlink.postprocess.payments.parties and .security. The published loss "
    "thresholds are not used.",
    "Measured: detection probability and error rate, with one-sided Clopper-Pearson bounds for independent pulses; the "
    "counts of bits and bases, which must be compatible with the declared biases.",
    "Declared, not measured here: mean photon number and its uncertainty, misalignment theta, biases of the random "
    "sources. Pulses are phase-randomised and Poissonian; those of several photons are all conceded.",
    "Computational: that somebody without the client's secret cannot tell the bases rests on keyed BLAKE2b and "
    "SHAKE-256 looking random. The bound on a dishonest client, who knows them all, does not.",
    "Assumed: states of one basis are orthogonal; nothing but the four states leaves the bank; the line between "
    "merchant and bank is authenticated, and each merchant has one branch of the bank; the client's receiver was "
    "driven by the prescribed bases.",
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The epsilons of a payment and what they rest on."""

    eps_double: float
    """Probability that two merchants are paid at branches that do not ask each other."""
    eps_honest: float
    """Probability that an honest payment fails."""
    forging: ForgingBound
    detection: float
    """Lower bound of the probability to detect."""
    error_rate: float
    """Upper bound."""
    differing: int
    """Positions that a report must leave to differ between any two merchants."""
    errors: int
    """Wrong positions that two merchants together let pass."""

    def shortcomings(self, policy: PaymentPolicy) -> list[str]:
        """Return in words what does not meet the policy."""
        pairs = (
            ("eps_double", self.eps_double, policy.max_eps_double),
            ("eps_honest", self.eps_honest, policy.max_eps_honest),
        )
        return [f"{name} {value:.3g} exceeds {limit:.3g}" for name, value, limit in pairs if value > limit]


def double_spending(policy: PaymentPolicy, mean_photons: float) -> ForgingBound:
    """Return the bound on paying two merchants; known before a session."""
    return forging_bound(
        positions=policy.positions,
        errors=two_allowances(policy),
        pulses=Pulses(policy.pulses, mean_photons * (1.0 + policy.mean_photon_uncertainty)),
        preparation=Preparation(policy.preparation_angle_deg, policy.basis_bias, policy.bit_bias),
        failure=Fraction(policy.max_eps_double) / 1000,
        checked=differing(policy),
    )


def differing(policy: PaymentPolicy) -> int:
    """Return the least number of positions that differ between two merchants in a report that is taken."""
    return math.ceil(policy.min_distance * policy.positions)


def two_allowances(policy: PaymentPolicy) -> int:
    """Return how many errors two merchants together let pass at most."""
    return allowed_errors(policy.max_error_rate, 2 * math.floor(policy.max_checked * policy.positions))


def certify(policy: PaymentPolicy, mean_photons: float, *, detections: int, errors: ErrorCount) -> Certificate:
    """Return the certificate of a session, from ``detections`` in all its pulses and the errors of one payment."""
    detection = rate_at_least(detections, policy.pulses, policy.eps_estimate)
    wrong = rate_at_most(errors.errors, errors.bits, policy.eps_estimate)
    forging = double_spending(policy, mean_photons)
    return Certificate(
        eps_double=as_epsilon(forging.epsilon),
        eps_honest=as_epsilon(min(Fraction(1), honest_failure(policy, detection, wrong))),
        forging=forging,
        detection=float(detection),
        error_rate=float(wrong),
        differing=differing(policy),
        errors=two_allowances(policy),
    )


def honest_failure(policy: PaymentPolicy, detection: Fraction, error_rate: Fraction | float) -> Fraction:
    """Return an upper bound of the probability that an honest payment fails."""
    n, merchants, half = policy.positions, len(policy.merchants), Fraction(1, 2)
    lost = lower_tail(policy.pulses, n - 1, detection)
    close = math.comb(merchants, 2) * lower_tail(n, differing(policy) - 1, half)
    many = merchants * upper_tail(n, math.floor(policy.max_checked * n) + 1, half + Fraction(policy.basis_bias))
    refused = honest.refusal_bound(
        positions=n,
        least=honest.least_checked(n, policy.basis_bias, policy.max_eps_honest / 10),
        basis_bias=policy.basis_bias,
        max_error_rate=policy.max_error_rate,
        error_rate=error_rate,
    )
    return lost + close + many + refused
