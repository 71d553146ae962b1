"""Decide after each run whether something has to be calibrated before the next one: pure, told figures and times.

A figure that grows towards its alarm line is followed by a straight line. When that line, with its uncertainty,
meets the alarm before a recalibration would be over, the routine that cures the figure is named; also when the figure
has used up most of its margin already, since what bends upwards is ahead of any line. Error rates of polarization
wander instead of drifting: for them the chance that the next run meets the alarm is foretold, too, by `walk`. A cure
that did not help is followed by the next one that may.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faintlink.acquisition.unattended.drift import Line, Point, fit_line
from faintlink.acquisition.unattended.walk import Outlook, outlook

WINDOW = 8
"""Newest runs that the line goes through."""
SIGMAS = 2.0
"""Standard deviations by which a drift, an excess or an alarm must stand out."""
ACT_SHARE = 0.7
"""Share of the way to the alarm line from which a figure is cured whatever its slope."""

CHANCE = 1e-3
"""Of an alarm in the next run, from which a figure that wanders is cured.

A night of 48 runs that stood at this brink all the time would have an alarm in one night of twenty.
"""
RESIDUE = 0.003
"""Standard deviation of the error rate that an alignment leaves; `polarization` passes up to about three of them."""
STEPS = 48
"""Newest steps of a walk that its rate is learned from; it is the fibre's, and no calibration changes it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One monitored figure; greater is worse."""

    name: str
    alarm: float
    """From here on it is an alarm."""
    cures: Sequence[str]
    """Routines that may cure it, the likeliest first."""
    floor: float = 0.0
    """What it is when all is well: the way to the alarm begins here."""
    wanders: bool = False
    """Whether it is an error rate whose angle wanders at random, as that of polarization does."""

    @property
    def act(self) -> float:
        """From here on it is cured whatever its slope."""
        return self.floor + ACT_SHARE * (self.alarm - self.floor)


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do after a run."""

    recalibrate: str = ""
    """A routine; empty for none."""
    why: str = ""
    alarms: Sequence[str] = ()
    """Figures beyond their alarm line, in words."""
    stuck: Sequence[str] = ()
    """Figures that no routine has cured, in words."""


@dataclass(slots=True)
class _Course:
    """What is known of one figure."""

    points: deque[Point] = field(default_factory=lambda: deque(maxlen=WINDOW))
    steps: deque[tuple[Point, Point]] = field(default_factory=lambda: deque(maxlen=STEPS))
    """Neighbours between which nothing was calibrated, and what followed a calibration."""
    aligned: Point | None = None
    """After a calibration: where its first step begins."""
    least: Point | None = None
    """The best that was seen: about what it is when aligned."""
    cure: int = 0
    """Which of its cures is next."""
    was_cured: bool = False
    """Whether a cure was tried since it was last well."""

    def take(self, point: Point) -> None:
        """Take the figure of a run."""
        before = self.points[-1] if self.points else self.aligned
        if before is not None and point.time_s > before.time_s:
            self.steps.append((before, point))
        self.points.append(point)
        if self.least is None or point.value < self.least.value:
            self.least = point


class Planner:
    """Follows the monitored figures of one link.

    Parameters
    ----------
    watched
        The figures.
    lead_s
        How far ahead an alarm must be seen: the time of the next run and of a recalibration.
    """

    def __init__(self, watched: Sequence[Watched], *, lead_s: float) -> None:
        self._watched = {one.name: one for one in watched}
        self._lead_s = lead_s
        self._courses = {one.name: _Course() for one in watched}

    def take(self, time_s: float, figures: Mapping[str, tuple[float, float]]) -> Advice:
        """Take the figures of a run, each with its standard deviation, and say what to do."""
        alarms, stuck, wanted = [], [], []
        for name, (value, sigma) in figures.items():
            if name not in self._watched:
                continue
            one, course = self._watched[name], self._courses[name]
            course.take(Point(time_s, value, max(sigma, 1e-12)))
            if value - SIGMAS * sigma > one.alarm:
                alarms.append(f"{name} is {value:.4g}, alarm from {one.alarm:.4g} on")
            why, urgency = self._why(one, course)
            if not why:
                course.cure, course.was_cured = 0, course.was_cured and value > one.act
                continue
            if course.was_cured:
                course.cure = 0 if value <= one.act or self._may_relapse(one, course) else course.cure + 1
                course.was_cured = False
            if course.cure < len(one.cures):
                wanted.append((urgency, one.cures[course.cure], why))
            else:
                stuck.append(f"{why}, and {', '.join(one.cures) or 'no routine'} did not cure it")
                course.cure = 0
        _, routine, why = min(wanted, default=(0.0, "", ""))
        return Advice(routine, why, alarms, stuck)

    def _why(self, one: Watched, course: _Course) -> tuple[str, float]:
        """Return why a figure has to be cured, and in how many seconds at the latest; empty if it has not to."""
        last = course.points[-1]
        if last.value - SIGMAS * last.sigma > one.act:
            return f"{one.name} is {last.value:.4g}, past {one.act:.4g}", 0.0
        next_s, seen = self._outlook(course, last, one.alarm) if one.wanders else (0.0, None)
        if seen is not None and seen.chance > CHANCE:
            return (
                f"{one.name} is {last.value:.4g} and may pass {one.alarm:.4g} in the next run, with a chance of "
                f"{seen.chance:.2g}: the polarization wanders by {seen.rad2_per_h:.2g} rad^2 an hour",
                next_s,
            )
        line = fit_line(tuple(course.points))
        if line is None or line.slope < SIGMAS * line.slope_sigma:
            return "", 0.0
        left_s = self._left_s(one, line)
        if left_s is None or left_s > self._lead_s:
            return "", 0.0
        return (
            f"{one.name} drifts by {3600 * line.slope:.3g} an hour and meets {one.alarm:.4g} in {left_s:.0f} s",
            left_s,
        )

    def _outlook(self, course: _Course, last: Point, alarm: float) -> tuple[float, Outlook | None]:
        """Return when the next figure comes, and what it may be beyond an alarm line."""
        if not course.steps or course.least is None or course.least.value >= alarm:
            return 0.0, None
        early, late = course.steps[-1]
        next_s = late.time_s - early.time_s
        return next_s, outlook(course.steps, last, aligned=course.least.value, alarm=alarm, ahead_s=next_s)

    def _may_relapse(self, one: Watched, course: _Course) -> bool:
        """Return whether what a calibration had cured may be bad again by the walk of a single run."""
        if not one.wanders or course.least is None:
            return False
        _, seen = self._outlook(course, course.least, one.act)
        return seen is not None and seen.chance > CHANCE

    def _left_s(self, one: Watched, line: Line) -> float | None:
        when_s = line.meets(one.alarm, sigmas=SIGMAS)
        return None if when_s is None else when_s - line.origin_s

    def forecast(self) -> dict[str, float | None]:
        """Return in how many seconds each figure meets its alarm line; None for those that do not drift."""
        found: dict[str, float | None] = {}
        for name, course in self._courses.items():
            line = fit_line(tuple(course.points))
            drifts = line is not None and line.slope > SIGMAS * line.slope_sigma
            found[name] = self._left_s(self._watched[name], line) if line is not None and drifts else None
        return found

    def calibrated(self, routine: str, *, time_s: float | None = None) -> None:
        """Take it that a routine passed, and when: what it cures begins anew."""
        for name, one in self._watched.items():
            if routine in one.cures:
                course = self._courses[name]
                course.was_cured = course.was_cured or (
                    course.cure < len(one.cures) and one.cures[course.cure] == routine
                )
                course.points.clear()
                # Without this step a fibre that is calibrated after each run would never be learned anything of.
                if one.wanders and course.least is not None and time_s is not None:
                    course.aligned = Point(time_s, course.least.value, max(course.least.sigma, RESIDUE))

    def missed(self, routine: str) -> None:
        """Take it that a routine did not pass: the next one is tried where it was meant to cure."""
        for name, one in self._watched.items():
            course = self._courses[name]
            if course.cure < len(one.cures) and one.cures[course.cure] == routine:
                course.cure += 1
