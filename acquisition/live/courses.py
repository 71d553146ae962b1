"""The panels over time: error rates with band and limits, key rate, losses, clock frequency, arrival."""

from collections.abc import Sequence
from typing import ClassVar

from faintlink.acquisition.live.figures import scaled
from faintlink.acquisition.live.model import ALARM, LiveModel
from faintlink.acquisition.live.panels import PlotPanel, Row, Scene, span
from faintlink.acquisition.live.series import Course, Curve
from faintlink.acquisition.live.toolkit import Look


class QberPanel(PlotPanel):
    """Error rate of either basis with its band, the alarm line and the abort line."""

    name = "qber"
    title = "QBER with 95 % band"
    left = "%"
    bottom = "time, s"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        pg, theme = look.kit.pg, look.theme
        self._curves = {}
        names = [
            f"<span style='color:{colour}'>{name}</span>" for name, colour in (("key", theme.z), ("test", theme.x))
        ]
        self.say_markup(f"QBER of {names[0]} and {names[1]} basis, 95 % band")
        for name, colour in (("test", theme.x), ("key", theme.z)):
            low, high = self.curve(colour, 0.8), self.curve(colour, 0.8)
            self.plot.addItem(pg.FillBetweenItem(low, high, brush=look.brush(colour, 0.25)))
            self._curves[name] = (self.curve(colour, 4.0), low, high)
        self._abort = self.line(theme.alarm)
        self._alarm = self.line(theme.alarm, is_dashed=True)
        self._cursor = self.line(theme.faint, angle=90.0)
        # The word of the upper line stands above it, that of the lower one below, so that the two never touch.
        self._words = [
            pg.InfLineLabel(
                line,
                "",
                position=0.98,
                anchors=[(1.0, side), (1.0, side)],
                color=theme.alarm,
                fill=look.brush(theme.paper, 0.8),
            )
            for line, side in ((self._abort, 1.0), (self._alarm, 0.0))
        ]
        for word in self._words:
            word.setFont(look.font(17.0, is_bold=True))

    def draw(self, scene: Scene) -> None:
        """Draw both bases and the limits."""
        abort = 100 * scene.model.max_qber
        top = 1.25 * abort
        for name, band in (("key", scene.course.key), ("test", scene.course.test)):
            for curve, values in zip(self._curves[name], (band.rate, band.low, band.high), strict=True):
                curve.setData(band.time_s, 100 * values)
            top = max(top, 110 * float(band.rate.max(initial=0.0)))
        self.show_run(scene.model)
        self.plot.setYRange(0.0, min(top, 100.0), padding=0.0)
        lines = zip((self._abort, self._alarm), self._words, (abort, ALARM * abort), ("abort", "alarm"), strict=True)
        for line, word, place, name in lines:
            line.setValue(place)
            word.setFormat(f"{name} {place:.1f} %")
        self._cursor.setVisible(scene.model.is_held)
        self._cursor.setValue(scene.model.current.elapsed_s)

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return both bases by bin."""
        key, test = scene.course.key, scene.course.test
        columns = (key.time_s, key.rate, key.low, key.high, test.rate, test.low, test.high)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        return ("time_s", "key", "key_low", "key_high", "test", "test_low", "test_high"), rows


class CoursePanel(PlotPanel):
    """One value over time."""

    bottom = "time, s"
    part: ClassVar[str]
    """Which curve of a `Course` it is."""
    column: ClassVar[str]
    """Its name in a table."""
    colour: ClassVar[str] = "z"
    """Which of the theme's colours it has."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self._line = self.curve(getattr(look.theme, self.colour), 3.0)
        self._cursor = self.line(look.theme.faint, angle=90.0)

    def chosen(self, course: Course) -> Curve:
        """Return what is shown."""
        curve: Curve = getattr(course, self.part)
        return curve

    def show(self, model: LiveModel, curve: Curve, *, factor: float = 1.0, least: float = 0.0) -> None:
        """Draw a curve times ``factor`` on an axis of at least ``least``."""
        self._line.setData(curve.time_s, factor * curve.value)
        if curve.value.size:
            self.plot.setYRange(*span((factor * curve.value).tolist(), least=least), padding=0.0)
        self.show_run(model)
        self._cursor.setVisible(model.is_held)
        self._cursor.setValue(model.current.elapsed_s)

    def table(self, scene: Scene) -> tuple[Row, Sequence[Row]]:
        """Return the curve."""
        curve = self.chosen(scene.course)
        return ("time_s", self.column), list(zip(curve.time_s.tolist(), curve.value.tolist(), strict=True))


class KeyPanel(CoursePanel):
    """Forecast of the key rate."""

    name = "key-rate"
    part = "key_rate_bps"
    colour = "good"
    title = "Key rate, forecast"
    left = "kbit/s"
    column = "key_rate_bps"

    def draw(self, scene: Scene) -> None:
        """Draw the forecast, from zero on, and name the key pool."""
        curve = scene.course.key_rate_bps
        self.show(scene.model, curve, factor=1e-3)
        if curve.value.size:
            self.plot.setYRange(0.0, 1.15e-3 * float(curve.value.max()) or 1.0, padding=0.0)
        pool = scene.model.current.pool_bits
        self.say("Key rate, forecast" if pool is None else f"Key rate, pool {scaled(pool)}bit")


class LossPanel(CoursePanel):
    """Tags that are known to be missing."""

    name = "losses"
    part = "lost"
    colour = "alarm"
    title = "Lost tags"
    left = "1/s"
    column = "lost_per_s"

    def draw(self, scene: Scene) -> None:
        """Draw losses per second, and name their causes."""
        self.show(scene.model, scene.course.lost)
        top = float(scene.course.lost.value.max(initial=0.0))
        self.plot.setYRange(0.0, 1.15 * top or 1.0, padding=0.0)
        gaps = scene.model.current.gaps
        causes = ", ".join(f"{count} × {cause}" for cause, count in gaps.items())
        self.say(f"Lost tags: {scaled(scene.model.current.lost).strip()}" + (f" ({causes})" if causes else ""))


class ClockPanel(CoursePanel):
    """Frequency of the sender's clock, or of the other receiver's."""

    name = "clock"
    part = "clock_ppm"
    title = "Clock frequency"
    left = "ppm"
    column = "clock_ppm"

    def draw(self, scene: Scene) -> None:
        """Draw the frequency, and name the drift."""
        self.show(scene.model, scene.course.clock_ppm, least=0.002)
        drift = scene.model.drift_ppb_per_s()
        self.say("Clock frequency" if drift is None else f"Clock, drift {round(drift, 2) + 0.0:+.2f} ppb/s")


class OffsetPanel(CoursePanel):
    """Mean arrival within the gate: what is left of the clocks' offset once they are followed."""

    name = "offset"
    part = "arrival_ps"
    title = "Clock offset"
    left = "ps"
    column = "mean_arrival_ps"

    def draw(self, scene: Scene) -> None:
        """Draw the mean arrival, and name the last one's distance from the gate's middle."""
        self.show(scene.model, scene.course.arrival_ps, least=20.0)
        offset = scene.model.arrival_ps()
        self.say("Clock offset" if offset is None else f"Clock offset {round(offset, 1) + 0.0:+.1f} ps from gate")
