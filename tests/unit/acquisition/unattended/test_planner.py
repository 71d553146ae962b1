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
