"""From a recorded run to an oblivious transfer: both parties' records, the certificate and the outcome.

``faintlink process`` and ``faintlink ot`` call `analyse_run`. Sender and receiver are played in one process but see
their own columns only.

Notes
-----
The published rule of reporting (one click gives its bit, two of one basis a random bit, anything else a failure)
keeps the choice private as long as what is reported does not depend on the basis. Here every slot with a click is
reported: clicks in both bases get a random basis and a random bit by the receiver's secret coin (`qkd.squash`), so
that a report says no more than that something clicked. It differs from the published rule in these slots only. The
dead time that the receiver enforces runs alike for both bases.

Sources: M. Lemus et al., arXiv:2501.03973.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core.config.applications.transfer import TransferPolicy
from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ConfigError, NotEnoughSignalsError, ProtocolError, SecurityAbort
from faintlink.core.recordfile import Column, Record, fresh_seal_key, write_record
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import Run
from faintlink.core.units import Bits
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.conjugate.observations import Observations, observe
from faintlink.postprocess.report.outcome import write_outcome
from faintlink.postprocess.transfer.adversaries import DelayingReceiver, LyingReceiver, SpoilingSender
from faintlink.postprocess.transfer.panels import panels
from faintlink.postprocess.transfer.parties import Strings, TransferReceiver, TransferSender, syndrome_bits
from faintlink.postprocess.transfer.security import Certificate, certify, multi_photon_bound, sizes

STATEMENTS = (
    "Proved (Lemus et al. 2025): with binding commitments the receiver learns one string only, up to the sampling, "
    "binding and hash terms. How the terms join, and the exponent of the hash, were derived anew; see the "
    "documentation of faintlink.postprocess.transfer.security.",
    "Own derivation: pulses of several photons are all counted as known to a dishonest receiver, within a Chernoff "
    "bound for Poissonian pulses of the configured mean photon number.",
    "Computational: the receiver's choice is hidden from the sender as long as BLAKE2b of a random seed looks random.",
    "Measured: the error rate among opened positions with equal bases, against a limit fixed before the run.",
    "Assumed: phase-randomised Poissonian pulses of the configured mean photon number; both bases of the receiver "
    "detect with the same probability; an authenticated channel; both parties' random bits are private.",
)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What came of one transfer."""

    count: ErrorCount
    """The sender's test."""
    strings: Strings
    """The sender's."""
    chosen: Bits
    """The receiver's."""
    choice: int
    """The receiver's."""
    is_corrected: bool
    """Whether the receiver could correct its string."""


def transfer(sender: TransferSender, receiver: TransferReceiver, choice: int) -> Transfer:
    """Let both parties exchange their messages.

    Raises
    ------
    SecurityAbort, RemoteProtocolError
        As the parties.
    """
    commitments = receiver.commitments(sender.challenge())
    bases = sender.judge(receiver.openings(sender.choose_sample(commitments)))
    chosen = receiver.finish(sender.syndromes(receiver.sets(bases)))
    assert sender.count is not None
    assert sender.strings is not None
    return Transfer(sender.count, sender.strings, chosen, choice, receiver.is_corrected)


def analyse_run(run: Run, link: LinkConfig, folder: Path, entropy: Entropy, *, attack: str = "none") -> Outcome:
    """Judge a run of oblivious transfer, and leave records and report in a new folder.

    Parameters
    ----------
    run, link
        The run, and its configuration.
    folder
        Exists.
    entropy
        Of both parties; the choice is drawn from it too.
    attack
        A dishonest party of `faintlink.postprocess.transfer.adversaries`, for rehearsals.
    """
    policy = link.transfer
    if policy is None or link.source is None:
        raise ConfigError("the link file lacks the section 'transfer' or 'source'", hint="see lab_configs/ot.link.yaml")
    seen = first_detections(observe(run, link, pulses=policy.pulses), policy)
    mean = max(link.source.intensities)
    certificate = certify(
        policy, leaked_bits=float(syndrome_bits(policy)), multi_photon=multi_photon_bound(policy.pulses, mean)
    )
    choice = entropy.draw(1, "ot choice")[0] & 1
    sender, receiver = cast(policy, seen, choice, entropy, attack)
    try:
        done, reason = transfer(sender, receiver, choice), ""
    except (SecurityAbort, ProtocolError) as refusal:
        done, reason = None, f"{type(refusal).__name__}: {refusal.message}"
    outcome = _outcome(policy, certificate, sender.count, done, reason, attack)
    if done is not None:
        _write_records(folder, run.run_id, outcome, done, seen)
    write_outcome(outcome, folder, panels(policy, certificate, sender.count))
    return outcome


def first_detections(seen: Observations, policy: TransferPolicy) -> Observations:
    """Return the first N_0 detections of a session.

    Raises
    ------
    NotEnoughSignalsError
        There are fewer.
    """
    if len(seen) < policy.detections:
        raise NotEnoughSignalsError(
            f"{len(seen)} detections in {seen.pulses} pulses, the transfer needs {policy.detections}",
            hint="record more pulses, or agree on fewer detections before the next run",
        )
    keep = np.zeros(len(seen), np.bool_)
    keep[: policy.detections] = True
    return seen.where(keep)


def cast(
    policy: TransferPolicy, seen: Observations, choice: int, entropy: Entropy, attack: str
) -> tuple[TransferSender, TransferReceiver]:
    """Return the two parties of a session, one of them dishonest in a rehearsal."""
    sender_kind = SpoilingSender if attack == "spoil-syndrome" else TransferSender
    sender = sender_kind(policy, seen.sent_bit, seen.sent_basis, entropy)
    if attack == "delay-measurement":
        # With a perfect memory it would measure in the sender's bases, once these are known.
        return sender, DelayingReceiver(policy, seen.sent_bit, seen.sent_basis, choice, entropy)
    kind = LyingReceiver if attack == "lie-in-commitment" else TransferReceiver
    return sender, kind(policy, seen.bit, seen.basis, choice, entropy)


def _outcome(
    policy: TransferPolicy,
    certificate: Certificate,
    count: ErrorCount | None,
    done: Transfer | None,
    reason: str,
    attack: str,
) -> Outcome:
    found = sizes(policy)
    facts: dict[str, Any] = {
        "detections N_0": policy.detections,
        "tested": found.test,
        "tested with equal bases": count.bits if count else 0,
        "wrong among these": count.errors if count else 0,
        "error rate": count.errors / count.bits if count and count.bits else None,
        "largest error rate": policy.max_error_rate,
        "positions of each set": found.raw,
        "syndrome bits of each string": syndrome_bits(policy),
        "multi-photon pulses allowed for": certificate.multi_photon,
        "spare min-entropy (bits)": certificate.spare_bits,
        "string bits": policy.string_bits,
        "eps correct": certificate.eps_correct,
        "eps against a dishonest receiver": certificate.eps_sender,
        "eps against a dishonest sender": certificate.eps_receiver,
        "largest eps": policy.max_eps,
    }
    if attack != "none":
        facts["rehearsed attack"] = attack
    worst = max(certificate.eps_sender, certificate.eps_receiver)
    if not reason and worst > policy.max_eps:
        reason = f"the epsilon {worst:.3g} exceeds {policy.max_eps:.3g}, agreed on before"
    if not reason and done is not None and not done.is_corrected:
        reason = "the receiver could not correct its string, and keeps that to itself"
    verdict = f"No transfer: {reason}." if reason else "The receiver holds one of the sender's two strings."
    return Outcome("Oblivious transfer", not reason, verdict, facts, STATEMENTS)


def _write_records(folder: Path, run_id: str, outcome: Outcome, done: Transfer, seen: Observations) -> None:
    session = secrets.token_hex(8)
    header = {**outcome.facts, "accepted": outcome.is_accepted}
    public = {"slots": seen.slots}
    columns: dict[str, dict[str, Column]] = {
        "sender": {"string_0": done.strings.first, "string_1": done.strings.second},
        "receiver": {"choice": np.array([done.choice], np.uint8), "string": done.chosen},
    }
    for party, secret in columns.items():
        home = folder / party
        home.mkdir(mode=0o700)
        groups: dict[str, dict[str, Column]] = {"public": public, f"{party}_secret": secret}
        record = Record("transfer", session, run_id, party, header, groups)
        write_record(home / "transfer.h5", record, fresh_seal_key(home))
