"""Agents in processes of their own: they decide by what they were given, and their death has a name."""

import time

import pytest

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.tokens.messages import Reason
from faintlink.postprocess.tokens.network import Order, presentation_points
from tests.tokens import issued, small_policy


@pytest.mark.parametrize("bits", [1, 2])
def test_each_point_decides_in_its_own_process(bits: int) -> None:
    policy = small_policy(pulses=400 * bits, point_bits=bits, max_error_rate=0.2)
    session = issued(policy, 1, point=1)
    points = 2**bits
    with presentation_points(points) as network:
        network.hand_out(session.bank.deposit(), session.user.choose(1), [session.user.holding()] * points)
        reasons = []
        for point in range(points):
            start = time.perf_counter_ns()
            presented = network.present(Order(point))
            took = time.perf_counter_ns() - start
            assert 0 < presented.decision.validation_ns <= presented.round_ns <= took
            assert presented.decision.counts == session.present(Order(point)).counts
            reasons.append(presented.decision.reason)
        assert reasons.count(Reason.ACCEPTED) == 1
        assert reasons[1] is Reason.ACCEPTED
        assert network.present(Order(1)).decision.reason is Reason.REPLAYED


def test_the_passed_on_presentation_is_what_the_user_holds() -> None:
    session = issued(small_policy(), 2)
    with presentation_points(2) as network:
        network.hand_out(session.bank.deposit(), session.user.choose(0), [session.user.holding()] * 2)
        shown = network.present(Order(0)).shown
    assert session.user.holding().outcomes[0] in shown


def test_an_agent_that_cannot_use_its_deposit_ends_with_a_named_error() -> None:
    session = issued(small_policy(), 3)
    with presentation_points(2) as network, pytest.raises(RemoteProtocolError, match="has ended"):
        network.hand_out(b"no deposit", session.user.choose(0), [session.user.holding()] * 2)
