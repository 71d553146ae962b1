"""What a transfer is worth: epsilons of correctness and of both parties, and the sizes of its sets.

Used before a session for planning and after it for the certificate. Everything is rounded so that an epsilon is never
reported too small (float arithmetic of a few operations, then enlarged by one part in 10**9).

Notes
-----
Given (Lemus et al. 2025): N_test = alpha N_0; N_check = (1/2 - d2) alpha N_0; N_raw = (1/2 - d2)(1 - alpha) N_0;
eps_cor = 2**(-(N_raw - n)/2) + 2 eps_IR; the receiver's epsilon contains e**(-(1-alpha)**2 N_test d1**2 / 2),
e**(-N_check d1**2 / 2), e**(-D(1/2 - d2 || 1/2)(1 - alpha) N_0), eps_bind and the term of the hash.

Own, called so because the printed forms (their equations 13 and 31) were not available undamaged:

- How the terms join. With sampling failing with a probability P, the real state is sqrt(P) close in trace distance
  to one for which sampling holds (after Bouman and Fehr, CRYPTO 2010), so the two sampling terms enter as
  sqrt(e1 + e2); the others are added as they are.
- The hash's exponent. A dishonest receiver that passes the test has measured all but a share q = P_max + d1 of the
  tested kind as committed, so of its N_raw positions of the string that it must not learn, at least (1/2 - d2) of the
  pairs have unequal bases, and the min-entropy of the sender's bits there is at least
  N_raw (1/2 - 2 d2/(1 - 2 d2) - h(q/(1/2 - d2))), of which the syndrome discloses f N_raw h(q). By the leftover hash
  lemma the distance is 2**((n - rest)/2) / 2. With d1 = d2 = 0, f = 1 the rest vanishes at 2.8 %, as published.
- Pulses of several photons. Each may tell a dishonest receiver its bit and basis without being noticed, and it may
  suppress as many other pulses as its channel's loss hides. So all of them among those sent, N_multi <= the binomial
  tail's quantile, are taken to sit in the string it must not learn: rest falls by N_multi. The published account
  (P_multi' = N_multi / (3 N_tot), for a heralded source) is milder and is not used.

Towards a dishonest sender: the sets I_0, I_1 and failures to detect are all it sees. With the bases' choice private
and uniform, and the report of detections independent of the basis, they tell nothing; what remains is the binding's
counterpart, the hiding of the commitments, which is computational and has no number here, and the term
e**(-D(1/2 - d2 || 1/2)(1 - alpha) N_0) of sets that do not fill.

Sources: M. Lemus et al., "Performance of Practical Quantum Oblivious Key Distribution", arXiv:2501.03973; N. Bouman,
S. Fehr, CRYPTO 2010; R. Renner, Ph.D. thesis, ETH 2005 (leftover hash lemma).
"""

import math
from dataclasses import dataclass

from faintlink.core.config.applications.transfer import TransferPolicy
from faintlink.postprocess.transfer.commitment import EPS_BIND

EPS_RECONCILE = 2.0**-32
"""Failure of reconciliation to be noticed, as published; ours has a check value of 40 bits and is below."""
EPS_MULTI_PHOTON = 1e-12
"""Probability that more pulses have several photons than were allowed for."""
_UP = 1.0 + 1e-9


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sets of a transfer of N_0 detections."""

    test: int
    """Positions that are opened."""
    check: int
    """Least of these with equal bases."""
    raw: int
    """Positions of each of the two sets."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Epsilons of one transfer."""

    eps_correct: float
    """Probability that the receiver's string differs from the sender's."""
    eps_sampling: float
    """sqrt of the probability that the test misleads."""
    eps_sets: float
    """Probability that an honest receiver's sets do not fill."""
    eps_bind: float
    """Probability that a commitment can be opened in two ways."""
    eps_hash: float
    """Distance of the string that the receiver did not choose from a random one, given the rest."""
    spare_bits: float
    """Min-entropy of that string's positions beyond its length, bits; negative makes it insecure."""
    multi_photon: int
    """Pulses of several photons that were allowed for."""

    @property
    def eps_sender(self) -> float:
        """What the sender risks: a dishonest receiver learns of both strings."""
        counted = EPS_MULTI_PHOTON if self.multi_photon else 0.0
        return min(1.0, (self.eps_sampling + self.eps_bind + self.eps_hash + counted) * _UP)

    @property
    def eps_receiver(self) -> float:
        """What the receiver risks: a dishonest sender learns the choice; hiding of the commitments is beside it."""
        return min(1.0, self.eps_sets * _UP)


def sizes(policy: TransferPolicy) -> Sizes:
    """Return the sets' sizes."""
    n, half = policy.detections, 0.5 - policy.delta_basis
    test = round(policy.test_share * n)
    return Sizes(test, math.floor(half * policy.test_share * n), math.floor(half * (1.0 - policy.test_share) * n))


def entropy(p: float) -> float:
    """Return h(p) in bits, 1 from p = 1/2 on."""
    if p >= 0.5:
        return 1.0
    return 0.0 if p <= 0.0 else -p * math.log2(p) - (1.0 - p) * math.log2(1.0 - p)


def multi_photon_bound(pulses: int, mean_photons: float, eps: float = EPS_MULTI_PHOTON) -> int:
    """Return how many of ``pulses`` Poissonian pulses have several photons, but for a probability ``eps``.

    Notes
    -----
    Chernoff: P[X >= m + t] <= exp(-t**2 / (2 m + 2 t / 3)) for the mean m.
    """
    mean = pulses * -math.expm1(-mean_photons) - pulses * mean_photons * math.exp(-mean_photons)
    log = math.log(1.0 / eps)
    return math.ceil(mean + log / 3.0 + math.sqrt(log * log / 9.0 + 2.0 * mean * log))


def certify(policy: TransferPolicy, *, leaked_bits: float | None = None, multi_photon: int = 0) -> Certificate:
    """Return the epsilons of a transfer.

    Parameters
    ----------
    policy
        What was agreed on.
    leaked_bits
        What the syndrome of one string disclosed, bits; f N_raw h(P_max + d1) by default.
    multi_photon
        Pulses of several photons to allow for.
    """
    found, q = sizes(policy), policy.max_error_rate + policy.delta_error
    d1, d2, alpha = policy.delta_error, policy.delta_basis, policy.test_share
    leak = policy.f_ec * found.raw * entropy(q) if leaked_bits is None else leaked_bits
    share = 0.5 - 2.0 * d2 / (1.0 - 2.0 * d2) - entropy(q / (0.5 - d2))
    spare = found.raw * share - leak - multi_photon - policy.string_bits
    sampling = math.exp(-0.5 * (1.0 - alpha) ** 2 * found.test * d1**2) + math.exp(-0.5 * found.check * d1**2)
    divergence = (0.5 - d2) * math.log(1.0 - 2.0 * d2) + (0.5 + d2) * math.log(1.0 + 2.0 * d2)
    return Certificate(
        eps_correct=min(1.0, _power(-0.5 * (found.raw - policy.string_bits)) + 2.0 * EPS_RECONCILE),
        eps_sampling=math.sqrt(sampling),
        eps_sets=2.0 * math.exp(-divergence * (1.0 - alpha) * policy.detections),
        eps_bind=float(EPS_BIND),
        eps_hash=min(1.0, 0.5 * _power(-0.5 * spare)),
        spare_bits=spare,
        multi_photon=multi_photon,
    )


def _power(exponent: float) -> float:
    """Return 2**exponent, where tiny not less than the smallest normal float."""
    return math.exp2(max(min(exponent, 1023.0), -1022.0))
