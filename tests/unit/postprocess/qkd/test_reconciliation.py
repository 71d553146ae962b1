"""Who corrects a block: the link's word, or a rule that both sides follow alike."""

import itertools
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.config.link import Distillation
from faintlink.postprocess.qkd import hash_families
from faintlink.postprocess.qkd.reconciliation import Plan, Reconciler, choose

BLOCK_S = 10.0


def chosen(round_trip_ms: float, *, qber: float = 0.02, bits: int = 4_000_000, name: str = "auto") -> Reconciler:
    wanted = Distillation.model_validate({"reconciliation": name, "round_trip_ms": round_trip_ms})
    return choose(wanted, qber=qber, bits=bits, block_s=BLOCK_S)


@pytest.mark.parametrize(
    ("round_trip_ms", "who"),
    [
        (0.0, Reconciler.CASCADE),
        (14.0, Reconciler.CASCADE),
        (20.0, Reconciler.CASCADE_FEW_MESSAGES),
        (56.0, Reconciler.CASCADE_FEW_MESSAGES),
        (60.0, Reconciler.LDPC),
        (600.0, Reconciler.LDPC),
    ],
)
def test_the_slower_the_line_the_fewer_messages(round_trip_ms: float, who: Reconciler) -> None:
    assert chosen(round_trip_ms) is who


@pytest.mark.parametrize(("qber", "bits"), [(0.008, 4_000_000), (0.02, 50_000), (0.02, 60_000_000)])
def test_ldpc_is_left_where_it_is_weak_or_too_slow(qber: float, bits: int) -> None:
    assert chosen(600.0, qber=qber, bits=bits) is Reconciler.CASCADE_FEW_MESSAGES


@pytest.mark.parametrize("round_trip_ms", [0.0, 1_000.0])
def test_the_links_own_word_is_followed_whatever_the_line(round_trip_ms: float) -> None:
    assert chosen(round_trip_ms, name="cascade") is Reconciler.CASCADE
    assert chosen(round_trip_ms, name="cascade-few-messages") is Reconciler.CASCADE_FEW_MESSAGES
    assert chosen(round_trip_ms, name="ldpc") is Reconciler.LDPC


def test_a_link_file_can_name_every_hash_family_and_no_other() -> None:
    named = get_args(Distillation.model_fields["hash_family"].annotation)
    assert set(named) == set(hash_families.FAMILIES)


@given(st.sampled_from(Reconciler), st.integers(1, 20_000_000))
def test_runs_and_frames_cover_all_bits_once_and_frames_stay_in_their_runs(who: Reconciler, bits: int) -> None:
    plan = Plan(who, bits, 0.03)
    for cut in (plan.runs(), plan.frames()):
        assert cut[0].start == 0
        assert cut[-1].stop == bits
        assert all(one.stop == two.start for one, two in itertools.pairwise(cut))
    starts = {frame.start for frame in plan.frames()}
    assert {run.start for run in plan.runs()} <= starts


@pytest.mark.parametrize("who", Reconciler)
def test_the_parties_of_a_run_correct_it(who: Reconciler) -> None:
    rng = np.random.default_rng(4)
    alice = rng.integers(0, 2, 30_000, dtype=np.uint8)
    bob = alice ^ (rng.random(alice.size) < 0.02).astype(np.uint8)
    plan = Plan(who, alice.size, 0.02)
    [run] = plan.runs()
    answering, asking = plan.answering(alice[run], b"public"), plan.asking(bob[run], b"public")
    while (request := asking.next_request()) is not None:
        asking.receive(answering.answer(request))
    np.testing.assert_array_equal(asking.corrected(), alice)
    assert asking.leaked_bits == answering.leaked_bits
