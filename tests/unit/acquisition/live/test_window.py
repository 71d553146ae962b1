"""The window draws what the model says, in either colours, and its keys do what they are said to do."""

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faintlink.acquisition.live.controls import KEYS, Controls
from faintlink.acquisition.live.courses import LossPanel, QberPanel
from faintlink.acquisition.live.feeds import Feed
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.plots import ArrivalPanel, RatesPanel
from faintlink.acquisition.live.series import course
from faintlink.acquisition.live.toolkit import Toolkit, require_window
from faintlink.acquisition.live.window import LAYOUT, LiveWindow
from faintlink.acquisition.statistics.snapshot import BINS, RunFacts, Snapshot
from faintlink.core.errors import FaintlinkError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.report.style import DARK, LIGHT
from tests.live_moments import moment

FACTS = RunFacts(
    run_id="r",
    link="demo",
    max_qber=0.1,
    intensities=(0.5, 0.15),
    axis="time after the pulse",
    first_ps=-625.0,
    bin_ps=10.0,
    gate_ps=(-200.0, 300.0),
    events=("12:00:00 armed",),
    calibrations=("2026-01-01 arrival passed",),
)


def rich_moment(at_s: float, **changes: Any) -> Snapshot:
    bits = round(500 * at_s)
    usual: dict[str, Any] = {
        "counts": DecoyCounts((bits, bits), (bits, bits), (bits // 50,) * 2, (bits // 50,) * 2),
        "matrix": (98, 2, 2, 98, 97, 3, 3, 97),
        "histogram": np.tile(np.arange(BINS), (4, 1)),
        "arrival": (100, 7000),
        "key_rate_bps": 12_000.0,
        "facts": FACTS,
    }
    return moment(at_s, **{**usual, **changes})


@dataclass
class Shown:
    """A window with everything around it."""

    window: LiveWindow
    controls: Controls
    model: LiveModel
    feed: Feed
    folder: Path
    press: Callable[[str], None]
    qtbot: Any

    def colour_at(self, x: int, y: int) -> str:
        # What is laid out anew is drawn after the next turn of the event loop.
        self.qtbot.wait(1)
        return str(self.window.widget.grab().toImage().pixelColor(x, y).name())

    def message(self) -> str:
        return str(self.window._message.text())


@pytest.fixture
def shown(kit: Toolkit, qtbot: Any, tmp_path: Path) -> Shown:
    model, feed = LiveModel(), Feed()
    for at in range(1, 31):
        model.push(rich_moment(at / 10))
    window = LiveWindow(feed, model, kit, scale=0.5)
    controls = Controls(window, model, kit, save_to=tmp_path)
    qtbot.addWidget(window.widget)
    window.widget.resize(960, 540)
    window.widget.show()
    kit.widgets.QApplication.processEvents()

    def press(key: str) -> None:
        qtbot.keyClick(window.widget, getattr(kit.core.Qt.Key, f"Key_{key}"))

    return Shown(window, controls, model, feed, tmp_path, press, qtbot)


def panel(shown: Shown, kind: type[Any]) -> Any:
    return next(one for one in shown.window.panels if isinstance(one, kind))


def test_the_error_rates_are_drawn_with_their_band_and_both_limits(shown: Shown) -> None:
    qber = panel(shown, QberPanel)
    expected = course(shown.model.history).key
    for curve, values in zip(qber._curves["key"], (expected.rate, expected.low, expected.high), strict=True):
        assert np.allclose(curve.getData()[1], 100 * values)
    assert (qber._abort.value(), qber._alarm.value()) == (10.0, 9.0)
    assert [word.format for word in qber._words] == ["abort 10.0 %", "alarm 9.0 %"]
    low, high = qber.plot.getViewBox().viewRange()[1]
    assert low <= 0.0 < 10.0 < high


def test_the_gate_lies_over_the_arrivals(shown: Shown) -> None:
    arrival = panel(shown, ArrivalPanel)
    assert arrival._gate.getRegion() == FACTS.gate_ps
    edges, counts = arrival._curves[2].getData()
    assert (edges[0], edges[-1]) == (-625.0, 625.0)
    assert np.array_equal(counts, shown.model.recent().histogram[2])


def test_every_detector_has_a_bar_with_its_rate(shown: Shown) -> None:
    rates = panel(shown, RatesPanel)
    assert np.allclose(rates._bars.opts["height"], [1000.0, 2000.0], rtol=0.01)
    assert [text.toPlainText() for text in rates._texts[:2]] == ["1 k", "2 k"]


def test_every_panel_has_a_table_of_what_it_shows(shown: Shown) -> None:
    scene = shown.window.scene()
    tables = {one.name: one.table(scene) for one in shown.window.panels}
    assert len(tables) == len(LAYOUT)
    assert all(rows and all(len(row) == len(head) for row in rows) for head, rows in tables.values())
    assert tables["matrix"][1][:2] == [("Z", 0, 0, 98), ("Z", 0, 1, 2)]
    assert tables["intensities"][1][0][0] == 0.5
    assert tables["events"][1] == [("12:00:00 armed",)]


def test_what_comes_is_drawn_in_the_next_frame_and_nothing_without_need(shown: Shown) -> None:
    shown.window.refresh()
    frames = shown.window.frames
    shown.window.refresh()
    assert shown.window.frames == frames
    shown.feed.put(rich_moment(4.0, clicks={"Z0": 3000 + 5000, "Z1": 6000}))
    shown.window.refresh()
    assert shown.window.frames == frames + 1
    assert panel(shown, RatesPanel)._bars.opts["height"][0] == 5000.0


def test_panels_over_time_take_turns_and_all_get_theirs(shown: Shown) -> None:
    seen = {one for _ in range(len(LAYOUT)) for one in shown.window._due()}
    assert seen == set(shown.window.panels)
    assert len(shown.window._due()) < len(LAYOUT) / 2


def test_an_alarm_fills_its_tile(shown: Shown) -> None:
    assert shown.colour_at(200, 45) == LIGHT.paper
    bad = DecoyCounts((9000, 9000), (9000, 9000), (4000, 4000), (100, 100))
    shown.feed.put(rich_moment(5.0, counts=bad))
    shown.window.refresh()
    assert shown.colour_at(200, 45) == LIGHT.alarm


def test_a_source_that_fails_is_shown_in_the_window(shown: Shown) -> None:
    shown.feed.error = RuntimeError("gone")
    shown.window.refresh()
    assert shown.window._tiles[-1]._note.text().startswith("stopped: RuntimeError")


def test_key_t_changes_the_colours_and_everything_stays(shown: Shown) -> None:
    shown.press("2")
    shown.press("T")
    assert shown.colour_at(500, 300) == DARK.paper
    assert isinstance(shown.window.large, RatesPanel)
    shown.press("T")
    assert shown.colour_at(500, 300) == LIGHT.paper


def test_a_number_enlarges_a_panel_and_escape_shows_all(shown: Shown) -> None:
    shown.press("1")
    assert [one.widget.isVisible() for one in shown.window.panels] == [False] * len(LAYOUT)
    large = shown.window.shown(shown.window.large)
    assert isinstance(large, QberPanel)
    assert large.look.scale > 0.8
    shown.press("Escape")
    assert all(one.widget.isVisible() for one in shown.window.panels)


def test_key_p_saves_the_window_and_key_p_on_a_panel_saves_that(shown: Shown, kit: Toolkit) -> None:
    shown.press("P")
    shown.press("3")
    shown.press("P")
    files = sorted(shown.folder.glob("*.png"), key=lambda path: path.name.endswith("live.png"))
    assert [path.name.partition("-")[2] for path in files] == ["demo-arrival.png", "demo-live.png"]
    sizes = [kit.gui.QImage(str(path)).size() for path in files]
    assert sizes[1].width() == 960
    assert sizes[0].height() < sizes[1].height()
    assert shown.message().startswith("saved")


def test_key_c_saves_the_history_and_a_panels_table(shown: Shown) -> None:
    shown.press("C")
    shown.press("2")
    shown.press("C")
    files = shown.folder.glob("*.csv")
    tables = {path.stem.partition("-")[2]: list(csv.reader(path.read_text().splitlines())) for path in files}
    assert tables["demo-rates"][0] == ["detector", "rate_hz"]
    assert len(tables["demo-live"]) == len(shown.model.history) + 1
    row = dict(zip(tables["demo-live"][0], tables["demo-live"][-1], strict=True))
    assert (row["tags"], row["key_bits"], row["Z1"]) == ("3000", "3000", "6000")


def test_nothing_is_saved_over(shown: Shown) -> None:
    for _ in range(3):
        shown.controls.save_table(None)
    assert len(list(shown.folder.glob("*.csv"))) == 3


def test_a_folder_that_cannot_be_written_is_said_and_the_view_goes_on(shown: Shown) -> None:
    (shown.folder / "file").touch()
    shown.controls._save_to = shown.folder / "file" / "below"
    shown.press("P")
    assert "cannot write" in shown.message()


def test_a_name_from_a_publisher_leads_to_no_other_folder_and_is_no_markup(shown: Shown) -> None:
    facts = replace(FACTS, link="../../<b>x</b>")
    shown.feed.put(rich_moment(4.0, facts=facts, gaps={"<i>cause</i>": 1}))
    for _ in range(len(LAYOUT)):
        shown.window.refresh()
        shown.feed.put(rich_moment(4.0, facts=facts, gaps={"<i>cause</i>": 1}))
    shown.press("C")
    assert [path.parent for path in shown.folder.rglob("*.csv")] == [shown.folder]
    assert "<i>cause</i>" in panel(shown, LossPanel).plot.titleLabel.item.toPlainText()


def test_space_holds_a_live_view_and_lets_it_go(shown: Shown) -> None:
    shown.press("Space")
    shown.feed.put(rich_moment(4.0))
    shown.window.refresh()
    assert shown.model.current.elapsed_s == 3.0
    shown.press("Space")
    assert shown.model.current.elapsed_s == 4.0


def test_arrows_and_the_slider_move_through_the_run(shown: Shown) -> None:
    shown.press("Left")
    assert shown.model.current.elapsed_s == pytest.approx(2.0)
    assert shown.window._slider.value() == 19
    shown.window._slider.setValue(4)
    assert shown.model.current.elapsed_s == 0.5
    shown.press("End")
    assert not shown.model.is_held
    shown.press("Home")
    assert shown.model.index == 0


def test_a_replay_is_played_from_its_start_to_its_end(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr("faintlink.acquisition.live.controls.time.monotonic", lambda: now[0])
    shown.model.is_replay = True
    shown.press("Space")
    assert shown.model.index == 0
    now[0] += 1.0
    shown.window.refresh()
    assert shown.model.current.elapsed_s == pytest.approx(1.1)
    now[0] += 60.0
    shown.window.refresh()
    assert not shown.model.is_held


def test_key_a_shows_the_whole_run(shown: Shown) -> None:
    shown.press("A")
    assert shown.model.shows_whole_run
    assert "whole run" in shown.message()
    shown.press("A")
    assert shown.message() == KEYS


def test_a_menu_of_a_panel_offers_to_save_and_to_enlarge(shown: Shown, kit: Toolkit) -> None:
    arrival = panel(shown, ArrivalPanel)
    shown.controls._open_menu(arrival, kit.core.QPoint(5, 5))
    menu = arrival.widget.findChildren(kit.widgets.QMenu)[-1]
    actions = {action.text(): action for action in menu.actions()}
    actions["Save table (CSV)"].trigger()
    actions["Enlarge"].trigger()
    menu.close()
    assert list(shown.folder.glob("*-demo-arrival.csv"))
    assert shown.window.large is arrival


def test_without_a_display_the_text_view_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(FaintlinkError, match="no display") as caught:
        require_window()
    assert "--text" in caught.value.hint


def test_without_the_libraries_the_text_view_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "pyqtgraph", None)
    with pytest.raises(FaintlinkError, match="cannot be shown") as caught:
        require_window()
    assert "faintlink[live]" in caught.value.hint
    assert "--text" in caught.value.hint


def test_a_window_that_draws_for_hours_uses_up_no_singleton(shown: Shown) -> None:
    before = [sys.getrefcount(one) for one in (None, True, False)]
    for _ in range(20):
        shown.window.redraw()
    # On Python 3.11 each frame takes some references away; there must be enough for 10^12 of them.
    assert min(before) > 2**31
    assert min(sys.getrefcount(one) for one in (None, True, False)) > 2**31
