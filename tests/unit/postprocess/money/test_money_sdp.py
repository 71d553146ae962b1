"""Semidefinite programs of a pair: published values, strategies that reach them, and certificates that cannot lie."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import FaintlinkError
from faintlink.postprocess.money.adversaries import optimal_answers, perfect_copies
from faintlink.postprocess.money.sdp import certified, distinct, dual_bound, isotropic_bound
from faintlink.postprocess.money.states import (
    ANSWERS,
    BOTH_RIGHT,
    LOST,
    NUMBER_RIGHT,
    UNFLIPPED,
    Worth,
    answer_worths,
    copies,
    exponential,
    invariant_shapes,
    operators,
    pair_states,
    qubit,
)

COPY = 0.75
"""Greatest probability of right answers to both questions: Bozzio et al. 2018, and an independent program."""


def test_a_single_pair_is_copied_with_three_quarters() -> None:
    assert isotropic_bound(operators((1, 1), BOTH_RIGHT)).value == pytest.approx(COPY, abs=1e-9)


def test_the_solver_finds_three_quarters_too() -> None:
    pytest.importorskip("cvxpy")
    bound = dual_bound(operators((1, 1), BOTH_RIGHT))
    assert bound.is_optimised
    assert COPY <= bound.value < COPY + 1e-6


def test_two_verifiers_with_random_questions_both_get_right_answers_with_seven_eighths() -> None:
    # Half of the time they ask the same. Bozzio et al. 2018: 7/8.
    assert (1 + isotropic_bound(operators((1, 1), BOTH_RIGHT)).value) / 2 == pytest.approx(7 / 8, abs=1e-9)


def test_the_mean_number_of_right_answers_is_that_of_single_qubits() -> None:
    # Molina, Vidick, Watrous 2012: a copier of one qubit passes classical verification with 3/4 + sqrt(2)/8.
    right = isotropic_bound(operators((1, 1), NUMBER_RIGHT)).value / 2
    assert right == pytest.approx(math.cos(math.pi / 8) ** 2, abs=1e-9)
    assert (1 + right) / 2 == pytest.approx(3 / 4 + math.sqrt(2) / 8, abs=1e-9)


@pytest.mark.parametrize("worth", [BOTH_RIGHT, NUMBER_RIGHT], ids=["both", "number"])
def test_a_strategy_reaches_the_bound(worth: Worth) -> None:
    table = optimal_answers(worth)
    assert np.allclose(table.sum(axis=0), 1.0)
    rows = [row for row, answer in enumerate(ANSWERS) if LOST not in answer]
    reached = float((table * answer_worths(worth)[rows]).sum()) / 8
    assert reached == pytest.approx(isotropic_bound(operators((1, 1), worth)).value, abs=1e-9)


def test_the_best_copier_is_right_at_three_quarters_of_the_pairs() -> None:
    rng = np.random.default_rng(3)
    right = perfect_copies(rng.integers(0, 8, 100_000).astype(np.float64), rng)
    # 5 sigma.
    assert abs(right - COPY) < 5 * math.sqrt(COPY * (1 - COPY) / 100_000)


def test_losing_pairs_does_not_help_with_single_photons() -> None:
    # Answers about a third of the pairs only: the operators of all answers are no better than their trace.
    some = operators((1, 1), BOTH_RIGHT)
    weights = np.linalg.eigvalsh(some).max(axis=1)
    assert weights.max() * 4 <= COPY + 1e-9


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_no_proposal_makes_the_bound_smaller_than_what_a_strategy_reaches(seed: int) -> None:
    rng = np.random.default_rng(seed)
    proposal = rng.normal(size=(4, 4)) * rng.uniform(0, 0.3)
    assert certified(proposal, operators((1, 1), BOTH_RIGHT), is_optimised=True).value >= COPY


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_no_measurement_exceeds_the_bound_of_one_and_two_photons(seed: int) -> None:
    pytest.importorskip("cvxpy")
    ops = operators((1, 2), exponential(0.5, 3.5))
    bound = BOUND.setdefault("12", dual_bound(ops, shapes=invariant_shapes((1, 2)), enough=UNFLIPPED).value)
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(81, 6, 6)) * (rng.random((81, 1, 1)) < 0.2)
    parts = roots @ roots.transpose(0, 2, 1) + 1e-9 * np.eye(6)
    values, vectors = np.linalg.eigh(parts.sum(axis=0))
    whiten = vectors @ np.diag(values**-0.5) @ vectors.T
    assert np.einsum("xij,xji->", whiten @ parts @ whiten, ops) <= bound


BOUND: dict[str, float] = {}


def test_the_symmetric_program_agrees_with_the_whole_one() -> None:
    pytest.importorskip("cvxpy")
    ops = operators((1, 2), exponential(0.5, 3.5))
    small = dual_bound(ops, shapes=invariant_shapes((1, 2)), enough=UNFLIPPED).value
    assert small == pytest.approx(dual_bound(ops).value, abs=1e-6)
    assert small < isotropic_bound(ops).value


def test_two_photons_answer_both_questions() -> None:
    pytest.importorskip("cvxpy")
    assert dual_bound(operators((2, 2), BOTH_RIGHT)).value == pytest.approx(1.0, abs=1e-6)


def test_states_have_unit_trace_and_are_copies() -> None:
    assert np.allclose(np.trace(pair_states((2, 1)), axis1=1, axis2=2), 1.0)
    minus = qubit(1, 1)
    overlap = float(np.trace(copies(minus, 2) @ copies(qubit(0, 1), 2)))
    assert overlap == pytest.approx(0.25)
    assert float(minus @ qubit(1, 0)) == pytest.approx(0.0)


def test_repeated_operators_are_told_apart_by_value() -> None:
    ops = operators((1, 1), BOTH_RIGHT)
    assert 16 <= len(distinct(ops)) < len(ops)


def test_without_a_solver_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(FaintlinkError, match="cvxpy") as raised:
        dual_bound(operators((1, 1), BOTH_RIGHT))
    assert "conservative" in raised.value.hint
