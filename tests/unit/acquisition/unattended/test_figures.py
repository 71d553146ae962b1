"""Which figures are watched, from where on they are an alarm, and what cures them."""

import pytest

from faintlink.acquisition.unattended.figures import figures_of, watched_of
from faintlink.core.config.loader import load_link
from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.live import LiveSummary
from tests.cold_bench import CONFIGS


def test_alarm_lines_are_those_of_the_policy_and_cures_those_of_the_link() -> None:
    link = load_link(CONFIGS / "polarization_1ghz.link.yaml")
    watched = {one.name: one for one in watched_of(link, ["intensity_bias", "attenuation", "polarization", "arrival"])}
    assert watched["qber_key"].alarm == link.security.max_qber
    assert watched["qber_key"].cures == ("polarization", "intensity_bias", "arrival")
    assert watched["gate_offset_ps"].alarm == link.security.monitors.max_timing_skew_ps
    assert watched["gate_offset_ps"].cures == ("arrival",)
    assert watched["lost_rate"].cures == ("intensity_bias", "attenuation")


def test_figures_are_those_of_the_live_analysis_with_their_uncertainty() -> None:
    live = LiveSummary(qber_key=ErrorCount(10_000, 300), qber_test=ErrorCount(0, 0))
    figures = figures_of(live, first_rate_hz=None, rate_hz=1e6)
    assert set(figures) == {"qber_key"}
    value, sigma = figures["qber_key"]
    assert value == 0.03
    # Binomial: sqrt(0.03 x 0.97 / 10000).
    assert sigma == pytest.approx(1.71e-3, rel=0.02)


def test_the_rate_is_told_as_what_was_lost_since_the_first_run() -> None:
    figures = figures_of(LiveSummary(), first_rate_hz=1e6, rate_hz=4e5)
    assert figures["lost_rate"][0] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("routines", "wandering"),
    [
        (["polarization", "arrival"], {"qber_key", "qber_test"}),
        (["pair_polarization"], {"qber_key", "qber_test"}),
        (["sender_phase", "arrival"], set()),
    ],
)
def test_error_rates_wander_where_a_fibre_turns_polarization(routines: list[str], wandering: set[str]) -> None:
    link = load_link(CONFIGS / "polarization_1ghz.link.yaml")
    assert {one.name for one in watched_of(link, routines) if one.wanders} == wandering
