"""What is calibrated after which figures."""

from faintlink.acquisition.unattended.planner import Advice, Planner, Watched

STEP_S = 600.0


def planner(*cures: str, lead_s: float = 1800.0) -> Planner:
    return Planner([Watched("qber", 0.11, cures or ("phase", "bias"))], lead_s=lead_s)


def feed(p: Planner, values: list[float], *, sigma: float = 1e-4, start: int = 0) -> list[Advice]:
    return [p.take(STEP_S * (start + k), {"qber": (value, sigma)}) for k, value in enumerate(values)]


def test_a_figure_that_stays_is_left_alone() -> None:
    p = planner()
    assert [advice.recalibrate for advice in feed(p, [0.02] * 30)] == [""] * 30
    assert p.forecast() == {"qber": None}


def test_a_drift_is_cured_before_it_is_an_alarm_and_not_long_before() -> None:
    seen = feed(planner(), [0.02 + 0.005 * k for k in range(18)])
    first = next(k for k, advice in enumerate(seen) if advice.recalibrate)
    # 0.11 is met in the 18th run; three runs ahead is the lead.
    assert 0.077 <= 0.02 + 0.005 * first < 0.11
    assert seen[first].recalibrate == "phase"
    assert not any(advice.alarms for advice in seen[: first + 1])


def test_a_steep_drift_is_seen_by_its_slope() -> None:
    seen = feed(planner(lead_s=4 * STEP_S), [0.01, 0.03, 0.05])
    assert seen[-1].recalibrate == "phase"
    assert "an hour and meets 0.11" in seen[-1].why


def test_noise_is_no_drift() -> None:
    noisy = [0.02, 0.024, 0.021, 0.025, 0.019, 0.023, 0.02, 0.024]
    assert {advice.recalibrate for advice in feed(planner(), noisy, sigma=3e-3)} == {""}


def test_a_figure_beyond_its_line_is_an_alarm_unless_it_may_be_chance() -> None:
    (advice,) = feed(planner(), [0.15])
    assert advice.alarms == ["qber is 0.15, alarm from 0.11 on"]
    (advice,) = feed(planner(), [0.15], sigma=0.05)
    assert not advice.alarms


def test_a_cure_that_did_not_help_is_followed_by_the_next() -> None:
    p = planner()
    assert feed(p, [0.09])[0].recalibrate == "phase"
    p.calibrated("phase")
    assert feed(p, [0.09], start=1)[0].recalibrate == "bias"
    p.calibrated("bias")
    (advice,) = feed(p, [0.09], start=2)
    assert advice.recalibrate == ""
    assert "phase, bias did not cure it" in advice.stuck[0]


def test_a_cure_that_helped_is_the_first_to_be_tried_next_time() -> None:
    p = planner()
    feed(p, [0.09])
    p.calibrated("phase")
    assert [advice.recalibrate for advice in feed(p, [0.02, 0.02, 0.09], start=1)] == ["", "", "phase"]


def test_a_routine_that_did_not_pass_makes_way_for_the_next() -> None:
    p = planner()
    feed(p, [0.09])
    p.missed("phase")
    assert feed(p, [0.09], start=1)[0].recalibrate == "bias"


def test_a_figure_that_no_routine_of_the_link_cures_is_said_to_be_stuck() -> None:
    (advice,) = feed(Planner([Watched("qber", 0.11, ())], lead_s=1.0), [0.1])
    assert "no routine did not cure it" in advice.stuck[0]


def test_the_most_urgent_figure_is_cured_first() -> None:
    p = Planner([Watched("a", 0.11, ("one",)), Watched("b", 0.11, ("two",))], lead_s=1e4)
    for k in range(4):
        advice = p.take(STEP_S * k, {"a": (0.01 + 0.004 * k, 1e-5), "b": (0.01 + 0.02 * k, 1e-5)})
    assert advice.recalibrate == "two"


def test_a_calibration_begins_the_course_of_what_it_cures_anew() -> None:
    p = planner()
    feed(p, [0.02, 0.04, 0.06])
    assert p.forecast()["qber"] is not None
    p.calibrated("phase")
    assert p.forecast() == {"qber": None}


def wandering(lead_s: float = 60.0) -> Planner:
    return Planner([Watched("qber", 0.11, ("polarization", "bias"), wanders=True)], lead_s=lead_s)


WALKED = [0.01, 0.03, 0.012, 0.04, 0.015, 0.05, 0.02, 0.045, 0.013]
"""No slope, and steps that would not be safe beyond it."""


def test_what_wanders_is_cured_where_a_step_may_reach_the_alarm_and_no_line_does() -> None:
    seen = feed(wandering(), [*WALKED, 0.06])
    assert seen[-1].recalibrate == "polarization"
    assert "may pass 0.11 in the next run, with a chance of" in seen[-1].why
    assert "the polarization wanders by" in seen[-1].why
    straight = Planner([Watched("qber", 0.11, ("polarization",))], lead_s=60.0)
    assert {advice.recalibrate for advice in feed(straight, [*WALKED, 0.06])} == {""}


def test_what_wanders_little_is_left_alone() -> None:
    calm = [0.01 + 0.1 * (value - 0.01) for value in WALKED]
    assert {advice.recalibrate for advice in feed(wandering(), [*calm, 0.06, 0.061])[:-2]} == {""}


def test_the_walk_is_the_fibres_and_is_known_after_a_calibration_too() -> None:
    p = wandering()
    feed(p, WALKED)
    p.calibrated("polarization", time_s=STEP_S * len(WALKED))
    (advice,) = feed(p, [0.062], start=len(WALKED) + 1)
    assert advice.recalibrate == "polarization"


def test_a_fibre_that_is_calibrated_after_each_run_is_learned_from_all_the_same() -> None:
    climb = [0.014 + 0.004 * k for k in range(12)]
    restless, calmed, start = wandering(), wandering(), len(WALKED)
    feed(restless, WALKED)
    assert "polarization" in {advice.recalibrate for advice in feed(restless, climb, start=start)}
    feed(calmed, WALKED)
    for run in range(start, start + 60):
        calmed.calibrated("polarization", time_s=STEP_S * (run - 1))
        feed(calmed, [0.0101], start=run)
    assert {advice.recalibrate for advice in feed(calmed, climb, start=start + 60)} == {""}


def test_a_step_as_wide_as_the_walks_after_a_cure_is_no_cure_that_failed() -> None:
    p = wandering()
    feed(p, [0.01, 0.06, 0.012, 0.065, 0.015, 0.07, 0.02])
    p.calibrated("polarization", time_s=STEP_S * 7)
    (advice,) = feed(p, [0.085], start=8)
    assert advice.recalibrate == "polarization"


def test_a_cure_that_did_not_help_a_fibre_at_rest_is_followed_by_the_next() -> None:
    p = wandering()
    feed(p, [0.01, 0.0101, 0.0099, 0.01, 0.0101, 0.09])
    p.calibrated("polarization", time_s=STEP_S * 6)
    (advice,) = feed(p, [0.09], start=7)
    assert advice.recalibrate in ("polarization", "bias")
