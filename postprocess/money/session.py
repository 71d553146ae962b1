"""From a recorded run to a card that was minted, kept, challenged and decided, with records, certificate and report.

``faintlink process`` and ``faintlink money`` call `analyse_run`. Bank, branches and terminal are played in one process
and exchange bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ConfigError, NotEnoughSignalsError, RecordReplayedError
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.conjugate.biases import CountedBias
from faintlink.postprocess.conjugate.observations import observe
from faintlink.postprocess.money.adversaries import (
    ALTERED_SHARE,
    TWO_COPIES,
    altered,
    cheater,
    expected,
    lossy_share,
)
from faintlink.postprocess.money.card import BANK, SERIAL_BYTES, Card, CardDatabase, mint
from faintlink.postprocess.money.messages import Answer, Challenge
from faintlink.postprocess.money.panels import panels
from faintlink.postprocess.money.parties import Branch, Decision, Terminal
from faintlink.postprocess.money.records import TERMINAL, party_home, write_answer, write_verdicts
from faintlink.postprocess.money.sdp import has_solver
from faintlink.postprocess.money.security import CONSERVATIVE, STATEMENTS, Certificate, certify
from faintlink.postprocess.money.wallet import Wallet, wallet_of
from faintlink.postprocess.qkd.sift import SettingsCursor
from faintlink.postprocess.report.outcome import write_outcome
from faintlink.postprocess.tokens.adversaries import generator

MAX_MISLED = 0.01
"""More detections than this share in other bases, and the receiver was not driven by the challenge."""
BRANCHES = ("Harbour", "Old Town")


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of a card at the branches."""

    decisions: tuple[Decision, ...]
    answers: tuple[bytes, ...]
    """As they were received."""
    refusal: str
    """Why a branch did not look at an answer; empty when each did."""


def analyse_run(run: Run, link: LinkConfig, folder: Path, entropy: Entropy, *, attack: str = "none") -> Outcome:
    """Mint a card from a run, have it verified; leave records and report in ``folder``.

    Parameters
    ----------
    run, link
        The recorded run, with ``card.json`` beside it, and its configuration.
    folder
        New folder.
    entropy
        Questions of the second branch, and random bits of the dishonest in a rehearsal.
    attack
        One of `adversaries.ATTACKS`, for a rehearsal; anything but none is expected to be refused.

    Raises
    ------
    ConfigError
        The link is none of a card, or the receiver did not measure in the bases of the challenge.
    NotEnoughSignalsError
        The run is too short for the card.
    SchemaError
        There is no card beside the run.
    """
    policy, mean_photons = policy_of(link)
    wallet = wallet_of(run)
    card, terminal = card_of(run, link, policy, wallet)
    if terminal.misled(wallet.challenge) > MAX_MISLED:
        raise ConfigError(
            f"{100 * terminal.misled(wallet.challenge):.1f} % of the detections are not in the basis that the "
            "challenge asks",
            hint="drive the receiver's modulator by the challenge; random bases answer no challenge",
        )
    bank_key, terminal_key = party_home(folder, BANK), party_home(folder, TERMINAL)
    database = CardDatabase(folder / BANK, bank_key)
    database.issue(card, run.run_id)
    shown = show(Play(policy, card, database, terminal, wallet, mean_photons), attack, entropy)
    count = shown.decisions[0].count if shown.decisions else ErrorCount()
    certificate = certify(policy, mean_photons, count)
    faults = certificate.shortcomings(policy) + _bias_alarms(policy, card)
    outcome = _outcome(certificate, policy, mean_photons, shown, faults, wallet, attack)
    write_verdicts(folder, run.run_id, wallet, shown.decisions, outcome, policy, bank_key)
    write_answer(folder, run.run_id, wallet, card, shown.answers[0], terminal_key)
    write_outcome(outcome, folder, panels(policy, mean_photons, shown.decisions, wallet.storage_us))
    return outcome


def policy_of(link: LinkConfig) -> tuple[MoneyPolicy, float]:
    """Return a link's policy and mean photon number.

    Raises
    ------
    ConfigError
        It is none of a card.
    """
    policy, source = link.money, link.source
    if policy is None or source is None or len(source.intensities) != 1 or source.preamble.slots % 2:
        raise ConfigError(
            f"link {link.name} is none of a card: it needs the section `money`, one intensity, and an even preamble",
            hint="see lab_configs/money.link.yaml",
        )
    return policy, source.intensities[0]


def card_of(run: Run, link: LinkConfig, policy: MoneyPolicy, wallet: Wallet) -> tuple[Card, Terminal]:
    """Return the card that the sender of a run played, and the terminal that has read it."""
    seen = observe(run, link, pulses=policy.pulses)
    first, last = seen.first_slot, seen.first_slot + policy.pulses - 1
    slots, codes = SettingsCursor(run[Party.ALICE].settings()).upto(first, last)
    inside = (slots >= first) & (slots <= last)
    if int(np.count_nonzero(inside)) != policy.pulses:
        raise NotEnoughSignalsError(
            f"the sender's record holds {np.count_nonzero(inside)} of the card's {policy.pulses} pulses",
            hint="record longer; a card's length is fixed before its first pulse",
        )
    played: npt.NDArray[np.uint8] = codes[inside]
    card = mint(played, serial=wallet.serial, first_slot=first, pairs=policy.pairs)
    return card, Terminal(first, policy.pulses, slots=seen.slots, basis=seen.basis, bit=seen.bit)


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """All that stands on the stage of one card."""

    policy: MoneyPolicy
    card: Card
    database: CardDatabase
    terminal: Terminal
    wallet: Wallet
    mean_photons: float


def show(play: Play, attack: str, entropy: Entropy) -> Shown:
    """Present a card to one branch, or as an attack does, and return what came of it."""
    first, second = (Branch(name, play.policy, play.database) for name in BRANCHES)
    challenge = play.wallet.challenge
    if attack in TWO_COPIES:
        other = Challenge.decode(second.challenge(play.card.serial, entropy))
        first.ask(challenge)
        copies = cheater(attack, play.card, play.policy, play.mean_photons)
        answers = copies.answers(challenge, other, generator(entropy))
        return _decided([(first, answers[0]), (second, answers[1])])
    if attack == "other-card":
        challenge = _other_card(play, challenge, entropy)
    answer = play.terminal.answer(first.ask(challenge))
    if attack == "measured":
        answer = measured_before(play, challenge, generator(entropy))
    if attack == "altered":
        answer = altered(answer, ALTERED_SHARE, generator(entropy))
    return _decided([(first, answer)] * (2 if attack == "replay" else 1))


def _decided(presented: list[tuple[Branch, bytes]]) -> Shown:
    decisions: list[Decision] = []
    answers = tuple(answer for _, answer in presented)
    for branch, answer in presented:
        try:
            decisions.append(branch.verify(answer))
        except RecordReplayedError as refusal:
            return Shown(tuple(decisions), answers, refusal.message)
    return Shown(tuple(decisions), answers, "")


def measured_before(play: Play, challenge: Challenge, rng: np.random.Generator) -> bytes:
    """Return the answer of a holder without a memory, who has measured every pulse in a basis of its choice."""
    card, seen = play.card, Answer.decode(play.terminal.answer(challenge.encode()))
    sent = rng.integers(0, 2, card.pulses, dtype=np.uint8)
    for question in (0, 1):
        slots, bits = card.checked(np.full(card.pair.size, question, np.uint8))
        sent[slots - card.first_slot] = bits
    is_blind = rng.random(card.pulses) < 0.5
    outcome = np.where(is_blind, rng.integers(0, 2, card.pulses), sent).astype(np.uint8)
    return Answer(seen.serial, seen.challenge, seen.detected, outcome[seen.detected == 1]).encode()


def _other_card(play: Play, challenge: Challenge, entropy: Entropy) -> Challenge:
    """Issue another card and return a challenge to it, with the questions that the light was measured by."""
    rng, card = generator(entropy), play.card
    serial = entropy.draw(SERIAL_BYTES, "money card")
    columns = (rng.integers(0, 2, card.pair.size, dtype=np.uint8) for _ in range(3))
    play.database.issue(Card(serial, card.first_slot, card.pulses, card.pair, *columns))
    return Challenge(serial, challenge.seed)


def _bias_alarms(policy: MoneyPolicy, card: Card) -> list[str]:
    bits = CountedBias("bits", int(card.z_bit.sum()) + int(card.x_bit.sum()), 2 * card.pair.size)
    alarm = bits.alarm(policy.bit_bias)
    return [alarm] if alarm else []


def _outcome(
    certificate: Certificate,
    policy: MoneyPolicy,
    mean_photons: float,
    shown: Shown,
    faults: list[str],
    wallet: Wallet,
    attack: str,
) -> Outcome:
    count = shown.decisions[0].count if shown.decisions else ErrorCount()
    facts: dict[str, Any] = {
        "card": wallet.serial.hex(),
        "pulses": policy.pulses,
        "pairs": policy.pairs,
        "storage time (us)": wallet.storage_us,
        "checked pulses answered": count.bits,
        "fewest answers": policy.min_answered,
        "answered share, lower bound": certificate.answered,
        "wrong": count.errors,
        "error rate": count.rate if count.bits else None,
        "its upper bound": certificate.error_rate,
        "largest error rate": policy.max_error_rate,
        "branches that do not ask each other": policy.branches,
        "eps_clone": certificate.clone.epsilon,
        "log10 of eps_clone": certificate.clone.ln_epsilon / np.log(10.0),
        "bound on clones": "semidefinite program" if certificate.clone.is_optimised else "conservative",
        "eps_honest": certificate.eps_honest,
        "decisions": [_in_words(one) for one in shown.decisions],
    }
    if attack != "none":
        facts["rehearsed attack"] = attack
        facts["to expect at each branch"] = prediction(attack, policy, mean_photons)
    verdict, is_good = _verdict(shown, faults, attack)
    statements = STATEMENTS if has_solver() else (*STATEMENTS, CONSERVATIVE)
    return Outcome("Quantum money", is_good, verdict, facts, statements)


def _verdict(shown: Shown, faults: list[str], attack: str) -> tuple[str, bool]:
    refused = [_in_words(one) for one in shown.decisions if not one.is_accepted]
    if shown.refusal or refused:
        return f"Refused: {'; '.join([*refused, *([shown.refusal] if shown.refusal else [])])}.", False
    if attack in TWO_COPIES:
        return "Forged: both branches accepted one card.", False
    words = _in_words(shown.decisions[0])
    if faults:
        return f"Accepted, but not certified: {'; '.join(faults)}.", False
    return f"Accepted: {words}.", True


def prediction(attack: str, policy: MoneyPolicy, mean_photons: float) -> dict[str, float]:
    """Return what an attack shows at a branch, for an honest error rate of nothing."""
    if attack in TWO_COPIES:
        share = {"clone": 1.0, "split": 0.0}.get(attack, lossy_share(policy, mean_photons))
        answered, error = expected(mean_photons, share)
        return {"answered": answered * policy.pairs, "error rate": error}
    return {"error rate": {"measured": 0.25, "altered": ALTERED_SHARE, "other-card": 0.5}.get(attack, 0.0)}


def _in_words(one: Decision) -> str:
    counts = f"{one.count.errors} of {one.count.bits} wrong"
    return f"{one.branch}: {one.reason.name.lower().replace('_', ' ')} ({counts})"
