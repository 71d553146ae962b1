"""Panels of the report of a blind computation: angles sent, tests, results, times, and what the threshold is worth.

Sources: `faintlink.postprocess.bqc.security`.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.postprocess.bqc.graph import STEPS
from faintlink.postprocess.bqc.security import greatest_threshold, rejection_rate, soundness
from faintlink.postprocess.report.style import legend_above

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.bqc.session import Judged
    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme

_CURVE_ROUNDS = 2000
"""Above it the curve over thresholds would take longer than the session."""


def panels(policy: BqcPolicy, judged: "Judged") -> "dict[str, Draw]":
    """Return the panels of a session, by caption."""

    def angles(axes: "Axes", theme: "Theme") -> None:
        draw_angles(axes, theme, judged)

    def tests(axes: "Axes", theme: "Theme") -> None:
        draw_tests(axes, theme, policy, judged)

    def results(axes: "Axes", theme: "Theme") -> None:
        draw_results(axes, theme, policy, judged)

    def times(axes: "Axes", theme: "Theme") -> None:
        draw_times(axes, theme, policy, judged)

    def threshold(axes: "Axes", theme: "Theme") -> None:
        draw_threshold(axes, theme, policy, judged)

    found: dict[str, Draw] = {
        "Angles sent: shares of the eight angles for each vertex, which tell the server nothing if even": angles,
        "Tests: failed test rounds, their limit, and what the expected server would show": tests,
        "Results: computation rounds by result, and the majority that is needed": results,
        "Times: from an angle's arrival to its outcome; tags outside the window do not count": times,
    }
    if policy.rounds <= _CURVE_ROUNDS:
        found["Threshold: soundness and rejection over the number of failed tests that is allowed"] = threshold
    return found


def draw_angles(axes: "Axes", theme: "Theme", judged: "Judged") -> None:
    """Draw the shares of the angles, a row of points a vertex, with the band of three standard deviations."""
    counts = judged.judgement.angle_counts
    total = max(1, int(counts[0].sum()))
    sigma = np.sqrt((1 / STEPS) * (1 - 1 / STEPS) / total)
    axes.axhspan(100 * (1 / STEPS - 3 * sigma), 100 * (1 / STEPS + 3 * sigma), color=theme.shade, label="3 sigma")
    shift = np.linspace(-0.25, 0.25, len(counts))
    for vertex, row in enumerate(counts):
        color = theme.outcomes[vertex % 4]
        x = np.arange(STEPS) + shift[vertex]
        axes.plot(x, 100 * row / total, "os^Dv"[vertex % 5], color=color, markersize=5, label=f"vertex {vertex}")
    axes.set_xlabel("angle sent (steps of 45 degrees)")
    axes.set_ylabel("share (%)")
    legend_above(axes, 4)


def draw_tests(axes: "Axes", theme: "Theme", policy: BqcPolicy, judged: "Judged") -> None:
    """Draw the failed tests on the distribution of the expected server."""
    t, q, w = policy.test_rounds, policy.expected_failure, policy.max_failed_tests
    failed = judged.judgement.failed_tests
    top = max(2 * w, failed, round(t * q + 5 * np.sqrt(t * q))) + 2
    x = np.arange(min(t, top) + 1)
    tail = np.array([1.0, *(rejection_rate(t, q, int(at)) for at in x)])
    axes.fill_between(x, -np.diff(tail), step="mid", color=theme.z_pale, alpha=0.6, label=f"expected, q = {q:g}")
    axes.axvline(w + 0.5, color=theme.alarm, linestyle="--", label=f"limit w = {w}")
    colour = theme.good if failed <= w else theme.alarm
    axes.axvline(failed, color=colour, linewidth=2.5, label=f"failed: {failed}")
    axes.set_xlabel(f"failed test rounds of {t}")
    axes.set_ylabel("probability")
    axes.legend()


def draw_results(axes: "Axes", theme: "Theme", policy: BqcPolicy, judged: "Judged") -> None:
    """Draw how many computation rounds gave each result."""
    found = judged.judgement
    names = sorted(found.results)
    colours = [theme.good if name == found.majority else theme.z_pale for name in names]
    axes.bar(names, [found.results[name] for name in names], color=colours)
    axes.axhline(policy.computation_rounds / 2, color=theme.x, linestyle="--", label="majority")
    axes.set_xlabel("result")
    axes.set_ylabel("computation rounds")
    axes.legend()


def draw_times(axes: "Axes", theme: "Theme", policy: BqcPolicy, judged: "Judged") -> None:
    """Draw the delays of the outcomes that count, with their window."""
    seen, window = judged.seen, policy.outcome_window
    delay_ns = (seen.outcome_ps - seen.trigger_ps)[seen.outcome_ps >= 0] * 1e-3
    axes.axvspan(window.start_ps * 1e-3, window.end_ps * 1e-3, color=theme.shade, label="window")
    axes.hist(delay_ns, bins=80, color=theme.z)
    axes.set_yscale("log")
    axes.set_xlabel("time after the angle arrived (ns)")
    axes.set_ylabel("outcomes")
    axes.legend()


def draw_threshold(axes: "Axes", theme: "Theme", policy: BqcPolicy, judged: "Judged") -> None:
    """Draw the errors over the threshold w, up to its limit."""
    d, t, p = policy.computation_rounds, policy.test_rounds, Fraction(repr(policy.inherent_error))
    catch = judged.certificate.catch
    most = max(1, greatest_threshold(t, catch, p))
    points = np.unique(np.linspace(0, most, 24 if policy.rounds <= 500 else 8).astype(int)).tolist()
    sound = [max(soundness(d, t, catch, p, w), 1e-30) for w in points]
    reject = [max(rejection_rate(t, policy.expected_failure, w), 1e-30) for w in points]
    axes.semilogy(points, sound, color=theme.z, label="wrong result accepted")
    axes.semilogy(
        points, reject, color=theme.x, linestyle="--", label=f"expected server refused, q = {policy.expected_failure:g}"
    )
    axes.axvline(policy.max_failed_tests, color=theme.faint, linestyle=":", label="chosen")
    axes.set_xlabel("allowed failed tests w")
    axes.set_ylabel("probability")
    axes.legend()
