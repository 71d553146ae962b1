"""Judge a session: rebuild every round from the server's tags and the clients' secrets, check all of it, count tests.

A pure stage: no files, no clock, no randomness. What is checked, in this order: the angles sent follow from secrets and
outcomes; what the server told is what its tags say; times; losses and rounds; the traps; the majority. The first
three are consistency of the records, whose failure is an error; the others make the verdict.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.errors import LocalProtocolError, NotEnoughSignalsError, RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.bqc.blindness import angle_counts, uniformity
from faintlink.postprocess.bqc.clients import hidden_angle
from faintlink.postprocess.bqc.graph import STEPS, Graph, graph_of
from faintlink.postprocess.bqc.messages import LOST
from faintlink.postprocess.bqc.records import Session
from faintlink.postprocess.bqc.slots import Observed
from faintlink.postprocess.bqc.traps import TestKind, kinds_of

NO_TRAP = 255


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What came of a session."""

    attempt_of: npt.NDArray[np.int64]
    """(r,) int64: the whole attempt of each round."""
    lost_attempts: int
    """Attempts that were given up."""
    outcomes: Bits
    """(r, n) uint8: s of each round and vertex."""
    trap_failed: npt.NDArray[np.uint8]
    """(r, m) uint8: 1 where a trap failed, 255 where the round has no such trap."""
    failed: npt.NDArray[np.bool_]
    """(r,): which rounds are failed tests."""
    results: dict[str, int]
    """How many computation rounds gave each result, most frequent first."""
    majority: str
    """The result of more than half of them, or empty."""
    angle_counts: npt.NDArray[np.int64]
    """(n, 8): how often each angle was sent for each vertex, over all attempts."""
    p_values: npt.NDArray[np.float64]
    """(n,): of the test that these are uniform."""
    least_margin_ps: int
    """Least time from an angle's arrival at the server to its outcome."""
    failed_by_kind: npt.NDArray[np.int64]
    """(k, 2): test rounds of each kind, and how many failed."""

    @property
    def failed_tests(self) -> int:
        """Failed test rounds."""
        return int(np.count_nonzero(self.failed))


def judge(policy: BqcPolicy, session: Session, seen: Observed) -> Judgement:
    """Rebuild and judge a session.

    Raises
    ------
    LocalProtocolError
        The clients' own records contradict themselves.
    RemoteProtocolError
        The server told something else than its tags say, or its times contradict causality.
    NotEnoughSignalsError
        Too many attempts were lost: rounds are missing.
    """
    graph = graph_of(policy.graph)
    kinds = kinds_of(graph, policy.tests)
    if not np.array_equal(seen.outcome, session.told) or not np.array_equal(seen.arrived, session.arrived):
        raise RemoteProtocolError(
            "the server told the clients other outcomes than its tags hold",
            hint="the server misbehaves, or the run and the clients' records belong to different sessions",
        )
    outcomes = (seen.outcome & np.uint8(1)) ^ session.flips
    _require_angles(graph, kinds, session, outcomes)
    margin = require_causality(graph, policy, session, seen)
    whole = ~((seen.outcome == LOST) | (seen.arrived == LOST)).any(axis=1)
    attempt_of = _whole_attempts(policy, session, whole)
    types, s = session.round_types, outcomes[attempt_of]
    traps = _traps(graph, kinds, types, s, session.dummy_bits[attempt_of])
    failed = (traps == 1).any(axis=1)
    results = _results(graph, s[types == 0])
    most = next(iter(results))
    counts = angle_counts(session.delta)
    return Judgement(
        attempt_of=attempt_of,
        lost_attempts=int(np.count_nonzero(~whole)),
        outcomes=s,
        trap_failed=traps,
        failed=failed,
        results=results,
        majority=most if 2 * results[most] > policy.computation_rounds else "",
        angle_counts=counts,
        p_values=uniformity(counts),
        least_margin_ps=margin,
        failed_by_kind=np.array(
            [[np.sum(types == j), np.sum(failed & (types == j))] for j in range(1, len(kinds) + 1)], np.int64
        ),
    )


def _require_angles(graph: Graph, kinds: tuple[TestKind, ...], session: Session, outcomes: Bits) -> None:
    """Check that each angle sent follows from secrets and outcomes; a dummy's may be any."""
    types = session.round_types[session.rounds]
    marks = np.stack([np.zeros(graph.size, np.uint8), *(kind.dummies for kind in kinds)])[types] == 1
    if not np.array_equal(marks, session.is_dummy):
        raise LocalProtocolError("dummies stand where the order of the rounds has none", hint="the record is damaged")
    for vertex in graph.order:
        prime = hidden_angle(graph, kinds, types, session.phi, vertex, outcomes)
        expected = (prime + session.theta[:, vertex] + 4 * session.flips[:, vertex]) % STEPS
        wrong = (expected != session.delta[:, vertex]) & ~session.is_dummy[:, vertex]
        if wrong.any():
            raise LocalProtocolError(
                f"{np.count_nonzero(wrong)} angles sent for vertex {vertex} do not follow from secrets and outcomes",
                hint="the record is damaged, or a client's program is wrong",
            )


def require_causality(graph: Graph, policy: BqcPolicy, session: Session, seen: Observed) -> int:
    """Check that angles were sent before they arrived, outcomes came after them, and angles after what they depend on.

    Returns
    -------
    The least time from an angle's arrival to its outcome, ps.

    Raises
    ------
    RemoteProtocolError
        A time contradicts causality beyond the clocks' tolerance.
    """
    tolerance = policy.clock_tolerance_ps
    clicked = seen.outcome_ps >= 0
    _require_times("an angle arrived before it was sent", session.sent_ps > seen.trigger_ps + tolerance)
    _require_times("an outcome came before its angle", clicked & (seen.outcome_ps <= session.sent_ps - tolerance))
    needs = (graph.x_from | graph.z_from) == 1
    for vertex in graph.order:
        for other in np.flatnonzero(needs[vertex]).tolist():
            late = clicked[:, other] & (seen.outcome_ps[:, other] > session.sent_ps[:, vertex] + tolerance)
            _require_times(f"the angle of vertex {vertex} left before the outcome of {other}", late)
    margin = np.where(clicked, seen.outcome_ps - seen.trigger_ps, np.iinfo(np.int64).max)
    return int(margin.min(initial=np.iinfo(np.int64).max))


def _require_times(what: str, wrong: npt.NDArray[np.bool_]) -> None:
    if wrong.any():
        raise RemoteProtocolError(
            f"{what}, {np.count_nonzero(wrong)} times",
            hint="the clocks disagree beyond bqc.clock_tolerance_ps, or the times are not what was recorded",
        )


def _whole_attempts(policy: BqcPolicy, session: Session, whole: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the attempt of each round; each must have exactly one that is whole."""
    done = session.rounds[whole]
    if done.size and (int(done.min()) < 0 or int(done.max()) >= policy.rounds):
        raise LocalProtocolError("an attempt names a round that does not exist", hint="the record is damaged")
    count = np.bincount(done, minlength=policy.rounds)
    if (count > 1).any():
        raise LocalProtocolError("a round was attempted again after it was whole", hint="the record is damaged")
    if (count == 0).any():
        raise NotEnoughSignalsError(
            f"{np.count_nonzero(count == 0)} of {policy.rounds} rounds have no whole attempt among {whole.size}",
            hint="qubits are lost too often: raise bqc.max_attempts before the next session, or look at the table",
        )
    attempt_of = np.empty(policy.rounds, np.int64)
    attempt_of[done] = np.flatnonzero(whole)
    return attempt_of


def _traps(
    graph: Graph, kinds: tuple[TestKind, ...], types: npt.NDArray[np.uint8], s: Bits, dummy_bits: Bits
) -> npt.NDArray[np.uint8]:
    width = max(len(kind.parities) for kind in kinds)
    traps = np.full((types.size, width), NO_TRAP, np.uint8)
    for number, kind in enumerate(kinds, start=1):
        rows = np.flatnonzero(types == number)
        traps[rows, : len(kind.parities)] = kind.failed(s[rows], dummy_bits[rows], graph.adjacency)
    return traps


def _results(graph: Graph, s: Bits) -> dict[str, int]:
    weights = 1 << np.arange(len(graph.outputs))[::-1]
    counts = np.bincount(s[:, list(graph.outputs)] @ weights, minlength=2 ** len(graph.outputs))
    found = {format(at, f"0{len(graph.outputs)}b"): int(counts[at]) for at in np.argsort(-counts, kind="stable")}
    return {name: count for name, count in found.items() if count}
