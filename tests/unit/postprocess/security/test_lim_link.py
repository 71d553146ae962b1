"""The two-decoy link model against the figures in the text of Lim et al. 2014, Sec. IV."""

import pytest

from faintlink.postprocess.security.lim_link import KAPPA, LimLink, optimise_lim


@pytest.fixture(scope="module")
def rates_at_100_km() -> dict[int, float]:
    return {n_x: optimise_lim(LimLink(100.0), n_x).key_rate_per_pulse for n_x in (10**7, 10**9)}


def test_a_hundredfold_block_gains_the_ratio_of_the_text(rates_at_100_km: dict[int, float]) -> None:
    # "about 1.75" in the text.
    assert rates_at_100_km[10**9] / rates_at_100_km[10**7] == pytest.approx(1.75, rel=0.05)


def test_the_rates_at_100_km_are_those_of_the_reference(rates_at_100_km: dict[int, float]) -> None:
    assert rates_at_100_km[10**7] == pytest.approx(4.766e-5, rel=1e-3)
    assert rates_at_100_km[10**9] == pytest.approx(8.537e-5, rel=1e-3)


@pytest.mark.parametrize(("distance_km", "rate"), [(120.0, 7.73e-8), (125.0, 1.68e-8)])
def test_a_block_of_ten_thousand_still_gives_key_beyond_a_hundred_km(distance_km: float, rate: float) -> None:
    assert optimise_lim(LimLink(distance_km), 10**4).key_rate_per_pulse == pytest.approx(rate, rel=5e-3)


def test_the_reach_of_a_block_of_ten_thousand_is_that_of_the_text_within_ten_km() -> None:
    # "up to 135 km" in the text.
    assert optimise_lim(LimLink(125.0), 10**4).result.length > 0
    assert optimise_lim(LimLink(146.0), 10**4).result.length == 0


def test_the_secrecy_parameter_is_kappa_times_the_length() -> None:
    point = optimise_lim(LimLink(50.0), 10**6)
    assert point.inputs.eps_sec == pytest.approx(KAPPA * point.result.length, rel=1e-6)


def test_clicks_and_errors_follow_the_equations_of_the_text() -> None:
    link = LimLink(0.0, detector_efficiency=1.0)
    click, wrong = link.clicks_and_errors(0.0)
    assert click == pytest.approx(1.2e-6 * 1.04, rel=1e-9)
    assert wrong == pytest.approx(6e-7 + 0.04 * 1.2e-6 / 2, rel=1e-9)
