"""Sessions are rebuilt from tags and secrets, and judged."""

from dataclasses import replace

import numpy as np
import pytest

from faintlink.core.config.applications.bqc import BqcGraph
from faintlink.core.errors import LocalProtocolError, NotEnoughSignalsError, RemoteProtocolError
from faintlink.core.symbols import Party
from faintlink.instruments.mocks.qline_engine import ServerAttack
from faintlink.postprocess.bqc.graph import EXAMPLES, graph_of, ideal_distribution
from faintlink.postprocess.bqc.judge import judge
from faintlink.postprocess.bqc.messages import LOST
from faintlink.postprocess.bqc.slots import Observed, observe_attempts, read_slots
from tests.bqc import QUIET, Rehearsal, policy_of, rehearse

LOSSY = replace(QUIET, arrival=0.9, efficiency=0.9, dark_rate_hz=1000.0)
EXPECTED = {
    "rotation": ("1", "1", "0", "0"),
    "grover": ("11", "01", "10", "00"),
    "deutsch": ("01", "01", "11", "11"),
}


@pytest.fixture(scope="module")
def lossy() -> Rehearsal:
    return rehearse(policy_of(), state=LOSSY)


@pytest.mark.parametrize("graph", list(EXPECTED))
@pytest.mark.parametrize("tests", ["stabilisers", "traps"])
@pytest.mark.parametrize("example", range(4))
def test_a_perfect_server_gives_the_result_and_fails_no_test(graph: str, tests: str, example: int) -> None:
    found = rehearse(policy_of(graph=graph, tests=tests), phi=EXAMPLES[graph][example]).judgement()
    assert found.results == {EXPECTED[graph][example]: 50}
    assert found.majority == EXPECTED[graph][example]
    assert found.failed_tests == 0
    assert found.failed_by_kind.sum() == 50


@pytest.mark.parametrize("graph", list(EXPECTED))
def test_rotations_of_two_clients_add_up_to_the_computation(graph: str) -> None:
    policy = policy_of(graph=graph, clients=(Party.ALICE, Party.CHARLIE))
    played = rehearse(policy, phi=EXAMPLES[graph][1])
    ours, theirs = (client.secrets()["setting"] for client in played.clients)
    assert not np.array_equal(ours, theirs)
    found = played.judgement()
    assert found.results == {EXPECTED[graph][1]: 50}
    assert found.failed_tests == 0


@pytest.mark.parametrize("phi", [(1, 0, 0), (1, 2, 3), (5, 1, 6)])
def test_a_computation_that_is_not_certain_shows_its_probability(phi: tuple[int, int, int]) -> None:
    sizes = {"computation_rounds": 3000, "test_rounds": 20, "max_failed_tests": 2, "max_attempts": 3020}
    found = rehearse(policy_of(**sizes), phi=phi).judgement()
    chance = ideal_distribution(graph_of("rotation"), np.array(phi, np.uint8))["0"]
    # 3000 coins, 5 sigma.
    assert abs(found.results["0"] - 3000 * chance) < 5 * np.sqrt(3000 * chance * (1 - chance))


@pytest.mark.parametrize("tests", ["stabilisers", "traps"])
def test_a_graph_of_ones_own_is_played_and_tested(tests: str) -> None:
    # A line of five with angles that cancel: outcomes of |+> in X.
    line = BqcGraph(
        vertices=5,
        edges=((0, 1), (1, 2), (2, 3), (3, 4)),
        order=(0, 1, 2, 3, 4),
        flow={0: 1, 1: 2, 2: 3, 3: 4},
        outputs=(4,),
    )
    found = rehearse(policy_of(graph=line, tests=tests), phi=(1, 0, 3, 0, 4)).judgement()
    assert found.results == {"0": 50}
    assert found.failed_tests == 0


def test_lost_attempts_are_repeated_until_each_round_has_one_that_is_whole(lossy: Rehearsal) -> None:
    found = lossy.judgement()
    assert found.lost_attempts > 50
    assert found.results == {"1": 50}
    assert np.unique(found.attempt_of).size == 100


def test_a_round_is_repeated_with_fresh_secrets(lossy: Rehearsal) -> None:
    session = lossy.session()
    rounds, count = np.unique(session.rounds, return_counts=True)
    again = rounds[count > 2]
    hidden = [np.hstack([session.theta, session.flips])[session.rounds == number] for number in again]
    # Three vertices: 2**12 secrets each time.
    assert np.mean([len(np.unique(rows, axis=0)) == len(rows) for rows in hidden]) > 0.9


def test_a_lost_attempt_sends_as_many_angles_as_any_other(lossy: Rehearsal) -> None:
    session = lossy.session()
    assert (session.sent_ps > 0).all()
    assert (session.told == LOST).any()


def test_the_outcome_of_a_perfect_table_needs_the_corrections() -> None:
    found = rehearse(policy_of()).judgement()
    # Outcomes before the last are fair coins: 50 rounds each, 5 sigma.
    assert np.all(np.abs(found.outcomes[:, :2].mean(axis=0) - 0.5) < 5 * 0.5 / 10)


def test_too_few_attempts_are_refused_by_name() -> None:
    with pytest.raises(NotEnoughSignalsError, match="rounds have no whole attempt"):
        rehearse(policy_of(max_attempts=110), state=LOSSY).judgement()


def test_an_angle_that_does_not_follow_from_the_secrets_is_found(lossy: Rehearsal) -> None:
    delta = lossy.session().delta.copy()
    delta[7, 1] = (delta[7, 1] + 3) % 8
    with pytest.raises(LocalProtocolError, match="1 angles sent for vertex 1"):
        judge(lossy.policy, replace(lossy.session(), delta=delta), observed(lossy))


def observed(played: Rehearsal) -> Observed:
    """Return what the tags of a session say."""
    sizes = played.session().batch_sizes
    return observe_attempts(read_slots(played.tags, played.policy), sizes, graph_of(played.policy.graph).order)


@pytest.mark.parametrize("column", ["told", "arrived"])
def test_a_server_that_tells_something_else_than_its_tags_is_found(lossy: Rehearsal, column: str) -> None:
    told = getattr(lossy.session(), column).copy()
    told[0, 0] = LOST if told[0, 0] != LOST else 1
    with pytest.raises(RemoteProtocolError, match="other outcomes than its tags"):
        judge(lossy.policy, replace(lossy.session(), **{column: told}), observed(lossy))


def test_an_outcome_before_its_angle_is_found(lossy: Rehearsal) -> None:
    late = replace(lossy.session(), sent_ps=lossy.session().sent_ps + 400_000)
    with pytest.raises(RemoteProtocolError, match="an angle arrived before it was sent"):
        judge(lossy.policy, late, observed(lossy))
    with pytest.raises(RemoteProtocolError, match="an outcome came before its angle"):
        judge(lossy.policy.model_copy(update={"clock_tolerance_ps": 50_000}), late, early_outcomes(lossy))


def early_outcomes(played: Rehearsal) -> Observed:
    """Return a session's tags with outcomes before their angles."""
    seen = observed(played)
    outcome_ps = np.where(seen.outcome_ps >= 0, played.session().sent_ps, -1)
    return replace(seen, outcome_ps=outcome_ps, trigger_ps=seen.trigger_ps + 1_000_000)


def test_an_angle_that_left_before_the_outcome_it_needs_is_found(lossy: Rehearsal) -> None:
    sent = lossy.session().sent_ps.copy()
    sent[:, 2] = sent[:, 1]
    with pytest.raises(RemoteProtocolError, match="the angle of vertex 2 left before the outcome of"):
        judge(lossy.policy, replace(lossy.session(), sent_ps=sent), observed(lossy))


@pytest.mark.parametrize("offset_ps", [-2_000_000, 200_000_000])
def test_a_tagger_whose_clock_stands_apart_is_found(offset_ps: int) -> None:
    with pytest.raises(RemoteProtocolError, match=r"arrived before it was sent|left before the outcome"):
        rehearse(policy_of(), state=replace(QUIET, clock_offset_ps=offset_ps)).judgement()


def test_a_round_done_twice_is_found() -> None:
    played = rehearse(policy_of())
    session = played.session()
    rounds = session.rounds.copy()
    computing = np.flatnonzero(session.round_types[rounds] == 0)
    rounds[computing[0]] = rounds[computing[1]]
    with pytest.raises(LocalProtocolError, match="attempted again after it was whole"):
        judge(played.policy, replace(session, rounds=rounds), observed(played))


def test_another_order_of_rounds_contradicts_the_angles() -> None:
    played = rehearse(policy_of())
    session = played.session()
    with pytest.raises(LocalProtocolError, match="do not follow from secrets and outcomes"):
        judge(played.policy, replace(session, round_types=np.roll(session.round_types, 1)), observed(played))


def test_another_order_of_rounds_puts_dummies_where_none_belong() -> None:
    played = rehearse(policy_of(tests="traps"))
    session = played.session()
    with pytest.raises(LocalProtocolError, match="dummies stand where"):
        judge(played.policy, replace(session, round_types=np.roll(session.round_types, 1)), observed(played))


def test_half_of_the_rounds_are_no_majority() -> None:
    # phi = (2, 2, 0): the outcome is a fair coin; two rounds agree in every second session.
    policy = policy_of(computation_rounds=2)
    found = [rehearse(policy, phi=(2, 2, 0), seed=seed).judgement() for seed in range(12)]
    ties = [judged for judged in found if len(judged.results) == 2]
    assert 0 < len(ties) < 12
    assert all(judged.majority == "" for judged in ties)
    assert all(judged.majority in ("0", "1") for judged in found if len(judged.results) == 1)


def test_a_server_that_flips_the_result_fails_every_test_that_sees_it() -> None:
    state = replace(QUIET, attack=ServerAttack.FLIP)
    found = rehearse(policy_of(), state=state).judgement()
    assert found.majority == "0"
    assert found.failed_tests == 50


def test_a_server_that_answers_at_random_fails_half_of_the_tests() -> None:
    changes = {"computation_rounds": 100, "test_rounds": 1000, "max_failed_tests": 10, "max_attempts": 2000}
    found = rehearse(policy_of(**changes), state=replace(QUIET, attack=ServerAttack.REPLACE)).judgement()
    # One parity a round: 1000 coins, 5 sigma.
    assert abs(found.failed_tests - 500) < 5 * np.sqrt(250)
