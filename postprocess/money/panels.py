"""Panels of the report of a card: the secure region with the measured point, the branches, and the storage time.

Sources: `faintlink.postprocess.money.security`, `.region`, `.memory`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.records import ErrorCount
from faintlink.postprocess.conjugate.panels import draw_error_rates
from faintlink.postprocess.money.adversaries import expected
from faintlink.postprocess.money.memory import Memory
from faintlink.postprocess.money.parties import Decision
from faintlink.postprocess.money.region import ASYMPTOTIC, answered_at, loss_at, rates
from faintlink.postprocess.money.sdp import has_solver
from faintlink.postprocess.report.style import say_empty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme

_LOSSES = np.linspace(0.0, 0.3, 121)


def panels(
    policy: MoneyPolicy, mean_photons: float, decisions: Sequence[Decision], storage_us: float
) -> "dict[str, Draw]":
    """Return the panels of a card, by caption."""
    first = decisions[0].count if decisions else ErrorCount()
    grid = rates(policy, mean_photons, optimise=has_solver())
    answered = answered_at(_LOSSES, mean_photons)
    ways = math.log(math.comb(policy.branches, 2))
    finite = grid.greatest_error(answered, policy.pairs, math.log(policy.max_eps_clone) - ways)
    endless = grid.greatest_error(answered, ASYMPTOTIC, 0.0)

    def region(axes: "Axes", theme: "Theme") -> None:
        draw_region(axes, theme, finite, endless)
        draw_points(axes, theme, policy, mean_photons, first)

    def branches(axes: "Axes", theme: "Theme") -> None:
        draw_branches(axes, theme, policy, decisions)

    def storage(axes: "Axes", theme: "Theme") -> None:
        draw_storage(axes, theme, policy, first, storage_us)

    return {
        "Secure region: error rate that may be accepted over the loss of line, memory and detectors": region,
        "Branches: error rate that each one counted, beside the limit": branches,
        "Storage: how long this card could have been kept, by the model of the memory": storage,
    }


def draw_region(
    axes: "Axes",
    theme: "Theme",
    finite: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
    endless: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]",
) -> None:
    """Draw the region of a card of so many pairs, and of one without end."""
    losses, top = 100 * _LOSSES, 100 * np.maximum(finite, 0.0)
    axes.fill_between(losses, 0.0, top, color=theme.good, alpha=0.18, linewidth=0)
    axes.plot(losses, top, color=theme.good, label="secure below: this card")
    axes.plot(losses, 100 * np.maximum(endless, 0.0), color=theme.faint, linestyle="--", label="card without end")
    axes.set_xlim(0.0, losses[-1])
    axes.set_ylim(0.0, 8.0)
    axes.set_xlabel("loss (%)")
    axes.set_ylabel("error rate (%)")


def draw_points(axes: "Axes", theme: "Theme", policy: MoneyPolicy, mean_photons: float, count: ErrorCount) -> None:
    """Draw the agreed and the measured point, and what cheaters reach."""
    reached = [expected(mean_photons, share) for share in np.linspace(0.0, 1.0, 41)]
    losses = [100 * loss_at(answered, mean_photons) for answered, _ in reached]
    errors = [100 * error for _, error in reached]
    axes.plot(losses, errors, color=theme.alarm, linestyle=":", label="rehearsed cheaters")
    agreed = 100 * loss_at(policy.min_answered / policy.pairs, mean_photons)
    axes.plot([agreed], [100 * policy.max_error_rate], "s", color=theme.z, label="agreed limits")
    if count.bits:
        measured = 100 * loss_at(count.bits / policy.pairs, mean_photons)
        axes.plot([measured], [100 * count.rate], "o", color=theme.x, label="measured")
    axes.legend()


def draw_branches(axes: "Axes", theme: "Theme", policy: MoneyPolicy, decisions: Sequence[Decision]) -> None:
    """Draw the error rate at each branch."""
    if not decisions:
        say_empty(axes, "no branch decided about an answer", theme)
        return
    judged = [(f"{number}: {one.branch}", one.count, one.is_accepted) for number, one in enumerate(decisions, 1)]
    draw_error_rates(axes, theme, judged, agreed=policy.max_error_rate)


def draw_storage(
    axes: "Axes",
    theme: "Theme",
    policy: MoneyPolicy,
    count: ErrorCount,
    storage_us: float,
) -> None:
    """Draw answers and errors over the storage time, each over its limit, from what was measured at one time."""
    if not count.bits or count.bits == policy.pairs:
        say_empty(axes, "no branch decided about an answer", theme)
        return
    memory, times = Memory(), np.linspace(0.0, max(60.0, 1.5 * storage_us), 121)
    photons = -math.log1p(-count.bits / policy.pairs)
    kept = np.array([memory.transmission(t) for t in times]) / memory.transmission(storage_us)
    contrast = np.array([memory.contrast(t) for t in times]) / memory.contrast(storage_us)
    answers = -np.expm1(-photons * kept) * policy.pairs / policy.min_answered
    errors = (1.0 - (1.0 - 2.0 * count.rate) * contrast) / 2.0 / policy.max_error_rate
    axes.plot(times, answers, color=theme.z, label="answers / fewest")
    axes.plot(times, errors, color=theme.x, linestyle="--", label="errors / most")
    axes.axhline(1.0, color=theme.ink, linestyle=":", label="limit")
    axes.axvline(storage_us, color=theme.good, linewidth=0.8, label="this card")
    axes.set_xlabel("storage time (µs)")
    axes.set_ylabel("of the limit")
    axes.legend()
