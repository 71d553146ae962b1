"""From a recorded run to the verdict on a blind computation: every round rebuilt, records, report.

``faintlink process`` and ``faintlink bqc`` call `analyse_run` where the clients are: it needs the server's run file and
the clients' records that lie beside it. Rounds are rebuilt from the time tags; what the server told is only compared.

Sources: D. Leichtle, L. Music, E. Kashefi, H. Ollivier, PRX Quantum 2, 040302 (2021); B. Polacchi et al., Phys. Rev.
Lett. 134, 200603 (2025).
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ConfigError, ProtocolError, SecurityAbort, StreamError
from faintlink.core.recordfile import Column, Record
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party
from faintlink.core.tags import concatenate
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.bqc.blindness import leakage
from faintlink.postprocess.bqc.graph import graph_of, ideal_distribution
from faintlink.postprocess.bqc.judge import Judgement, judge
from faintlink.postprocess.bqc.panels import panels
from faintlink.postprocess.bqc.planning import ROUNDING, catch_of, inherent_error_of
from faintlink.postprocess.bqc.records import Session, public_header, read_sessions, seal
from faintlink.postprocess.bqc.security import Certificate, certify
from faintlink.postprocess.bqc.slots import Observed, observe_attempts, read_slots
from faintlink.postprocess.report.outcome import write_outcome

VERDICT = "bqc-verdict"
"""Kind of the records that `analyse_run` leaves."""
STATEMENTS = (
    "Proved (Leichtle, Music, Kashefi, Ollivier, PRX Quantum 2, 040302): with states as the protocol assumes them, the "
    "server learns nothing of the computation but the graph and the number of rounds, and a wrong result is accepted "
    "with a probability that falls exponentially with the rounds. Tests without dummies: Kapourniotis et al., "
    "arXiv:2303.08865; sources that are not trusted: Kashefi et al., arXiv:2403.10464.",
    "Own derivation: the number eps_sound (exact combinatorics of the rounds, rounded upwards), and which deviations "
    "the tests of this graph notice; see faintlink.postprocess.bqc.security and .traps. It is not a figure of the "
    "paper, whose composable bound has constants of its own.",
    "Measured: failed test rounds against the threshold that was fixed before; the uniformity of the angles sent, "
    "which finds faults and proves nothing; times, which are the server's own and show that the records agree.",
    "Assumed: one photon in each pulse at most, no light sent back by a modulator, and nothing else that tells a "
    "rotation. The source itself need not be trusted if tests are stabilisers; attenuated pulses of several photons "
    "give rotations away and are outside the proof.",
    "Assumed: private random bits of the clients, an authenticated channel, and, with two clients, a secure two-party "
    "computation of the angles, whose place one program takes here; at least one client is honest.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Everything that the report shows of a session that could be judged."""

    session: Session
    seen: Observed
    judgement: Judgement
    certificate: Certificate


def analyse_run(run: Run, link: LinkConfig, folder: Path, entropy: Entropy) -> Outcome:  # noqa: ARG001 - draws nothing
    """Judge a run of a blind computation, and leave records and report in a new folder.

    Parameters
    ----------
    run, link
        The run, and its configuration.
    folder
        Exists.
    entropy
        Not used: a verdict is certain.

    Raises
    ------
    ConfigError
        The link file lacks the section ``bqc``.
    RunfileError
        The clients' records are missing, changed, or of another session.
    """
    policy = link.bqc
    if policy is None:
        raise ConfigError("the link file lacks the section 'bqc'", hint="see lab_configs/bqc.link.yaml")
    try:
        judged, reason = judge_run(run, policy), ""
    except (ProtocolError, SecurityAbort, StreamError) as refusal:
        judged, reason = None, f"{type(refusal).__name__}: {refusal.message}"
    outcome = outcome_of(policy, judged, reason)
    if judged is not None:
        _write_records(folder, run.run_id, policy, judged, outcome)
    write_outcome(outcome, folder, panels(policy, judged) if judged is not None else {})
    return outcome


def judge_run(run: Run, policy: BqcPolicy) -> Judged:
    """Rebuild and judge a recorded session.

    Raises
    ------
    ProtocolError, SecurityAbort, StreamError
        As `faintlink.postprocess.bqc.judge.judge` and the reading of slots.
    RunfileError
        As `read_sessions`.
    """
    recording = run[Party.BOB]
    session = read_sessions(recording.paths[0].parent, policy, run.run_id)
    order = graph_of(policy.graph).order
    seen = observe_attempts(read_slots(concatenate(recording.tags()), policy), session.batch_sizes, order)
    judgement = judge(policy, session, seen)
    certificate = certify(
        policy.computation_rounds,
        policy.test_rounds,
        policy.max_failed_tests,
        catch=catch_of(policy),
        inherent=policy.inherent_error,
        expected=policy.expected_failure,
        failed=judgement.failed_tests,
    )
    return Judged(session, seen, judgement, certificate)


def refusal(policy: BqcPolicy, judged: Judged) -> str:
    """Return why the result is refused, or nothing."""
    found, certificate = judged.judgement, judged.certificate
    if Fraction(policy.max_failed_tests, policy.test_rounds) >= certificate.limit:
        return f"a threshold of {policy.max_failed_tests} of {policy.test_rounds} tests proves nothing"
    if certificate.eps_sound > policy.max_eps:
        return f"the soundness error {certificate.eps_sound:.3g} exceeds {policy.max_eps:.3g}, agreed on before"
    if inherent_error_of(policy, judged.session.phi) > policy.inherent_error + ROUNDING:
        return f"the computation itself is wrong more often than the agreed {policy.inherent_error:.3g}"
    if float(found.p_values.min()) * found.p_values.size < policy.blindness_p_value:
        return f"the angles sent are not uniform (p = {found.p_values.min():.2g}): the clients' secrets are at fault"
    if found.failed_tests > policy.max_failed_tests:
        return f"{found.failed_tests} test rounds failed, {policy.max_failed_tests} are allowed"
    if not found.majority:
        return "no result was given by more than half of the computation rounds"
    return ""


def outcome_of(policy: BqcPolicy, judged: Judged | None, reason: str) -> Outcome:
    """Return the outcome of a session, judged or not."""
    facts: dict[str, Any] = {
        "graph": policy.graph if isinstance(policy.graph, str) else "own",
        "clients": ", ".join(policy.clients),
        "computation rounds d": policy.computation_rounds,
        "test rounds t": policy.test_rounds,
        "threshold w": policy.max_failed_tests,
    }
    if judged is not None:
        reason = refusal(policy, judged)
        facts |= _facts(policy, judged)
        if reason:
            facts["result"] = ""
    verdict = f"Refused: {reason}." if reason else f"Accepted: the result is {facts['result']}."
    return Outcome("Blind computation", not reason, verdict, facts, STATEMENTS)


def _facts(policy: BqcPolicy, judged: Judged) -> dict[str, Any]:
    found, certificate = judged.judgement, judged.certificate
    most = found.results.get(found.majority, 0)
    states = policy.prepared_states
    ideal = ideal_distribution(graph_of(policy.graph), judged.session.phi)
    return {
        "kinds of test": policy.tests,
        "least share of kinds that notice a deviation": str(certificate.catch),
        "limit of w/t": float(certificate.limit),
        "failed tests": found.failed_tests,
        "failed tests by kind": ", ".join(f"{bad} of {of}" for of, bad in found.failed_by_kind.tolist()),
        "failure rate, 95 % interval": [certificate.failure_low, certificate.failure_high],
        "result": found.majority,
        "rounds with this result": most,
        "ideal probability of it (simulated)": ideal.get(found.majority, 0.0),
        "eps_sound": certificate.eps_sound,
        "eps_reject of the expected server": certificate.eps_reject,
        "least p-value of the angles": float(found.p_values.min()),
        "leakage by measured states (bit a qubit)": "not calibrated" if states is None else leakage(states),
        "attempts": int(judged.session.rounds.size),
        "lost attempts": found.lost_attempts,
        "double clicks": judged.seen.doubles,
        "least time from angle to outcome (ps)": found.least_margin_ps,
    }


def _write_records(folder: Path, run_id: str, policy: BqcPolicy, judged: Judged, outcome: Outcome) -> None:
    session = judged.session
    header = {**public_header(policy), "commitments": session.commitments}
    opened = {name: {"seed": o.seed.hex(), "nonce": o.nonce.hex()} for name, o in session.openings.items()}
    public = public_columns(policy, judged)
    for party in (*policy.clients, Party.BOB):
        home = folder / party
        home.mkdir(mode=0o700)
        groups: dict[str, dict[str, Column]] = {"public": public}
        about = {**header, "opened": opened}
        if party is not Party.BOB:
            groups["verdict"] = verdict_columns(policy, judged)
            groups[f"{party}_secret"] = dict(session.secrets[party])
            about |= {"accepted": outcome.is_accepted, "verdict": outcome.verdict, "facts": outcome.facts}
        seal(home / "bqc.h5", Record(VERDICT, session.name, run_id, str(party), about, groups))


def public_columns(policy: BqcPolicy, judged: Judged) -> dict[str, Column]:
    """Return what the server knows too once the order was opened: a row an attempt, types a row a round."""
    session, seen = judged.session, judged.seen
    return {
        "round_type": session.round_types,
        "batch": session.batch,
        "round": session.rounds,
        "delta": session.delta,
        "sent_ps": session.sent_ps,
        "delta_arrived_ps": seen.trigger_ps,
        "b": seen.outcome,
        "b_ps": seen.outcome_ps,
        "b_channel": seen.channel(policy),
        "arrived": seen.arrived,
        "herald_ps": seen.herald_ps,
    }


def verdict_columns(policy: BqcPolicy, judged: Judged) -> dict[str, Column]:
    """Return what all clients know at the end, a row a round.

    The outcomes s of all vertices are in it with one client only: together with its own secrets they would tell one of
    two clients more of the other's than the result does.
    """
    found = judged.judgement
    outputs = list(graph_of(policy.graph).outputs)
    computed = judged.session.round_types == 0
    result = np.where(computed[:, None], found.outcomes[:, outputs], np.uint8(255)).astype(np.uint8)
    columns: dict[str, Column] = {
        "attempt": found.attempt_of,
        "trap_failed": found.trap_failed,
        "is_failed": found.failed.astype(np.uint8),
        "result": result,
    }
    if len(policy.clients) == 1:
        columns["s"] = found.outcomes
    return columns
