"""From a recorded run to a token that was issued, presented and decided, with records, certificate and report.

``faintlink process`` and ``faintlink token`` call `analyse_run`. Bank and user are two objects in this process that
exchange bytes; their agents at the points are processes of their own.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ConfigError
from faintlink.core.recordfile import Record
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import Run
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.conjugate.biases import bias_alarms, counted_biases
from faintlink.postprocess.conjugate.guessing import Pulses
from faintlink.postprocess.conjugate.observations import Observations, observe
from faintlink.postprocess.report.outcome import write_outcome
from faintlink.postprocess.tokens.adversaries import error_rates, orders, user_kind
from faintlink.postprocess.tokens.chernoff import Inputs, chernoff
from faintlink.postprocess.tokens.issue import Sent, TokenBank, TokenUser, copies_of
from faintlink.postprocess.tokens.network import Presented, presentation_points
from faintlink.postprocess.tokens.panels import panels
from faintlink.postprocess.tokens.records import (
    BANK,
    CERTIFICATE,
    USER,
    hold_record,
    issue_record,
    party_folder,
    presentation_record,
    verdict_record,
    write_all,
)
from faintlink.postprocess.tokens.security import (
    COMMITTED,
    STATEMENTS,
    Certificate,
    Measured,
    certify,
    crosscheck_us,
    preparation_of,
)


def analyse_run(run: Run, link: LinkConfig, folder: Path, entropy: Entropy, *, attack: str = "none") -> Outcome:
    """Issue a token from a run, have it presented and decided; leave records and report in ``folder``.

    Parameters
    ----------
    run, link
        The recorded run and its configuration.
    folder
        New folder.
    entropy
        Random bits of both parties.
    attack
        One of `adversaries.ATTACKS`, for a rehearsal; anything but none is expected to be refused.

    Raises
    ------
    ConfigError
        The link is none of a token.
    NotEnoughSignalsError
        Fewer detections than a copy needs.
    """
    policy, source = link.token, link.source
    if policy is None or source is None or len(source.intensities) != 1:
        raise ConfigError(
            f"link {link.name} is none of a token: it needs the section `token` and one intensity",
            hint="see lab_configs/token.link.yaml",
        )
    mean_photons = source.intensities[0]
    seen = observe(run, link, pulses=policy.pulses)
    user = user_kind(attack, mean_photons)(policy, copies_of(seen, policy), entropy)
    bank = TokenBank(policy, seen.first_slot, Sent(seen.slots, seen.sent_basis, seen.sent_bit), entropy)
    point = entropy.draw(1, "token point")[0] % 2**policy.point_bits
    presented, choice = play(policy, bank, user, point, attack)
    measured = measure(policy, seen, presented)
    certificate = certify(with_counted_bias(policy, seen), mean_photons, measured)
    faults = certificate.shortcomings(policy) + bias_alarms(
        seen, bit_bias=policy.bit_bias, basis_bias=policy.basis_bias
    )
    outcome = _outcome(policy, mean_photons, certificate, measured, presented, faults, attack)
    outcome.facts.update(_bias_facts(policy, seen))
    bank_home, bank_key = party_folder(folder, BANK)
    user_home, user_key = party_folder(folder, USER)
    session = bank.session.hex()
    about = {
        "mean_photons": mean_photons,
        "link": link.name,
        "first_slot": seen.first_slot,
        "pulse_rate_hz": source.pulse_rate_hz,
    }
    records = [issue_record(policy, bank, run.run_id, about)]
    for one in presented:
        records.append(presentation_record(one, session, run.run_id, choice))
        records.append(verdict_record(one, session, run.run_id, policy.max_error_rate))
    records.append(Record(CERTIFICATE, session, run.run_id, BANK, {**outcome.facts, "statements": outcome.statements}))
    write_all(bank_home, bank_key, records)
    write_all(user_home, user_key, [hold_record(policy, user.held, session, run.run_id, point)])
    write_outcome(outcome, folder, panels(policy, mean_photons, certificate, presented))
    return outcome


def play(policy: TokenPolicy, bank: TokenBank, user: TokenUser, point: int, attack: str) -> tuple[list[Presented], int]:
    """Issue, choose and present; return what came of each presentation, and c."""
    bank.take_report(user.report(bank.session))
    bank.take_token(user.token())
    choice = user.choose(point)
    points = 2**policy.point_bits
    with presentation_points(points) as network:
        network.hand_out(bank.deposit(), choice, [user.holding()] * points)
        return [network.present(order) for order in orders(attack, point, points)], bank.take_choice(choice)


def with_counted_bias(policy: TokenPolicy, seen: Observations) -> TokenPolicy:
    """Return a policy whose bias of bases is no smaller than the upper confidence bound of the counted one."""
    _, bases = counted_biases(seen)
    return policy.model_copy(update={"basis_bias": max(policy.basis_bias, bases.at_most(policy.eps_estimate))})


def measure(policy: TokenPolicy, seen: Observations, presented: list[Presented]) -> Measured:
    """Return what a session showed; errors are those of the first presentation."""
    pairs = presented[0].decision.counts
    errors = sum((ErrorCount(bits, errors) for bits, errors in pairs), ErrorCount())
    in_x = int(seen.basis.sum())
    return Measured(policy.pulses, len(seen) - in_x, in_x, errors)


def _bias_facts(policy: TokenPolicy, seen: Observations) -> dict[str, Any]:
    facts = {}
    for counted, declared in zip(counted_biases(seen), (policy.bit_bias, policy.basis_bias), strict=True):
        facts[f"bias of {counted.name} sent"] = counted.measured
        facts[f"bias of {counted.name} sent, upper bound for independent draws"] = counted.at_most(policy.eps_estimate)
        facts[f"bias of {counted.name} sent, declared"] = declared
    return facts


def _outcome(
    policy: TokenPolicy,
    mean_photons: float,
    certificate: Certificate,
    measured: Measured,
    presented: list[Presented],
    faults: list[str],
    attack: str,
) -> Outcome:
    local = max(one.decision.validation_ns for one in presented) / 1e3
    crosscheck = crosscheck_us(policy.points_distance_km, policy.group_index)
    detections = measured.detections_z + measured.detections_x
    facts: dict[str, Any] = {
        "pulses of each copy N": policy.pulses_per_copy,
        "copies and bits of the point M": policy.point_bits,
        "positions of each copy": policy.positions,
        "detections": detections,
        "detection probability": detections / measured.pulses,
        "its lower bound in Z": certificate.detection_z,
        "its lower bound in X": certificate.detection_x,
        "error rate": measured.errors.rate,
        "its upper bound": certificate.error_rate,
        "largest error rate": policy.max_error_rate,
        "least error of a forger per position": float(certificate.forging.error_per_position),
        "positions conceded for several photons": certificate.forging.conceded,
        "eps_rob": certificate.eps_robust,
        "eps_cor": certificate.eps_correct,
        "eps_unf": certificate.eps_unforgeable,
        "eps_priv": certificate.eps_private,
        **_chernoff_facts(policy, mean_photons, certificate, measured),
        "local validation (us)": local,
        "presentation and answer between two processes (us)": max(one.round_ns for one in presented) / 1e3,
        "cross-check over the fibre between points (us)": crosscheck,
        "transaction-time advantage (us)": crosscheck - local,
        "presentations": [_in_words(one) for one in presented],
    }
    if attack != "none":
        facts["rehearsed attack"] = attack
        share = certificate.forging.conceded / policy.positions
        facts["error rates to expect at its presentations"] = error_rates(attack, measured.errors.rate, share)
    refused = [one for one in presented if not one.decision.is_accepted]
    statements = STATEMENTS + ((COMMITTED,) if policy.has_commitments else ())
    return Outcome("Quantum token", not refused and not faults, _verdict(presented, faults), facts, statements)


def _verdict(presented: list[Presented], faults: list[str]) -> str:
    if refused := [one for one in presented if not one.decision.is_accepted]:
        return f"Refused: {'; '.join(_in_words(one) for one in refused)}."
    if faults:
        return f"Accepted at its point, but not certified: {'; '.join(faults)}."
    return f"Accepted: {_in_words(presented[0])}."


def _in_words(one: Presented) -> str:
    decision = one.decision
    counts = ", ".join(f"{errors} of {bits} wrong" for bits, errors in decision.counts)
    return f"point {decision.point} {decision.reason.name.lower().replace('_', ' ')}" + (
        f" ({counts})" if counts else ""
    )


def _chernoff_facts(
    policy: TokenPolicy, mean_photons: float, certificate: Certificate, measured: Measured
) -> dict[str, Any]:
    pulses = policy.pulses_per_copy
    inputs = Inputs(
        pulses=pulses,
        detection=(measured.detections_z + measured.detections_x) / measured.pulses,
        error_rate=certificate.error_rate,
        multi_photon=float(Pulses(pulses, mean_photons).multi_photon),
        gamma_det=policy.positions / pulses,
        gamma_err=policy.max_error_rate,
        nu_cor=certificate.least_checked / pulses,
        nu_unf=certificate.forging.conceded / pulses,
        preparation=preparation_of(policy),
    )
    return {f"Chernoff form (unverified), -log10 eps {name}": x for name, x in asdict(chernoff(inputs)).items()}
