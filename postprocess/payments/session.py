"""From a recorded run to a payment that was made and decided, with records, certificate and report.

``faintlink process`` and ``faintlink payment`` call `analyse_run`. Client, merchants and bank are played in one process
and exchange bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ConfigError, RemoteProtocolError
from faintlink.core.recordfile import Column, Record, fresh_seal_key, write_record
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import Run
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.conjugate.biases import bias_alarms
from faintlink.postprocess.conjugate.observations import Observations, observe
from faintlink.postprocess.payments.account import Account, account_of
from faintlink.postprocess.payments.adversaries import (
    ALTERED_SHARE,
    ChoosingClient,
    TwoMerchantClient,
    altered,
    error_rates,
)
from faintlink.postprocess.payments.panels import panels
from faintlink.postprocess.payments.parties import Bank, Client, Decision, MerchantShop, bases_at, least_distance
from faintlink.postprocess.payments.security import STATEMENTS, Certificate, certify
from faintlink.postprocess.report.outcome import write_outcome
from faintlink.postprocess.tokens.adversaries import generator

MAX_UNPRESCRIBED = 0.01
"""More detections than this share in other bases, and the receiver was not driven by the prescribed ones."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What came of one session."""

    decisions: tuple[Decision, ...]
    refusal: str
    """Why the bank did not take the report; empty when it did."""


def analyse_run(run: Run, link: LinkConfig, folder: Path, entropy: Entropy, *, attack: str = "none") -> Outcome:
    """Make a payment with a run and have it decided; leave records and report in ``folder``.

    Parameters
    ----------
    run, link
        The recorded run, with the session's ``client.json`` beside it, and its configuration.
    folder
        New folder.
    entropy
        Random bits of the dishonest in a rehearsal; an honest payment needs none.
    attack
        One of `adversaries.ATTACKS`, for a rehearsal; anything but none is expected to be refused.

    Raises
    ------
    ConfigError
        The link is none of a payment, or the receiver measured in other bases than prescribed.
    NotEnoughSignalsError
        Fewer detections than agreed on.
    SchemaError
        There is no session beside the run.
    """
    policy, source = link.payment, link.source
    if policy is None or source is None or len(source.intensities) != 1:
        raise ConfigError(
            f"link {link.name} is none of a payment: it needs the section `payment` and one intensity",
            hint="see lab_configs/payment.link.yaml",
        )
    account = account_of(run)
    if account.merchant not in policy.merchants:
        raise ConfigError(f"the session pays {account.merchant!r}, who is not registered in link {link.name}")
    seen = observe(run, link, pulses=policy.pulses)
    check_bases(account, seen)
    bank = bank_of(policy, account, seen)
    client = client_of(policy, account, seen, attack, entropy)
    paid = pay(bank, client, account.merchant, attack, entropy)
    mean_photons = source.intensities[0]
    count = paid.decisions[0].count if paid.decisions else ErrorCount()
    certificate = certify(policy, mean_photons, detections=len(seen), errors=count)
    faults = certificate.shortcomings(policy) + bias_alarms(
        seen, bit_bias=policy.bit_bias, basis_bias=policy.basis_bias
    )
    outcome = _outcome(certificate, bank, paid, len(seen), faults, attack)
    _write_records(folder, run.run_id, outcome, bank, client, account)
    write_outcome(outcome, folder, panels(policy, mean_photons, certificate, paid.decisions))
    return outcome


def check_bases(account: Account, seen: Observations) -> None:
    """Refuse a run whose receiver did not measure as prescribed.

    Raises
    ------
    ConfigError
        It did not.
    """
    prescribed = bases_at(account.secret, account.session, account.merchant, seen.slots)
    share = float(np.mean(prescribed != seen.basis))
    if share > MAX_UNPRESCRIBED:
        raise ConfigError(
            f"{100 * share:.1f} % of the detections are not in the bases that the session prescribes",
            hint="drive the receiver's modulator by the session's seed; random bases make no payment",
        )


def bank_of(policy: PaymentPolicy, account: Account, seen: Observations) -> Bank:
    """Return the bank of a session."""
    return Bank(
        policy,
        account.session,
        account.secret,
        first_slot=seen.first_slot,
        slots=seen.slots,
        basis=seen.sent_basis,
        bit=seen.sent_bit,
    )


def client_of(policy: PaymentPolicy, account: Account, seen: Observations, attack: str, entropy: Entropy) -> Client:
    """Return the client of a session, dishonest in some rehearsals."""
    both = (account.merchant, other_merchant(policy, account.merchant))
    common = (policy, account.session, account.secret, seen.slots, seen.bit)
    if attack == "two-merchants":
        return TwoMerchantClient(*common, sent=seen.sent_bit, merchants=both, rng=generator(entropy))
    if attack == "chosen-positions":
        return ChoosingClient(*common, merchants=both)
    return Client(*common)


def other_merchant(policy: PaymentPolicy, merchant: str) -> str:
    """Return another registered merchant."""
    return next(name for name in policy.merchants if name != merchant)


def pay(bank: Bank, client: Client, merchant: str, attack: str, entropy: Entropy) -> Paid:
    """Report, pay and decide; the second of two merchants asks a branch of its own."""
    try:
        bank.take_report(client.report())
    except RemoteProtocolError as refusal:
        return Paid((), refusal.message)
    cryptogram = client.cryptogram()
    if attack == "altered":
        cryptogram = altered(cryptogram, ALTERED_SHARE, generator(entropy))
    other = other_merchant(bank.policy, merchant)
    branch = bank.branch()
    if attack == "wrong-merchant":
        return Paid((branch.decide(MerchantShop(other).request(cryptogram), merchant=other),), "")
    decisions = [branch.decide(MerchantShop(merchant).request(cryptogram), merchant=merchant)]
    if attack == "two-merchants":
        decisions.append(bank.branch().decide(MerchantShop(other).request(cryptogram), merchant=other))
    if attack == "replay":
        decisions.append(branch.decide(MerchantShop(merchant).request(cryptogram), merchant=merchant))
    return Paid(tuple(decisions), "")


def _outcome(
    certificate: Certificate, bank: Bank, paid: Paid, detections: int, faults: list[str], attack: str
) -> Outcome:
    policy = bank.policy
    count = paid.decisions[0].count if paid.decisions else ErrorCount()
    facts: dict[str, Any] = {
        "pulses N": policy.pulses,
        "detections": detections,
        "positions reported": policy.positions,
        "loss allowed": 1.0 - policy.positions / policy.pulses,
        "merchants registered": len(policy.merchants),
        "least distance of two merchants' bases": least_distance(bank.prescribed) if bank.prescribed else None,
        "least distance that is taken": certificate.differing,
        "positions compared": count.bits,
        "wrong": count.errors,
        "error rate": count.rate if count.bits else None,
        "its upper bound": certificate.error_rate,
        "largest error rate": policy.max_error_rate,
        "least error of a forger per position": float(certificate.forging.error_per_position),
        "positions conceded for several photons": certificate.forging.conceded,
        "errors that two merchants let pass": certificate.errors,
        "eps_double": certificate.eps_double,
        "eps_honest": certificate.eps_honest,
        "requests": [_in_words(one) for one in paid.decisions],
    }
    if attack != "none":
        facts["rehearsed attack"] = attack
        facts["error rates to expect at its requests, with 1 % of an honest one"] = error_rates(attack, 0.01)
    refused = [one for one in paid.decisions if not one.is_accepted]
    if paid.refusal:
        verdict = f"Refused: the bank does not take the report: {paid.refusal}."
    elif refused:
        verdict = f"Refused: {'; '.join(_in_words(one) for one in refused)}."
    elif faults:
        verdict = f"Paid, but not certified: {'; '.join(faults)}."
    else:
        verdict = f"Paid: {_in_words(paid.decisions[0])}."
    is_good = not (paid.refusal or refused or faults)
    return Outcome("Quantum-digital payment", is_good, verdict, facts, STATEMENTS)


def _in_words(one: Decision) -> str:
    counts = f" ({one.count.errors} of {one.count.bits} wrong)" if one.count.bits else ""
    return f"{one.merchant}: {one.reason.name.lower().replace('_', ' ')}{counts}"


def _write_records(folder: Path, run_id: str, outcome: Outcome, bank: Bank, client: Client, account: Account) -> None:
    header = {**outcome.facts, "accepted": outcome.is_accepted, "policy": bank.policy.model_dump()}
    public: dict[str, Column] = {"slots": client.slots}
    columns: dict[str, dict[str, Column]] = {
        "bank": {"basis": bank.basis, "bit": bank.bit},
        "client": {
            "prescribed": bases_at(account.secret, account.session, account.merchant, client.slots),
            "outcomes": client.bit,
        },
    }
    for party, secret in columns.items():
        home = folder / party
        home.mkdir(mode=0o700)
        record = Record(
            "payment", account.session.hex(), run_id, party, header, {"public": public, f"{party}_secret": secret}
        )
        write_record(home / "payment.h5", record, fresh_seal_key(home))
