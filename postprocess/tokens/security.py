"""What a token is worth: the four epsilons, from what was agreed on and what was measured.

Called after a session for the certificate. Every tail is exact and rounded upwards; `chernoff` has the published form.

Notes
-----
n positions, fixed before, half of each basis; N pulses and M copies; gamma = max_error_rate.

- eps_rob, an honest user cannot report: M (P[Bin(N, P_Z) < n/2] + P[Bin(N, P_X) < n/2]), P_Z and P_X being lower
  confidence bounds of the measured probabilities to detect in a basis.
- eps_cor, an honest token is refused: M (P[Bin(n, 1/2 - beta_PB) < m] + max P[Bin(m', E) > gamma m']) over m' from m
  on through one period of the whole part, E being the upper confidence bound of the measured error rate.
- eps_unf, a user is accepted at two points: M times `conjugate.guessing.forging_bound`. Two points differ in a bit, so
  whoever passes at both has answered in both bases of that bit's copy; the sum over copies is a union bound.
- eps_priv, the bank guesses a bit of the point better than 1/2: beta_E. The report tells nothing (see `issue`).

The first, second and fourth follow Kent et al. in the meaning of the symbols; that n is fixed and balanced, and the
union over copies, are own derivations.

Sources: A. Kent, D. Lowndes, D. Pitalúa-García, J. Rarity, npj Quantum Inf. 8, 28 (2022), lemmas and theorem 1.
"""

from dataclasses import dataclass
from fractions import Fraction

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.records import ErrorCount
from faintlink.core.units import SPEED_OF_LIGHT_M_PER_S
from faintlink.postprocess.conjugate import honest
from faintlink.postprocess.conjugate.estimates import rate_at_least, rate_at_most
from faintlink.postprocess.conjugate.guessing import ForgingBound, Preparation, Pulses, allowed_errors, forging_bound
from faintlink.postprocess.conjugate.tails import as_epsilon, lower_tail

STATEMENTS = (
    "Proved (Kent, Lowndes, Pitalua-Garcia, Rarity 2022): up to eps_unf nobody is accepted at two points, whatever "
    "is measured jointly and whichever positions are reported, with misaligned bases and biased sources.",
    "Own derivation: the bound with exact binomial tails in place of Chernoff's, the fixed and balanced number of "
    "positions, and the union over copies; see faintlink.postprocess.conjugate.guessing and .tokens.security.",
    "Measured: detection probabilities and the error rate, with one-sided Clopper-Pearson bounds for independent "
    "pulses; the counts of bits and bases, which must be compatible with the declared biases, and of which the bound "
    "for bases is used where it exceeds the declared one.",
    "Declared, not measured here: mean photon number and its uncertainty, misalignment theta, biases of the random "
    "sources. Pulses are phase-randomised and Poissonian; those of several photons are all conceded.",
    "Assumed: states of one basis are orthogonal; nothing but the four states leaves the sender; each party's agents "
    "and channels are its own; both parties' channel at a point is authenticated; detections of the two bases differ "
    "in frequency only.",
)
COMMITTED = (
    "Computational, own addition: commitments to the outcomes bind by the collision resistance of BLAKE2b and hide "
    "as long as it looks random. The proof of unforgeability does not need them; privacy towards the bank then does."
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a session showed, over all copies."""

    pulses: int
    """Sent."""
    detections_z: int
    """Detected in basis Z."""
    detections_x: int
    """Detected in basis X."""
    errors: ErrorCount
    """Of the honest presentation."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The four epsilons of a token and what they rest on."""

    eps_robust: float
    """Probability that an honest user cannot report enough."""
    eps_correct: float
    """Probability that an honest token is refused."""
    eps_unforgeable: float
    """Probability that a token is accepted at two points."""
    eps_private: float
    """Advantage of the bank in guessing a bit of the point."""
    forging: ForgingBound
    """Of one copy."""
    detection_z: float
    """Lower bound of the probability to detect in Z."""
    detection_x: float
    """Lower bound of the probability to detect in X."""
    error_rate: float
    """Upper bound."""
    least_checked: int
    """m: positions of each copy that a point compares at least."""

    def shortcomings(self, policy: TokenPolicy) -> list[str]:
        """Return in words what does not meet the policy."""
        honest = self.eps_robust + self.eps_correct
        found = []
        if self.eps_unforgeable > policy.max_eps_unforgeable:
            found.append(f"eps_unf {self.eps_unforgeable:.3g} exceeds {policy.max_eps_unforgeable:.3g}")
        if honest > policy.max_eps_honest:
            found.append(f"eps_rob + eps_cor {honest:.3g} exceeds {policy.max_eps_honest:.3g}")
        return found


def preparation_of(policy: TokenPolicy) -> Preparation:
    """Return the declared quality of the states."""
    return Preparation(policy.preparation_angle_deg, policy.basis_bias, policy.bit_bias)


def token_forging(policy: TokenPolicy, mean_photons: float) -> ForgingBound:
    """Return the bound on forging one copy; known before a session.

    Parameters
    ----------
    policy
        What was agreed on.
    mean_photons
        Mean photon number of the link file; the policy's uncertainty is added.
    """
    return forging_bound(
        positions=policy.positions,
        errors=allowed_errors(policy.max_error_rate, policy.positions),
        pulses=Pulses(policy.pulses_per_copy, mean_photons * (1.0 + policy.mean_photon_uncertainty)),
        preparation=preparation_of(policy),
        failure=Fraction(policy.max_eps_unforgeable) / (1000 * policy.point_bits),
    )


def certify(policy: TokenPolicy, mean_photons: float, measured: Measured) -> Certificate:
    """Return the certificate of a session."""
    failure, copies = policy.eps_estimate, policy.point_bits
    rates = [rate_at_least(n, measured.pulses, failure) for n in (measured.detections_z, measured.detections_x)]
    wrong = rate_at_most(measured.errors.errors, measured.errors.bits, failure)
    half = policy.positions // 2
    robust = sum((lower_tail(policy.pulses_per_copy, half - 1, rate) for rate in rates), Fraction(0))
    least = least_checked(policy)
    forging = token_forging(policy, mean_photons)
    return Certificate(
        eps_robust=as_epsilon(min(Fraction(1), copies * robust)),
        eps_correct=as_epsilon(min(Fraction(1), copies * refusal_bound(policy, wrong, least))),
        eps_unforgeable=as_epsilon(min(Fraction(1), copies * forging.epsilon)),
        eps_private=policy.choice_bias,
        forging=forging,
        detection_z=float(rates[0]),
        detection_x=float(rates[1]),
        error_rate=float(wrong),
        least_checked=least,
    )


def least_checked(policy: TokenPolicy) -> int:
    """Return m, which an honest copy's checked positions fall short of with a tenth of what may fail."""
    return honest.least_checked(policy.positions, policy.basis_bias, policy.max_eps_honest / (10 * policy.point_bits))


def refusal_bound(policy: TokenPolicy, error_rate: Fraction, least: int) -> Fraction:
    """Return an upper bound of the probability that an honest copy is refused."""
    return honest.refusal_bound(
        positions=policy.positions,
        least=least,
        basis_bias=policy.basis_bias,
        max_error_rate=policy.max_error_rate,
        error_rate=error_rate,
    )


def crosscheck_us(distance_km: float, group_index: float) -> float:
    """Return how long light takes through the fibre between two points and back, in microseconds."""
    return 2e9 * distance_km * group_index / SPEED_OF_LIGHT_M_PER_S
