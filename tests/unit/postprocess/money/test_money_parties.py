"""Branches, terminals and cheaters: honest cards pass, all others fail at the rates that are predicted."""

from pathlib import Path

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import LocalProtocolError, RecordMismatchError, RecordReplayedError, RemoteProtocolError
from faintlink.postprocess.money.adversaries import altered, cheater, expected, lossy_share
from faintlink.postprocess.money.messages import Challenge
from faintlink.postprocess.money.parties import Reason, Terminal, questions, slot_bases
from faintlink.postprocess.money.session import Play, measured_before
from faintlink.postprocess.money.wallet import Wallet
from tests.money import FIRST, MEAN_PHOTONS, Table, table

SEEDS = range(60)


def test_an_honest_card_is_accepted_by_every_seed(tmp_path: Path) -> None:
    answered = wrong = 0
    for seed in SEEDS:
        stage = table(tmp_path, seed, error=0.005)
        decision = stage.asked().verify(stage.terminal.answer(stage.challenge.encode()))
        assert decision.is_accepted
        answered, wrong = answered + decision.count.bits, wrong + decision.count.errors
    chance = -np.expm1(-MEAN_PHOTONS * 0.88)
    checks = len(SEEDS) * stage.policy.pairs
    # 5 sigma.
    assert abs(answered - checks * chance) < 5 * np.sqrt(checks * chance)
    assert abs(wrong - 0.005 * answered) < 5 * np.sqrt(0.005 * answered)


def served(stage: Table, attack: str, seed: int) -> list[tuple[Reason, int, int]]:
    """Return what two branches make of a cheater's answers."""
    first, second = stage.branch("north"), stage.branch("south")
    other = Challenge.decode(second.challenge(stage.card.serial, SeededEntropy(seed)))
    first.ask(stage.challenge)
    cheat = cheater(attack, stage.card, stage.policy, MEAN_PHOTONS)
    answers = cheat.answers(stage.challenge, other, np.random.default_rng(seed))
    decisions = [branch.verify(answer) for branch, answer in zip((first, second), answers, strict=True)]
    return [(one.reason, one.count.bits, one.count.errors) for one in decisions]


@pytest.mark.parametrize("attack", ["clone", "split", "lossy"])
def test_whoever_serves_two_branches_is_refused_as_predicted(tmp_path: Path, attack: str) -> None:
    answered = wrong = 0
    reasons = set()
    for seed in SEEDS:
        stage = table(tmp_path, seed)
        decisions = served(stage, attack, seed)
        assert not all(reason is Reason.ACCEPTED for reason, _, _ in decisions)
        for reason, bits, errors in decisions:
            reasons.add(reason)
            answered, wrong = answered + bits, wrong + errors
    share = {"clone": 1.0, "split": 0.0}.get(attack, lossy_share(stage.policy, MEAN_PHOTONS))
    rate, error = expected(MEAN_PHOTONS, share)
    checks = 2 * len(SEEDS) * stage.policy.pairs
    # 5 sigma; both branches may err together, which doubles the variance at most.
    assert abs(answered - checks * rate) < 5 * np.sqrt(2 * checks * rate)
    assert abs(wrong - error * answered) <= 5 * np.sqrt(2 * error * answered)
    assert (Reason.TOO_FEW_ANSWERS if attack == "split" else Reason.TOO_MANY_ERRORS) in reasons


def test_whoever_measures_without_a_memory_errs_in_a_quarter(tmp_path: Path) -> None:
    answered = wrong = 0
    for seed in SEEDS:
        stage = table(tmp_path, seed, error=0.0)
        wallet = Wallet(stage.card.serial, stage.challenge.seed, 0.0)
        play = Play(stage.policy, stage.card, stage.database, stage.terminal, wallet, MEAN_PHOTONS)
        decision = stage.asked().verify(measured_before(play, stage.challenge, np.random.default_rng(seed)))
        assert decision.reason is Reason.TOO_MANY_ERRORS
        answered, wrong = answered + decision.count.bits, wrong + decision.count.errors
    # 5 sigma.
    assert abs(wrong - 0.25 * answered) < 5 * np.sqrt(0.1875 * answered)


def test_an_altered_answer_is_refused(tmp_path: Path) -> None:
    for seed in range(20):
        stage = table(tmp_path, seed)
        data = altered(stage.terminal.answer(stage.challenge.encode()), 0.1, np.random.default_rng(seed))
        assert stage.asked().verify(data).reason is Reason.TOO_MANY_ERRORS


def test_too_long_a_storage_gives_too_few_answers(tmp_path: Path) -> None:
    stage = table(tmp_path, 1, transmission=0.5)
    answer = stage.terminal.answer(stage.challenge.encode())
    assert stage.asked().verify(answer).reason is Reason.TOO_FEW_ANSWERS


def test_a_card_is_good_once_even_for_a_branch_that_starts_anew(tmp_path: Path) -> None:
    stage = table(tmp_path, 1)
    branch, answer = stage.asked(), stage.terminal.answer(stage.challenge.encode())
    assert branch.verify(answer).is_accepted
    with pytest.raises(RecordReplayedError):
        branch.verify(answer)
    with pytest.raises(RecordReplayedError):
        stage.branch().verify(answer)
    with pytest.raises(RecordReplayedError):
        stage.branch().challenge(stage.card.serial, SeededEntropy(1))


def test_a_refused_card_is_spent_too(tmp_path: Path) -> None:
    stage = table(tmp_path, 1, error=0.2)
    branch, answer = stage.asked(), stage.terminal.answer(stage.challenge.encode())
    assert not branch.verify(answer).is_accepted
    with pytest.raises(RecordReplayedError):
        branch.verify(answer)


def test_a_card_is_not_asked_twice(tmp_path: Path) -> None:
    # Answers to two questions of one branch would tell a cheater which pulses are checked.
    stage = table(tmp_path, 1)
    branch = stage.asked()
    with pytest.raises(RecordReplayedError):
        branch.challenge(stage.card.serial, SeededEntropy(1))


def test_an_answer_to_another_challenge_is_refused(tmp_path: Path) -> None:
    stage = table(tmp_path, 1)
    branch = stage.branch()
    branch.challenge(stage.card.serial, SeededEntropy(1))
    with pytest.raises(RecordMismatchError, match="not to a challenge"):
        branch.verify(stage.terminal.answer(stage.challenge.encode()))
    with pytest.raises(RecordMismatchError):
        stage.branch("south").verify(stage.terminal.answer(stage.challenge.encode()))


def test_an_answer_for_a_card_that_was_never_issued_is_refused(tmp_path: Path) -> None:
    stage = table(tmp_path, 1)
    with pytest.raises(RecordMismatchError, match="no card"):
        stage.branch().challenge(bytes(16), SeededEntropy(1))


def test_light_of_one_card_does_not_pass_for_another(tmp_path: Path) -> None:
    one, other = table(tmp_path, 1), table(tmp_path, 2)
    challenge = Challenge(other.card.serial, one.challenge.seed)
    branch = other.branch()
    answer = one.terminal.answer(branch.ask(challenge))
    decision = branch.verify(answer)
    assert decision.reason is Reason.TOO_MANY_ERRORS
    # 5 sigma around a half.
    assert abs(decision.count.errors - decision.count.bits / 2) < 2.5 * np.sqrt(decision.count.bits)


def test_a_malformed_answer_neither_passes_nor_spends_the_card(tmp_path: Path) -> None:
    stage = table(tmp_path, 1)
    branch, answer = stage.asked(), stage.terminal.answer(stage.challenge.encode())
    with pytest.raises(RemoteProtocolError):
        branch.verify(answer[:-1])
    short = Terminal(FIRST, 100, slots=np.array([FIRST]), basis=np.zeros(1, np.uint8), bit=np.zeros(1, np.uint8))
    with pytest.raises(RemoteProtocolError, match="about 100 pulses"):
        branch.verify(short.answer(stage.challenge.encode()))
    assert branch.verify(answer).is_accepted


def test_a_detection_outside_the_card_is_not_reported(tmp_path: Path) -> None:
    stage = table(tmp_path, 1)
    terminal = Terminal(FIRST, 10, slots=np.array([FIRST + 10]), basis=np.zeros(1, np.uint8), bit=np.zeros(1, np.uint8))
    with pytest.raises(LocalProtocolError, match="outside"):
        terminal.answer(stage.challenge.encode())


def test_both_pulses_of_a_pair_are_asked_in_one_basis(tmp_path: Path) -> None:
    stage = table(tmp_path, 1)
    bases = slot_bases(stage.challenge.seed, FIRST + stage.policy.pulses)
    assert np.array_equal(bases[0::2], bases[1::2])
    at = FIRST + 2 * stage.card.pair
    assert np.array_equal(questions(stage.challenge.seed, stage.card), bases[at])
    assert stage.terminal.misled(stage.challenge) == 0.0
    assert abs(stage.terminal.misled(Challenge(stage.card.serial, bytes(32))) - 0.5) < 0.1
