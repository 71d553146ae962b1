"""The issue of a token: what may be reported, and that a report tells nothing of the user's secret."""

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import LocalProtocolError, NotEnoughSignalsError, RemoteProtocolError
from faintlink.postprocess.tokens.adversaries import FreeUser, ShortUser
from faintlink.postprocess.tokens.issue import Sent, TokenBank, TokenUser, balanced, copies_of
from faintlink.postprocess.tokens.messages import Kind, message
from tests.tokens import detections, issued, small_policy

POLICY = small_policy(pulses=4000, positions=400, point_bits=2)


def parties(seed: int = 1, kind: type[TokenUser] = TokenUser) -> tuple[TokenBank, TokenUser]:
    seen = detections(POLICY, seed)
    sent = Sent(seen.slots, seen.sent_basis, seen.sent_bit)
    user = kind(POLICY, copies_of(seen, POLICY), SeededEntropy(seed))
    return TokenBank(POLICY, 1000, sent, SeededEntropy(seed + 1)), user


def test_a_copy_reports_half_of_its_positions_in_each_basis() -> None:
    _, user = parties()
    for number, held in enumerate(user.held):
        assert held.basis.sum() == 200
        assert (np.diff(held.slots) > 0).all()
        assert ((held.slots - 1000) // 2000 == number).all()


def test_uneven_detection_leaves_no_trace_in_what_the_bank_sees() -> None:
    # 70 : 30 in the user's bases; d is even in every part of the session for both z. 200 sessions, 5 sigma.
    policy = small_policy(pulses=2000, positions=200)
    early = np.zeros(2)
    sessions = np.zeros(2)
    for seed in range(200):
        seen = detections(policy, seed, share_x=0.3)
        (held,) = TokenUser(policy, copies_of(seen, policy), SeededEntropy(seed)).held
        assert held.offsets.sum() == 100
        early[held.mask] += held.offsets[:100].sum()
        sessions[held.mask] += 1
    # The ones among the first hundred of two hundred are hypergeometric: variance 100/4 * 100/199.
    assert (abs(early - 50 * sessions) < 5 * np.sqrt(12.6 * sessions)).all()


def test_too_few_detections_of_one_basis_make_no_token() -> None:
    basis = np.array([0] * 50 + [1] * 9, np.uint8)
    with pytest.raises(NotEnoughSignalsError, match="9 detections in basis 1"):
        balanced(basis, 20, SeededEntropy(1))


@pytest.mark.parametrize(("kind", "words"), [(ShortUser, "cut short"), (FreeUser, "must rise")])
def test_a_report_of_fewer_positions_is_refused(kind: type[TokenUser], words: str) -> None:
    bank, user = parties(kind=kind)
    with pytest.raises(RemoteProtocolError, match=words):
        bank.take_report(user.report(bank.session))
    with pytest.raises(LocalProtocolError, match="not issued"):
        bank.deposit()


def test_a_report_of_slots_of_another_copy_is_refused() -> None:
    bank, user = parties()
    first, second = (held.slots.astype("<i8").tobytes() for held in user.held)
    with pytest.raises(RemoteProtocolError, match="copy 0"):
        bank.take_report(message(Kind.REPORT, bank.session, second, first))


def test_a_report_of_slots_that_were_not_played_is_refused() -> None:
    bank, user = parties()
    slots = [held.slots.copy() for held in user.held]
    missing = np.setdiff1d(np.arange(1000, 3000), detections(POLICY, 1).slots)[0]
    slots[0][0] = missing
    slots[0].sort()
    with pytest.raises(RemoteProtocolError, match="did not play"):
        bank.take_report(message(Kind.REPORT, bank.session, *(s.astype("<i8").tobytes() for s in slots)))


def test_messages_come_once_and_in_order() -> None:
    bank, user = parties()
    report = user.report(bank.session)
    with pytest.raises(RemoteProtocolError, match="after the report"):
        bank.take_token(user.token())
    bank.take_report(report)
    with pytest.raises(RemoteProtocolError, match="second report"):
        bank.take_report(report)
    bank.take_token(user.token())
    with pytest.raises(RemoteProtocolError, match="once"):
        bank.take_token(user.token())


def test_a_token_of_another_length_is_refused() -> None:
    bank, user = parties()
    bank.take_report(user.report(bank.session))
    with pytest.raises(RemoteProtocolError, match="cut short"):
        bank.take_token(user.token()[:-1])


def test_a_point_that_does_not_exist_cannot_be_chosen() -> None:
    session = issued(POLICY, 3)
    with pytest.raises(LocalProtocolError, match="4 points"):
        session.user.choose(4)


def test_the_bank_reads_the_choice_of_its_session() -> None:
    session = issued(POLICY, 4)
    choice = session.user.choose(2)
    assert session.bank.take_choice(choice) == choice[-1]
