"""The walk behind error rates: its rate is that of the fibre, and what it foretells comes as often as foretold."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from faintlink.acquisition.unattended.drift import Point
from faintlink.acquisition.unattended.walk import outlook
from faintlink.instruments.mocks.fibre_walk import PolarizationWalk

ALIGNED, ALARM, RUN_S = 0.01, 0.11, 600.0


def rate_after(turned: float) -> float:
    """Return the error rate of a basis whose states turned by an angle, by Malus' law on the sphere."""
    return ALIGNED + (1.0 - 2.0 * ALIGNED) * 0.5 * (1.0 - math.cos(turned))


def walked(seed: int, rate: float, *, runs: int, sigma: float = 1e-3) -> list[Point]:
    """Return the error rates of basis Z behind the fibre of the bench."""
    walk, rng = PolarizationWalk(seed, rate), np.random.default_rng([seed, 1])
    angles = np.arccos([walk.at(RUN_S * k)[0, 0] for k in range(runs)])
    return [Point(RUN_S * k, float(rate_after(angle) + sigma * rng.normal()), sigma) for k, angle in enumerate(angles)]


def steps_of(points: list[Point]) -> list[tuple[Point, Point]]:
    return list(itertools.pairwise(points))


def looked(points: list[Point], last: Point | None = None, alarm: float = ALARM) -> float | None:
    seen = outlook(steps_of(points), last or points[-1], aligned=ALIGNED, alarm=alarm, ahead_s=RUN_S)
    return None if seen is None else seen.chance


@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_the_rate_of_the_walk_is_that_of_the_fibre(rate: float) -> None:
    found = []
    for seed in range(16):
        # Cut off where somebody would have aligned it: beyond, the sphere is no plane any more.
        points = walked(seed, rate, runs=40)
        end = next((k for k, point in enumerate(points) if point.value > ALARM), len(points))
        seen = outlook(steps_of(points[:end]), points[0], aligned=ALIGNED, alarm=ALARM, ahead_s=RUN_S)
        if end > 12 and seen is not None:
            found.append(seen.rad2_per_h)
    assert len(found) > 8
    # Some thirty steps know a variance to a quarter, a dozen fibres their mean to a fourteenth; here four times.
    assert np.mean(found) == pytest.approx(rate, rel=4 / 14)


def test_a_foretold_chance_is_the_share_of_walks_that_go_beyond() -> None:
    """Many steps taken from one place of a plane, against the chance after learning from as many."""
    rng, sigma = np.random.default_rng(7), 0.15

    def rates(start: float, count: int) -> npt.NDArray[np.float64]:
        ends = np.hypot(start + sigma * rng.normal(size=count), sigma * rng.normal(size=count))
        return ALIGNED + (1.0 - 2.0 * ALIGNED) * ends**2 / 4.0

    early = Point(0.0, ALIGNED + (1.0 - 2.0 * ALIGNED) * 0.2**2 / 4.0, 1e-5)
    learned = [(early, Point(RUN_S, float(rate), 1e-5)) for rate in rates(0.2, 4000)]
    last = Point(0.0, ALIGNED + (1.0 - 2.0 * ALIGNED) * 0.4**2 / 4.0, 1e-5)
    seen = outlook(learned, last, aligned=ALIGNED, alarm=ALARM, ahead_s=RUN_S)
    assert seen is not None
    share = float(np.mean(rates(0.4, 200_000) > ALARM))
    assert 0.03 < share < 0.3
    # 4000 steps know the variance to 3 %, and the chance changes by some three times as much.
    assert seen.chance == pytest.approx(share, rel=0.15)


def test_the_same_step_is_the_more_dangerous_the_further_off_the_angle_is() -> None:
    points = walked(3, 0.05, runs=30)
    chances = [looked(points, Point(0.0, rate_after(angle), 1e-3)) for angle in (0.0, 0.2, 0.4, 0.6)]
    assert None not in chances
    assert chances == sorted(chances, key=lambda chance: chance or 0.0)
    assert (chances[0] or 0.0) < 1e-6 < 1e-2 < (chances[3] or 0.0)


@pytest.mark.parametrize("sigma", [1e-3, 1.5e-2])
def test_counting_noise_is_no_walk(sigma: float) -> None:
    told = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        points = [Point(RUN_S * k, 0.02 + sigma * float(rng.normal()), sigma) for k in range(30)]
        told.append(looked(points))
    # Two standard deviations on one side: one in forty, at most some.
    assert sum(chance is not None for chance in told) <= 4


def test_few_steps_say_nothing() -> None:
    points = walked(1, 0.1, runs=30)
    assert looked(points[:4]) is None
    assert looked(points) is not None


def test_what_is_better_than_ever_counts_as_aligned() -> None:
    points = walked(2, 0.1, runs=30)
    chance = looked(points, Point(0.0, ALIGNED - 0.004, 1e-3))
    assert chance is not None
    assert chance == looked(points, Point(0.0, ALIGNED, 1e-3))
