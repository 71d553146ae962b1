"""Expected counts of a BBM92 link with a pair source beside Alice.

Used to plan a link before it is built. Pairs come from parametric down-conversion, so that several in one window
happen; a window of a continuous source counts as a pulse. It never touches observed counts.

Sources
-------
X. Ma, C.-H. F. Fung, H.-K. Lo, Phys. Rev. A 76, 012307 (2007), arXiv:quant-ph/0703122.
"""

from faintlink.core.units import PS_PER_S
from faintlink.postprocess.security.decoy import LinkModel
from faintlink.postprocess.security.estimation import DecoyBlock
from faintlink.postprocess.security.rounding import FLOATS


def gain_and_errors(pairs: float, eta_a: float, eta_b: float, dark: float, misalignment: float) -> tuple[float, float]:
    """Return the probabilities of a coincidence and of a wrong one, per window and for equal bases.

    Parameters
    ----------
    pairs
        Mean number of pairs per window, 2 lambda.
    eta_a, eta_b
        Probability that a photon is counted, at each end.
    dark
        Probability of a dark count per window, at each end.
    misalignment
        Probability that a single pair gives different bits.

    Notes
    -----
    With lambda and P(n) = (n+1) lambda^n / (1+lambda)^(n+2), Y_n = [1 - (1-Y0)(1-eta_A)^n] [1 - (1-Y0)(1-eta_B)^n]
    sums to Q = 1 - (1-Y0)/(1+eta_A l)^2 - (1-Y0)/(1+eta_B l)^2 + (1-Y0)^2/(1+eta_A l+eta_B l-eta_A eta_B l)^2 and
    E Q = Q/2 - 2 (1/2 - e_d) eta_A eta_B l (1+l) / [(1+eta_A l)(1+eta_B l)(1+eta_A l+eta_B l-eta_A eta_B l)].
    """
    mean = pairs / 2.0
    alice, bob = 1.0 + eta_a * mean, 1.0 + eta_b * mean
    both = 1.0 + (eta_a + eta_b - eta_a * eta_b) * mean
    quiet = 1.0 - dark
    gain = 1.0 - quiet / alice**2 - quiet / bob**2 + quiet**2 / both**2
    true_pairs = 2.0 * (0.5 - misalignment) * eta_a * eta_b * mean * (1.0 + mean) / (alice * bob * both)
    return gain, max(gain / 2.0 - true_pairs, 0.0)


def expected_pairs(link: LinkModel, *, p_key: float, pairs: float, eps_sec: float, eps_cor: float) -> DecoyBlock:
    """Return the expected counts and leak per window, dead time of both receivers included.

    Parameters
    ----------
    link
        Loss, detectors and number of windows per second (``pulse_rate_hz``); equal detectors at both ends.
    p_key
        Probability of the key basis, at both ends.
    pairs
        Mean number of pairs per window.
    eps_sec, eps_cor
        Secrecy and correctness parameters, passed on.
    """
    eta_a, eta_b, dark = link.detector_efficiency, link.transmission, link.dark_count_probability
    gain, wrong = gain_and_errors(pairs, eta_a, eta_b, dark, link.error_probability)
    live = 1.0
    for eta in (eta_a, eta_b):
        singles_hz = link.pulse_rate_hz * (1.0 - (1.0 - dark) / (1.0 + eta * pairs / 2.0) ** 2)
        live /= 1.0 + singles_hz * link.dead_time_ps / PS_PER_S
    key, test = live * p_key**2, live * (1.0 - p_key) ** 2
    return DecoyBlock(
        n_key=(key * gain,),
        n_test=(test * gain,),
        m_key=(key * wrong,),
        m_test=(test * wrong,),
        intensities=(),
        probabilities=(),
        leak_ec=link.f_ec * key * gain * FLOATS.entropy(wrong / gain),
        eps_sec=eps_sec,
        eps_cor=eps_cor,
    )
