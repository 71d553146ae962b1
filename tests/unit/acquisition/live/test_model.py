"""The model of the live view: what rates, error rates and words mean, whatever came and whenever."""

import math

import numpy as np
import pytest

from faintlink.acquisition.live.figures import Figure, clock_time, figures, scaled, shortened
from faintlink.acquisition.live.model import MAX_HISTORY, STALE_S, LiveModel, estimate
from faintlink.acquisition.live.series import MAX_BINS, bin_width_s, course
from faintlink.acquisition.statistics.snapshot import RunFacts, Snapshot
from faintlink.core.errors import SchemaError
from faintlink.core.records import DecoyCounts, ErrorCount
from tests.live_moments import moment


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def filled(*moments: Snapshot, **options: object) -> LiveModel:
    model = LiveModel(**options)  # type: ignore[arg-type]  # the model's own options
    for one in moments:
        model.push(one)
    return model


def figure(model: LiveModel, title: str) -> Figure:
    return next(one for one in figures(model) if one.title.startswith(title))


def test_rates_are_those_of_the_last_second_of_tags_and_not_of_the_run() -> None:
    slow = [moment(at) for at in (1.0, 2.0, 3.0)]
    fast = moment(4.0, clicks={"Z0": 3000 + 9000, "Z1": 6000}, tags=12_000)
    assert filled(*slow, fast).rates_hz() == {"Z0": 9000.0, "Z1": 0.0}


def test_rates_of_two_receivers_go_by_their_own_clocks() -> None:
    one = moment(1.0, clicks={"alice Z0": 100, "bob Z0": 100}, spans_s={"alice Z0": 1.0, "bob Z0": 1.0})
    two = moment(2.0, clicks={"alice Z0": 300, "bob Z0": 200}, spans_s={"alice Z0": 3.0, "bob Z0": 2.0})
    assert filled(one, two).rates_hz() == {"alice Z0": 100.0, "bob Z0": 100.0}


def test_rates_that_a_source_measured_itself_are_taken_as_they_are() -> None:
    assert filled(Snapshot(tags=1, rates_hz={"ch 1": 5.0})).rates_hz() == {"ch 1": 5.0}


def test_the_error_rate_is_that_of_the_last_ten_seconds_or_of_the_run() -> None:
    good = [moment(at) for at in (5.0, 10.0)]
    bad = moment(20.0, counts=DecoyCounts((20_000,), (20_000,), (2200,), (400,)))
    model = filled(*good, bad)
    assert figure(model, "QBER key").text == "20.00 %"
    model.shows_whole_run = True
    assert figure(model, "QBER key").text == "11.00 %"


@pytest.mark.parametrize(("errors", "is_alarm", "is_good"), [(89, False, False), (91, True, False), (60, False, True)])
def test_the_alarm_rises_at_nine_tenths_of_the_limit(errors: int, *, is_alarm: bool, is_good: bool) -> None:
    seen = figure(filled(moment(10.0, errors=errors), max_qber=0.1), "QBER key")
    # 8.9 % of 10 000 bits is below the line, but its band is not.
    assert (seen.is_alarm, seen.is_good) == (is_alarm, is_good)


def test_the_limit_is_the_links_unless_told_otherwise() -> None:
    one = moment(1.0, facts=RunFacts(max_qber=0.07))
    assert filled(one).max_qber == 0.07
    assert filled(one, max_qber=0.05).max_qber == 0.05


def test_the_band_is_that_of_clopper_and_pearson() -> None:
    # Biometrika 26, 404 (1934): none of 10 at 95 % reaches up to 1 - 0.025^(1/10).
    seen = estimate(ErrorCount(10, 0))
    assert seen is not None
    assert (seen.low, seen.high) == pytest.approx((0.0, 1.0 - 0.025**0.1))
    assert estimate(ErrorCount()) is None


def test_figures_that_nothing_new_came_for_are_called_stale() -> None:
    clock = Watch()
    model = filled(moment(1.0), clock=clock)
    assert model.health().word == "live"
    clock.now_s += STALE_S + 1.0
    model.push(moment(1.0))
    assert model.health().word == "stale"
    assert "4 s" in model.health().text
    model.push(moment(1.1))
    assert model.health().word == "live"


def test_a_publisher_that_says_nothing_is_called_silent() -> None:
    clock = Watch()
    model = filled(moment(1.0), clock=clock)
    clock.now_s += 12.0
    assert model.health() == model.health()
    assert (model.health().word, model.health().is_alarm) == ("silent", True)
    assert "12 s" in model.health().text


def test_a_run_that_is_over_is_sealed_and_never_stale() -> None:
    clock = Watch()
    model = filled(moment(1.0), moment(1.0, phase="sealed"), clock=clock)
    clock.now_s += 3600.0
    assert model.health().word == "sealed"
    assert not model.health().is_alarm


def test_before_anything_came_the_view_waits() -> None:
    assert LiveModel().health().word == "waiting"
    assert filled(Snapshot()).health().text == "waiting for tags"


def test_a_source_that_failed_is_named() -> None:
    model = filled(moment(1.0))
    model.fail(SchemaError("the file is damaged", hint="recover it"))
    assert model.health().text == "stopped: the file is damaged"
    assert model.health().is_alarm


def test_fresh_losses_raise_an_alarm_and_old_ones_stay_in_the_count() -> None:
    lossy = moment(1.0, lost=50, gaps={"buffer full": 1})
    assert figure(filled(moment(0.5), lossy), "Lost").is_alarm
    later = figure(filled(moment(0.5), lossy, moment(8.0, lost=50, gaps={"buffer full": 1})), "Lost")
    assert (later.text.strip(), later.is_alarm, later.is_good) == ("50", True, False)
    assert later.note == "50 lost in 10 s, 1 gap (buffer full)"
    much_later = filled(
        lossy, moment(15.0, lost=50, gaps={"buffer full": 1}), moment(30.0, lost=50, gaps={"buffer full": 1})
    )
    assert not figure(much_later, "Lost").is_alarm


def test_planned_dead_time_raises_no_alarm() -> None:
    assert not figure(filled(moment(1.0), moment(2.0, gaps={"planned dead time": 3})), "Lost").is_alarm


def test_a_lost_clock_raises_an_alarm_with_the_reason() -> None:
    seen = figure(filled(moment(1.0, clock_ppm=None, state="no error rates: the clock was lost")), "Clock")
    assert seen.is_alarm
    assert seen.note.startswith("no error rates")


def test_an_empty_key_store_raises_an_alarm_and_an_unwatched_one_does_not() -> None:
    assert figure(filled(moment(1.0, pool_bits=0)), "Key pool").is_alarm
    assert not figure(filled(moment(1.0)), "Key pool").is_alarm
    assert figure(filled(moment(1.0, pool_bits=25_600)), "Key pool").text == "25.6 kbit"


def test_the_drift_is_the_slope_of_the_frequency() -> None:
    model = filled(*(moment(at, clock_ppm=2.0 + 0.003 * at) for at in np.arange(1.0, 8.0).tolist()))
    assert model.drift_ppb_per_s() == pytest.approx(3.0)
    assert filled(moment(1.0)).drift_ppb_per_s() is None


def test_the_arrival_is_told_from_the_middle_of_the_gate() -> None:
    model = filled(moment(1.0, arrival=(10, 1000), facts=RunFacts(gate_ps=(-300.0, 500.0))))
    assert model.arrival_ps() == pytest.approx(0.0)
    assert filled(moment(1.0)).arrival_ps() is None


def test_a_long_history_is_thinned_and_keeps_the_newest_and_what_is_shown() -> None:
    model = LiveModel()
    for second in range(1, MAX_HISTORY + 1):
        model.push(moment(float(second)))
    model.show(1000)
    shown_s = model.current.elapsed_s
    model.push(moment(MAX_HISTORY + 1.0))
    assert len(model.history) <= MAX_HISTORY // 2 + 1
    assert model.history[-1].elapsed_s == MAX_HISTORY + 1
    assert abs(model.current.elapsed_s - shown_s) <= 1.0


def test_the_slider_shows_the_past_until_it_is_let_go() -> None:
    model = filled(*(moment(at) for at in (1.0, 2.0, 3.0)))
    model.show(0)
    model.push(moment(4.0))
    assert (model.current.elapsed_s, model.is_held) == (1.0, True)
    model.show_time(2.5)
    assert model.current.elapsed_s == 2.0
    model.show(None)
    assert (model.current.elapsed_s, model.is_held) == (4.0, False)


def test_holding_keeps_the_moment_whatever_comes() -> None:
    model = filled(moment(1.0))
    model.hold()
    model.push(moment(2.0))
    assert model.current.elapsed_s == 1.0


def test_a_run_that_starts_anew_begins_a_new_history() -> None:
    model = filled(moment(5.0), moment(1.0))
    assert [one.elapsed_s for one in model.history] == [1.0]
    other = filled(moment(1.0, facts=RunFacts(run_id="a")), moment(2.0, facts=RunFacts(run_id="b")))
    assert len(other.history) == 1


def test_the_course_adds_up_to_the_run_and_its_bins_stay() -> None:
    history = [moment(at / 10) for at in range(1, 301)]
    seen = course(history)
    assert seen.key.rate == pytest.approx(0.02, abs=1e-3)
    assert (seen.key.low <= seen.key.rate).all()
    assert (seen.key.rate <= seen.key.high).all()
    longer = course([*history, moment(30.1)])
    assert np.array_equal(longer.key.rate[:50], seen.key.rate[:50])


def test_losses_over_time_are_those_of_their_bin() -> None:
    history = [moment(at / 10, lost=0 if at < 20 else 400) for at in range(1, 41)]
    lost = course(history).lost
    width = bin_width_s(history[-1])
    assert lost.value.sum() * width == pytest.approx(400.0, rel=0.1)
    assert lost.time_s[np.argmax(lost.value)] == pytest.approx(2.0, abs=width)


@pytest.mark.parametrize("span_s", [0.05, 3.0, 77.0, 4000.0, 1e6])
def test_bins_are_round_and_few(span_s: float) -> None:
    width = bin_width_s(moment(span_s))
    assert span_s / width <= MAX_BINS
    assert f"{width:e}"[0] in "125"


def test_no_history_has_an_empty_course() -> None:
    assert course([]).key.time_s.size == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 "),
        (999, "999 "),
        (1234, "1.23 k"),
        (999_600, "1 M"),
        (2.5e7, "25 M"),
        (math.nan, "-"),
        (0.123, "0.123 "),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert scaled(value) == text


def test_times_and_texts_are_short() -> None:
    assert [clock_time(one) for one in (0.0, 61.27, 3661.0)] == ["0:00.0", "1:01.2", "1:01:01"]
    assert shortened("a  b\nc" + "x" * 50, 10) == "a b cxxxx…"
