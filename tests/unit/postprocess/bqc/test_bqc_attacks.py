"""Honest and deviating servers over many seeded sessions are accepted and refused as often as predicted."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from faintlink.instruments.mocks.qline_engine import QlineState, ServerAttack
from faintlink.postprocess.bqc.graph import graph_of
from faintlink.postprocess.bqc.security import rejection_rate, soundness
from faintlink.postprocess.bqc.traps import catch_probability, failure_probability, kinds_of
from tests.bqc import policy_of, rehearse

TABLE = QlineState(visibility=0.98, readout_error=0.005, arrival=0.97, efficiency=0.97, dark_rate_hz=100.0)
SHARES = {
    ServerAttack.NONE: 0.0,
    ServerAttack.FLIP: 0.06,
    ServerAttack.REPLACE: 0.14,
    ServerAttack.SELECTIVE: 0.125,
}
"""Such that the verdict goes either way; a selective server can only pick eighths."""


def failure_of(attack: ServerAttack, graph: str, tests: str, share: float) -> float:
    """Return the predicted probability that a test round fails.

    A dark count makes an outcome wrong less than once in 10**6, which is neglected.
    """
    parsed = graph_of(graph)
    kinds, n = kinds_of(parsed, tests), parsed.size
    phase = 0.5 * (1.0 - TABLE.visibility)
    noise = np.full(n, phase + TABLE.readout_error - 2.0 * phase * TABLE.readout_error)
    deviating = noise.copy()
    if attack is ServerAttack.REPLACE:
        deviating[:] = 0.5
    else:
        deviating[parsed.order[-1]] = 1.0 - noise[0]
    return (1.0 - share) * failure_probability(kinds, noise) + share * failure_probability(kinds, deviating)


def refusals(attack: ServerAttack, graph: str, tests: str, sessions: int) -> tuple[int, float, int]:
    """Return how many sessions were refused for their tests, the predicted rate, and all failed test rounds."""
    policy = policy_of(graph=graph, tests=tests)
    state = replace(TABLE, attack=attack, attack_share=SHARES[attack])
    failed = np.array([rehearse(policy, seed=seed, state=state).judgement().failed_tests for seed in range(sessions)])
    q = failure_of(attack, graph, tests, SHARES[attack])
    rate = rejection_rate(policy.test_rounds, q, policy.max_failed_tests)
    return int(np.count_nonzero(failed > policy.max_failed_tests)), rate, int(failed.sum())


def require_prediction(attack: ServerAttack, graph: str, tests: str, sessions: int) -> None:
    """Check the number of refusals and of failed tests within 4 sigma."""
    refused, rate, failed = refusals(attack, graph, tests, sessions)
    q = failure_of(attack, graph, tests, SHARES[attack])
    rounds = 50 * sessions
    assert abs(failed - rounds * q) < 4.0 * math.sqrt(rounds * q * (1.0 - q))
    assert abs(refused - sessions * rate) < 4.0 * math.sqrt(sessions * rate * (1.0 - rate)) + 0.5


@pytest.mark.parametrize("attack", list(ServerAttack))
@pytest.mark.parametrize(("graph", "tests"), [("rotation", "stabilisers"), ("grover", "traps")])
def test_sixty_sessions_are_refused_as_often_as_predicted(attack: ServerAttack, graph: str, tests: str) -> None:
    require_prediction(attack, graph, tests, 60)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("attack", list(ServerAttack))
@pytest.mark.parametrize("graph", ["rotation", "grover", "deutsch"])
@pytest.mark.parametrize("tests", ["stabilisers", "traps"])
def test_a_thousand_sessions_are_refused_as_often_as_predicted(attack: ServerAttack, graph: str, tests: str) -> None:
    require_prediction(attack, graph, tests, 1000)


@pytest.mark.parametrize("attack", [ServerAttack.FLIP, ServerAttack.REPLACE, ServerAttack.SELECTIVE])
def test_a_server_that_deviates_in_every_attempt_is_always_refused(attack: ServerAttack) -> None:
    policy = policy_of(graph="grover")
    state = replace(TABLE, attack=attack)
    failed = [rehearse(policy, seed=seed, state=state).judgement().failed_tests for seed in range(60)]
    assert min(failed) > policy.max_failed_tests


def test_the_honest_table_is_accepted_with_its_result_as_often_as_predicted() -> None:
    policy = policy_of(graph="grover", max_failed_tests=7)
    q = failure_of(ServerAttack.NONE, "grover", "stabilisers", 0.0)
    rate = rejection_rate(50, q, 7)
    judged = [rehearse(policy, seed=seed, state=TABLE).judgement() for seed in range(60)]
    refused = sum(found.failed_tests > 7 for found in judged)
    assert abs(refused - 60 * rate) < 4.0 * math.sqrt(60 * rate) + 0.5
    assert all(found.majority == "11" for found in judged)


@pytest.mark.parametrize("vertex", range(3))
def test_wrong_results_of_the_best_flips_are_accepted_no_more_often_than_the_soundness_error(vertex: int) -> None:
    changes = {"computation_rounds": 8, "test_rounds": 8, "max_failed_tests": 1, "max_attempts": 16}
    policy = policy_of(**changes)
    graph = graph_of("rotation")
    eps = soundness(8, 8, catch_probability(graph, kinds_of(graph, "stabilisers")), Fraction(0), 1)
    fooled, sessions = 0, 300
    for seed in range(sessions):
        state = QlineState(1.0, arrival=1.0, efficiency=1.0, dark_rate_hz=0.0, attack=ServerAttack.FLIP)
        # Half the rounds: enough for a wrong majority, few enough to hope.
        attacked = replace(state, attack_share=0.6, attack_vertex=vertex)
        found = rehearse(policy, seed=seed, state=attacked).judgement()
        fooled += found.failed_tests <= 1 and found.majority == "0"
    assert fooled <= sessions * eps + 4.0 * math.sqrt(sessions * eps)
