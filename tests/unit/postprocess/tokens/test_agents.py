"""The agents at the points: what is accepted, what is refused and why, and that all count alike."""

import numpy as np
import pytest

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.conjugate.verifier import compare
from faintlink.postprocess.tokens.agents import BankAgent, UserAgent, commitment
from faintlink.postprocess.tokens.issue import unpacked
from faintlink.postprocess.tokens.messages import Holding, Kind, Reason, choice_message, message
from faintlink.postprocess.tokens.network import Order
from tests.tokens import Session, issued, small_policy

POLICY = small_policy(pulses=9000, positions=1000, point_bits=3)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_a_token_is_good_at_its_own_point_and_at_no_other(bits: int) -> None:
    policy = small_policy(pulses=2400 * bits, positions=1000, point_bits=bits)
    for point in range(2**bits):
        session = issued(policy, 10 * bits + point, point=point)
        for other in range(2**bits):
            assert session.present(Order(other)).is_accepted is (other == point)


def test_at_a_wrong_point_half_of_the_outcomes_are_wrong_in_the_copies_that_differ() -> None:
    session = issued(POLICY, 1, point=0)
    counts = session.present(Order(5)).counts
    for copy, (bits, errors) in enumerate(counts):
        expected = 0.5 if 5 >> copy & 1 else 0.01
        assert abs(errors - expected * bits) < 5 * np.sqrt(max(expected * (1 - expected) * bits, 4))


@pytest.mark.parametrize("point", [0, 6])
def test_the_agent_counts_as_the_shared_verifier_does(point: int) -> None:
    session = issued(POLICY, 2, point=3, error=0.04)
    counts = session.present(Order(point)).counts
    choice = session.user.choose(3)[-1]
    for copy, (bits, errors) in enumerate(counts):
        held, sent = session.user.held[copy], session.bank.issued[copy]
        measured = held.offsets ^ np.uint8((choice ^ point) >> copy & 1)
        verdict = compare(held.bit, sent.bit, measured == sent.basis, max_error_rate=0.1)
        assert (verdict.count.bits, verdict.count.errors) == (bits, errors)


def test_each_position_counts_at_exactly_one_of_two_points_that_differ_everywhere() -> None:
    session = issued(POLICY, 3)
    here, there = session.present(Order(2)).counts, session.present(Order(5)).counts
    assert [a[0] + b[0] for a, b in zip(here, there, strict=True)] == [1000] * 3


def test_a_second_presentation_at_one_point_is_a_replay() -> None:
    session = issued(POLICY, 4)
    assert session.present(Order(0)).reason is Reason.ACCEPTED
    again = session.present(Order(0))
    assert (again.reason, again.counts) == (Reason.REPLAYED, ())


def test_a_refused_presentation_cannot_be_repeated_with_better_luck() -> None:
    session = issued(POLICY, 5)
    assert session.present(Order(1)).reason is Reason.TOO_MANY_ERRORS
    assert session.present(Order(1)).reason is Reason.REPLAYED


def changed(session: Session, at: int) -> bytes:
    honest = session.user.holding()
    first = bytearray(honest.outcomes[0])
    first[at] ^= 1
    other = Holding(honest.session, honest.positions, (bytes(first), *honest.outcomes[1:]), honest.nonces)
    return other.encode(Kind.PRESENTATION)


def test_outcomes_that_were_not_committed_to_are_refused_even_if_they_fit() -> None:
    session = issued(POLICY, 6)
    assert session.banks[0].judge(changed(session, 7)).reason is Reason.OTHER_OUTCOMES


def test_without_commitments_a_changed_bit_is_one_error_at_most() -> None:
    policy = small_policy(pulses=6000, positions=1000, has_commitments=False)
    session = issued(policy, 7, error=0.0)
    decision = session.banks[0].judge(changed(session, 7))
    assert decision.is_accepted
    assert decision.counts[0][1] <= 1


@pytest.mark.parametrize("data", [b"", b"fT\x01\x07", bytes(5000)])
def test_whatever_arrives_gets_a_decision(data: bytes) -> None:
    session = issued(POLICY, 8)
    assert session.banks[0].judge(data).reason is Reason.MALFORMED
    assert session.present(Order(0)).is_accepted


def test_a_token_of_another_session_is_not_due() -> None:
    session, other = issued(POLICY, 9), issued(POLICY, 10)
    shown = other.user.holding().encode(Kind.PRESENTATION)
    assert session.banks[0].judge(shown).reason is Reason.NOT_DUE


def test_nothing_is_accepted_before_the_choice() -> None:
    session = issued(POLICY, 11)
    agent = BankAgent(0)
    assert agent.judge(b"").reason is Reason.NOT_DUE
    agent.take_deposit(session.bank.deposit())
    assert agent.judge(session.user.holding().encode(Kind.PRESENTATION)).reason is Reason.NOT_DUE


def test_deposits_and_choices_come_once_and_in_order() -> None:
    session = issued(POLICY, 12)
    deposit, choice = session.bank.deposit(), session.user.choose(0)
    with pytest.raises(RemoteProtocolError, match="after the deposit"):
        BankAgent(0).take_choice(choice)
    with pytest.raises(RemoteProtocolError, match="does not fit"):
        session.banks[0].take_deposit(deposit)
    with pytest.raises(RemoteProtocolError, match="once"):
        session.banks[0].take_choice(choice)
    with pytest.raises(RemoteProtocolError, match="point 8"):
        BankAgent(8).take_deposit(deposit)


def test_an_agent_presents_only_when_its_own_session_is_ordered() -> None:
    with pytest.raises(LocalProtocolError):
        UserAgent().presentation(message(Kind.GO, bytes(16)))
    session = issued(POLICY, 13)
    with pytest.raises(RemoteProtocolError, match="another session"):
        session.users[0].presentation(message(Kind.GO, bytes(16)))


def test_the_clock_of_the_agent_measures_its_decision() -> None:
    ticks = iter(range(0, 10**6, 1000))
    session = issued(POLICY, 14)
    agent = BankAgent(0, clock=lambda: next(ticks), now=lambda: 77)
    agent.take_deposit(session.bank.deposit())
    agent.take_choice(session.user.choose(0))
    decision = agent.judge(session.user.holding().encode(Kind.PRESENTATION))
    assert (decision.validation_ns, decision.arrival_ns) == (1000, 77)


def test_a_nonce_of_another_length_is_refused() -> None:
    assert commitment(b"", b"d", b"x") == b""
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        commitment(b"short", b"d", b"x")


def test_packed_bits_of_another_length_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="9 bits"):
        unpacked(b"\0", 9)


def test_the_choice_says_nothing_of_the_point_and_the_mask_decides() -> None:
    # c = b + z: over many sessions with one point, c is a fair coin; 400 of them, 5 sigma.
    policy = small_policy(point_bits=1)
    ones = sum(issued(policy, seed, point=1).user.choose(1)[-1] for seed in range(400))
    assert abs(ones - 200) < 5 * 10
    assert choice_message(bytes(16), 1)[-1] == 1
