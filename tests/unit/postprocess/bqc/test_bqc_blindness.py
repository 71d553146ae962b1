"""What the server sees tells nothing, and what imperfect states would tell."""

import math

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.symbols import Party
from faintlink.postprocess.bqc.blindness import angle_counts, leakage, uniformity
from faintlink.postprocess.bqc.clients import DUMMY, Client
from faintlink.postprocess.bqc.graph import EXAMPLES
from tests.bqc import policy_of, rehearse

IDEAL = [(math.cos(k * math.pi / 4), math.sin(k * math.pi / 4), 0.0) for k in range(8)]


def entropy_of(p: float) -> float:
    """Return h(p) in bits."""
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def test_even_counts_have_the_largest_p_value_and_odd_ones_a_small_one() -> None:
    assert uniformity(np.full((1, 8), 50))[0] == pytest.approx(1.0)
    # chi^2 = 14.07 at 7 degrees of freedom is the 5 % point of any table.
    counts = np.full((1, 8), 1000.0)
    counts[0, :2] += np.array([1.0, -1.0]) * math.sqrt(14.067 * 1000 / 2)
    assert uniformity(counts)[0] == pytest.approx(0.05, abs=1e-4)


def test_no_angles_at_all_are_uniform() -> None:
    assert uniformity(angle_counts(np.zeros((0, 3), np.uint8))).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("tests", ["stabilisers", "traps"])
def test_angles_are_uniform_for_each_vertex_and_type_of_round(tests: str) -> None:
    changes = {"computation_rounds": 2000, "test_rounds": 2000, "max_failed_tests": 9, "max_attempts": 5000}
    played = rehearse(policy_of(tests=tests, **changes), seed=5)
    session = played.session()
    types = session.round_types[session.rounds]
    for kind in range(3):
        p_values = uniformity(angle_counts(session.delta[types == kind]))
        # Nine p-values in all: below 1e-5 once in 10**4 suites.
        assert p_values.min() > 1e-5


def test_angles_are_equally_distributed_for_two_computations() -> None:
    changes = {"computation_rounds": 3000, "test_rounds": 10, "max_failed_tests": 1, "max_attempts": 5000}
    one, other = (
        angle_counts(rehearse(policy_of(**changes), seed=seed, phi=phi).session().delta)
        for seed, phi in ((1, (0, 0, 0)), (2, (3, 5, 6)))
    )
    chi2 = ((one - other) ** 2 / (one + other)).sum()
    # 21 degrees of freedom: mean 21, sigma sqrt(42); 5 sigma.
    assert chi2 < 21 + 5 * math.sqrt(42)


def test_angles_of_a_client_without_randomness_are_found() -> None:
    class Stuck(SeededEntropy):
        def draw(self, size: int, purpose: str) -> bytes:
            return bytes(size) if "secrets" in purpose else super().draw(size, purpose)

    client = Client(Party.ALICE, np.array(EXAMPLES["rotation"][0], np.uint8), Stuck(1))
    settings = client.prepare(np.zeros((100, 3), np.uint8))
    assert uniformity(angle_counts(settings)).max() < 1e-6


def test_settings_of_dummies_are_even_and_no_angles() -> None:
    client = Client(Party.ALICE, np.zeros(3, np.uint8), SeededEntropy(4))
    settings = client.prepare(np.ones((4000, 3), np.uint8))
    assert set(np.unique(settings).tolist()) == {DUMMY, DUMMY + 1}
    # 12000 fair coins, 5 sigma.
    assert abs(int((settings == DUMMY).sum()) - 6000) < 5 * math.sqrt(3000)
    assert uniformity(angle_counts(client.hidden)).min() > 1e-5


def test_ideal_states_leak_nothing() -> None:
    assert leakage(IDEAL) == pytest.approx(0.0, abs=1e-12)


def test_shortened_states_leak_nothing_while_opposite_ones_stay_opposite() -> None:
    assert leakage([(0.9 * x, 0.9 * y, 0.0) for x, y, _ in IDEAL]) == pytest.approx(0.0, abs=1e-12)


def test_a_common_shift_of_all_states_leaks_nothing() -> None:
    assert leakage([(0.9 * x, 0.9 * y, 0.1) for x, y, _ in IDEAL]) == pytest.approx(0.0, abs=1e-12)


def test_states_that_tell_their_axis_leak_the_holevo_quantity_of_two_states() -> None:
    # Even and odd angles lie at heights +-0.2: two mean states with eigenvalues 0.6, 0.4 and the mean in the middle.
    states = [(0.9 * x, 0.9 * y, 0.2 if k % 2 else -0.2) for k, (x, y, _) in enumerate(IDEAL)]
    assert leakage(states) == pytest.approx(1.0 - entropy_of(0.6), abs=1e-12)
