"""The pair source's closed forms against the sums that they come from."""

import math

import pytest

from faintlink.postprocess.security.decoy import LinkModel
from faintlink.postprocess.security.pair_model import expected_pairs, gain_and_errors


@pytest.mark.parametrize(("pairs", "eta_a", "eta_b"), [(0.05, 0.5, 0.01), (0.5, 0.9, 0.3), (1.0, 0.1, 0.1)])
def test_the_gain_is_the_sum_over_the_pair_number(pairs: float, eta_a: float, eta_b: float) -> None:
    mean, dark = pairs / 2, 1e-4
    by_sum = math.fsum(
        (n + 1)
        * mean**n
        / (1 + mean) ** (n + 2)
        * (1 - (1 - dark) * (1 - eta_a) ** n)
        * (1 - (1 - dark) * (1 - eta_b) ** n)
        for n in range(400)
    )
    gain, _ = gain_and_errors(pairs, eta_a, eta_b, dark, 0.0)
    assert gain == pytest.approx(by_sum, rel=1e-9)


def test_a_faint_source_has_the_errors_of_its_alignment_and_a_dark_one_half() -> None:
    gain, wrong = gain_and_errors(1e-4, 0.5, 0.5, 0.0, 0.02)
    assert wrong / gain == pytest.approx(0.02, abs=1e-4)
    gain, wrong = gain_and_errors(0.0, 0.5, 0.5, 1e-3, 0.02)
    assert (gain, wrong) == pytest.approx((1e-6, 5e-7), rel=1e-6)


def test_more_pairs_bring_more_errors() -> None:
    rates = [wrong / gain for gain, wrong in (gain_and_errors(p, 0.5, 0.1, 1e-6, 0.01) for p in (0.01, 0.1, 0.5))]
    assert rates == sorted(rates)


def test_dead_time_of_both_receivers_costs_coincidences() -> None:
    free, dead = (
        expected_pairs(LinkModel(3.0, dead_time_ps=t), p_key=0.5, pairs=0.05, eps_sec=1e-9, eps_cor=1e-15)
        for t in (0.0, 50_000.0)
    )
    near, far = (1 - (1 - 1e-8) / (1 + eta * 0.025) ** 2 for eta in (0.5, 0.5 * 10**-0.3))
    live = 1 / ((1 + 1e9 * near * 50e-9) * (1 + 1e9 * far * 50e-9))
    assert dead.n_key[0] / free.n_key[0] == pytest.approx(live, rel=1e-6)
