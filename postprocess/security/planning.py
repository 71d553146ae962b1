"""The settings of a link that give the most key, for any registered bound: the arithmetic behind `faintlink plan`.

Each bound has a `Recipe`: what may be chosen, what counts are then expected, and the length in plain floats. The
optimum is evaluated once more by the registered bound from whole counts; that length is the one reported. Planning
never reads observed counts and never makes key.

Sources
-------
Those of the bounds and of the models in `decoy` and `pair_model`.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security import asymptotic, lim2014, registry, rusca2018, tomamichel2012, tupkary2024
from faintlink.postprocess.security.bound import BoundKind
from faintlink.postprocess.security.decoy import (
    LinkModel,
    climbable_rate,
    expected_per_pulse,
    maximise,
    scaled,
    whole_counts,
)
from faintlink.postprocess.security.detectors import Mismatch
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.lim_link import WEAKEST
from faintlink.postprocess.security.pair_model import expected_pairs
from faintlink.postprocess.security.result import BoundResult
from faintlink.postprocess.security.rounding import FLOATS

Point = Sequence[float]
"""One value for each thing that may be chosen."""
BLOCKS_S: Final = (1.0, 10.0, 60.0, 600.0, 3600.0)
"""Lengths of a block to choose from, in seconds."""
INFINITE_S: Final = 1e9
"""Stands for an infinite block, so that whole counts lose nothing."""
ENOUGH: Final = 0.9
"""The shortest block that reaches this share of the best rate is chosen: waiting longer gains little."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a key must satisfy."""

    eps_sec: float = 1e-9
    """Secrecy parameter of a block."""
    eps_cor: float = 1e-15
    """Correctness parameter of a block."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Options of the bound."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to plan for one bound."""

    choices: tuple[str, ...]
    """Names of what may be chosen, first the probability of the key basis."""
    limits: tuple[tuple[float, float], ...]
    """Least and greatest value of each."""
    grid: tuple[tuple[float, ...], ...]
    """Values of each from which the search starts."""
    per_pulse: Callable[[LinkModel, Point, Goal], DecoyBlock]
    """Expected counts per pulse."""
    length: Callable[[DecoyBlock, Goal], float]
    """Length in plain floats."""

    def starts(self) -> Iterable[Point]:
        """Return all points of the grid."""
        return itertools.product(*self.grid)


@dataclass(frozen=True, slots=True)
class PlannedPoint:
    """The best settings at one loss, with what the bound says to them."""

    loss_db: float
    """Loss of the channel."""
    block_s: float
    """Length of a block; inf where the bound knows no finite blocks."""
    evaluated_s: float
    """Length of the block that the bound was evaluated on; very long where ``block_s`` is infinite."""
    settings: dict[str, float]
    """What was chosen; ``p_key``, mean photon numbers and probabilities by name."""
    inputs: BoundInput
    """Expected counts of a block."""
    result: BoundResult
    """What the registered bound says to them."""
    choice: tuple[float, ...]
    """The same settings as the search knows them, to start the next search from."""

    @property
    def key_rate_bps(self) -> float:
        """Secret bits per second."""
        return self.result.length / self.evaluated_s

    @property
    def qber(self) -> float:
        """Expected error rate of the key basis; 0 without detections."""
        key = self.inputs.counts.key
        return key.rate if key.bits else 0.0


def plan(
    bound: str, link: LinkModel, goal: Goal, *, block_s: float | None = None, near: Point | None = None
) -> PlannedPoint:
    """Return the settings that give the most key per second.

    Parameters
    ----------
    bound
        Name of the bound.
    link
        Loss, detectors and pulse rate.
    goal
        What the key must satisfy.
    block_s
        Length of a block in seconds, ignored by a bound for infinite blocks; None chooses the shortest of `BLOCKS_S`
        that is nearly as good as the best.
    near
        Settings of a similar link, to start from instead of the whole grid.

    Raises
    ------
    ConfigError
        No recipe for the bound, or one of its options is wrong.
    """
    recipe = recipe_of(bound)
    if registry.get(bound).kind is BoundKind.PLANNING:
        block_s = math.inf
    if block_s is not None:
        return _best(bound, recipe, link, goal, block_s, near)
    points: list[PlannedPoint] = []
    for length_s in reversed(BLOCKS_S):
        start = points[-1].choice if points and points[-1].result.length else near
        points.append(_best(bound, recipe, link, goal, length_s, start))
    most = max(point.key_rate_bps for point in points)
    return next(point for point in reversed(points) if point.key_rate_bps >= ENOUGH * most)


def evaluate_at(bound: str, link: LinkModel, goal: Goal, *, block_s: float, choice: Point) -> PlannedPoint:
    """Return what given settings give, without any search."""
    one = recipe_of(bound).per_pulse(link, choice, goal)
    return _evaluated(bound, link, goal, one, block_s=block_s, choice=choice)


def as_configured(
    bound: str,
    link: LinkModel,
    goal: Goal,
    *,
    block_s: float,
    p_key: float,
    mu: tuple[float, ...],
    p: tuple[float, ...],
) -> PlannedPoint:
    """Return what a pulsed link gives with the intensities and probabilities that it has now.

    The receiver is taken to choose the key basis as often as the sender does.
    """
    one = expected_per_pulse(link, p_key=p_key, mu=mu, p=p, eps_sec=goal.eps_sec, eps_cor=goal.eps_cor)
    return _evaluated(bound, link, goal, one, block_s=block_s, choice=(p_key,))


def _evaluated(
    bound: str, link: LinkModel, goal: Goal, one: DecoyBlock, *, block_s: float, choice: Point
) -> PlannedPoint:
    evaluated_s = min(block_s, INFINITE_S)
    block = scaled(one, link.pulse_rate_hz * evaluated_s)
    counted = whole_counts(block)
    inputs = BoundInput(
        counted.counts,
        counted.intensities,
        counted.probabilities,
        counted.leak_ec,
        goal.eps_sec,
        goal.eps_cor,
        dict(goal.options),
    )
    result = registry.get(bound).evaluate(inputs)
    settings = {"p_key": float(choice[0]), **_named(block, choice)}
    return PlannedPoint(link.loss_db, block_s, evaluated_s, settings, inputs, result, tuple(float(x) for x in choice))


def recipe_of(bound: str) -> Recipe:
    """Return the recipe of a bound.

    Raises
    ------
    ConfigError
        There is no such bound, or none can be planned with it.
    """
    registry.get(bound)
    try:
        return RECIPES[bound]
    except KeyError:
        raise ConfigError(
            f"bound {bound} has no recipe for planning; known: {', '.join(sorted(RECIPES))}",
            hint="plan with another bound",
        ) from None


def _best(bound: str, recipe: Recipe, link: LinkModel, goal: Goal, block_s: float, near: Point | None) -> PlannedPoint:
    pulses = link.pulse_rate_hz * min(block_s, INFINITE_S)

    def rate(x: Point) -> float:
        return climbable_rate(recipe.length(scaled(recipe.per_pulse(link, x, goal), pulses), goal), pulses)

    starts = [near] if near is not None and rate(near) > 0.0 else recipe.starts()
    return evaluate_at(bound, link, goal, block_s=block_s, choice=maximise(rate, starts, recipe.limits))


def _named(block: DecoyBlock, choice: Point) -> dict[str, float]:
    if not block.intensities:
        return {"pairs": float(choice[1])}
    mu = {f"mu{k}": value for k, value in enumerate(block.intensities, start=1)}
    return {**mu, **{f"p_mu{k}": value for k, value in enumerate(block.probabilities, start=1)}}


def _one_decoy(link: LinkModel, x: Point, goal: Goal) -> DecoyBlock:
    p_key, p1, mu1, ratio = x
    mu, p = (mu1, mu1 * ratio), (p1, 1.0 - p1)
    return expected_per_pulse(link, p_key=p_key, mu=mu, p=p, eps_sec=goal.eps_sec, eps_cor=goal.eps_cor)


def _two_decoys(link: LinkModel, x: Point, goal: Goal) -> DecoyBlock:
    p_key, p1, rest, mu1, ratio = x
    p2 = (1.0 - p1) * rest
    mu, p = (mu1, WEAKEST + ratio * (mu1 - 2.0 * WEAKEST), WEAKEST), (p1, p2, 1.0 - p1 - p2)
    return expected_per_pulse(link, p_key=p_key, mu=mu, p=p, eps_sec=goal.eps_sec, eps_cor=goal.eps_cor)


def _pairs(link: LinkModel, x: Point, goal: Goal) -> DecoyBlock:
    return expected_pairs(link, p_key=x[0], pairs=x[1], eps_sec=goal.eps_sec, eps_cor=goal.eps_cor)


def _rusca_length(block: DecoyBlock, goal: Goal) -> float:
    cap, vacuum = goal.options.get("cap_v1", False) is True, str(goal.options.get("vacuum", "A16"))
    return rusca2018.secret_length(Sheet(FLOATS, block, shares=rusca2018.SHARES), cap_v1=cap, vacuum=vacuum)


def _lim_length(block: DecoyBlock, goal: Goal) -> float:
    cap = goal.options.get("cap_v1", False) is True
    return lim2014.secret_length(Sheet(FLOATS, block, shares=lim2014.SHARES), cap_v1=cap)


def _tupkary_length(block: DecoyBlock, goal: Goal) -> float:
    return tupkary2024.secret_length(tupkary2024.new_sheet(FLOATS, block), Mismatch.of(goal.options), is_exact=False)


def _tomamichel_length(block: DecoyBlock, goal: Goal) -> float:
    n, k, wrong = block.n_key[0], block.n_test[0], block.m_test[0]
    if n < 1.0 or k < 1.0:
        return n + k - 1e3
    terms = {"n": n, "k": k, "q_used_upper": wrong / k}
    return tomamichel2012.secret_length(
        FLOATS, terms, quality=1.0, leak_ec=block.leak_ec, eps_sec=goal.eps_sec, eps_cor=goal.eps_cor
    )


def _asymptotic_length(block: DecoyBlock, goal: Goal) -> float:
    del goal
    return asymptotic.secret_length(asymptotic.new_sheet(FLOATS, block))


_ONE_DECOY = (
    ("p_key", "p_mu1", "mu1", "mu2/mu1"),
    ((0.02, 0.999), (0.01, 0.99), (0.02, 2.0), (0.01, 0.95)),
    ((0.4, 0.6, 0.8, 0.95), (0.2, 0.5, 0.75, 0.9), (0.3, 0.5, 0.7), (0.15, 0.3, 0.45)),
    _one_decoy,
)
_TWO_DECOYS = (
    ("p_key", "p_mu1", "p_mu2/(1-p_mu1)", "mu1", "mu2/mu1"),
    ((0.02, 0.999), (0.01, 0.98), (0.02, 0.98), (0.05, 1.5), (0.01, 0.95)),
    ((0.3, 0.5, 0.75, 0.93), (0.1, 0.4, 0.75), (0.4, 0.7), (0.4, 0.6), (0.15, 0.3, 0.5)),
    _two_decoys,
)
_PAIRS = (
    ("p_key", "pairs"),
    ((0.02, 0.999), (1e-5, 1.0)),
    ((0.5, 0.7, 0.85, 0.95), (0.001, 0.01, 0.05, 0.15)),
    _pairs,
)
RECIPES: Final[dict[str, Recipe]] = {
    "asymptotic": Recipe(*_ONE_DECOY, _asymptotic_length),
    "lim2014": Recipe(*_TWO_DECOYS, _lim_length),
    "rusca2018": Recipe(*_ONE_DECOY, _rusca_length),
    "tomamichel2012": Recipe(*_PAIRS, _tomamichel_length),
    "tupkary2024": Recipe(*_TWO_DECOYS, _tupkary_length),
}
"""Recipe of each bound by its name; a site adds its own beside its bound."""
