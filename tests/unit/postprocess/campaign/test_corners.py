"""Key lengths for intensities that are known to an interval only."""

import numpy as np
import pytest

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.campaign.corners import at_worst, box, with_uncertainty
from faintlink.postprocess.campaign.variant import varied
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.inputs import BoundInput
from tests.campaigns import decoy_link
from tests.pulses import small_link

GIVEN = BoundInput(
    counts=DecoyCounts((8875913, 1124087), (165048, 20902), (185856, 26055), (3456, 484)),
    intensities=(0.51, 0.15),
    probabilities=(0.7, 0.3),
    leak_ec=1776924,
    eps_sec=1e-9,
    eps_cor=1e-15,
)
"""The counts of the help text of `faintlink bound`."""
RUSCA = registry.get("rusca2018")


def test_the_box_of_two_intensities_has_corners_middles_and_centre() -> None:
    assert len(box((0.5, 0.1), 0.1)) == 9
    assert (0.5, 0.1) in box((0.5, 0.1), 0.1)


def test_an_intensity_of_zero_stays_zero() -> None:
    assert {point[1] for point in box((0.5, 0.0), 0.1)} == {0.0}


def test_the_key_is_the_shortest_of_the_box() -> None:
    worst = at_worst(RUSCA, 0.02, name="worst").evaluate(GIVEN)
    nominal = RUSCA.evaluate(GIVEN)
    assert 0 < worst.length < nominal.length


def test_no_random_point_of_the_box_gives_a_shorter_key() -> None:
    worst = at_worst(RUSCA, 0.02, name="worst").evaluate(GIVEN).length
    rng = np.random.default_rng(7)
    for signal, decoy in 1.0 + 0.02 * rng.uniform(-1.0, 1.0, (40, 2)):
        point = BoundInput(
            counts=GIVEN.counts,
            intensities=(0.51 * signal, 0.15 * decoy),
            probabilities=GIVEN.probabilities,
            leak_ec=GIVEN.leak_ec,
            eps_sec=GIVEN.eps_sec,
            eps_cor=GIVEN.eps_cor,
        )
        assert RUSCA.evaluate(point).length >= worst


def test_more_uncertainty_never_gives_more_key() -> None:
    lengths = [at_worst(RUSCA, relative, name="worst").evaluate(GIVEN).length for relative in (0.0, 0.01, 0.03, 0.1)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == RUSCA.evaluate(GIVEN).length


def test_the_result_names_the_uncertainty_among_its_assumptions() -> None:
    worst = at_worst(RUSCA, 0.02, name="rusca2018-mu0.02")
    assert worst.evaluate(GIVEN).bound == "rusca2018-mu0.02"
    assert "2.000%" in worst.evaluate(GIVEN).assumptions[-1]
    assert worst.assumptions[:-1] == RUSCA.assumptions


def test_a_link_with_uncertainty_names_a_bound_that_is_registered() -> None:
    link = with_uncertainty(decoy_link(), 0.03)
    assert link.security.bound == "rusca2018-mu0.03"
    assert registry.get(link.security.bound).kind is RUSCA.kind
    assert with_uncertainty(decoy_link(), 0.03) == link


def test_no_uncertainty_leaves_the_link_as_it_is() -> None:
    assert with_uncertainty(small_link(), 0.0) == small_link()


def test_the_uncertainty_shows_as_a_change_of_the_bound() -> None:
    _, changes = varied(decoy_link(), {"gate.half_width_ps": 300}, 0.04)
    assert [change.name for change in changes] == ["gate.half_width_ps", "security.bound"]
    assert changes[-1].was == "rusca2018"


def test_a_link_without_intensities_refuses_an_uncertainty() -> None:
    with pytest.raises(ConfigError, match="reads no intensities"):
        with_uncertainty(small_link(), 0.05)


def test_intervals_that_overlap_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be told apart"):
        with_uncertainty(decoy_link(), 0.6)


@pytest.mark.parametrize("relative", [-0.1, 1.0, float("nan")])
def test_an_uncertainty_outside_zero_to_one_is_refused(relative: float) -> None:
    with pytest.raises(ConfigError, match=r"must lie in 0\.\.1"):
        with_uncertainty(decoy_link(), relative)
