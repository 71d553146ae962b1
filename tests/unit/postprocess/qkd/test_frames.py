"""Verification by frames: what is found, what it costs, what is refused."""

import math

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.postprocess.qkd.cascade import reconcile
from faintlink.postprocess.qkd.frames import (
    compare_frames,
    frame_seed_bytes,
    frame_tags,
    slices_of,
    verify_frames,
)

EPS = 1e-10


@pytest.mark.parametrize("wrong", [[], [0], [3], [1, 4], [0, 1, 2, 3, 4]])
def test_exactly_the_frames_that_differ_are_found(wrong: list[int]) -> None:
    alice = np.random.default_rng(1).integers(0, 2, 4_321, dtype=np.uint8)
    bob = alice.copy()
    frames = slices_of(alice.size, 1_000)
    for number in wrong:
        bob[frames[number].stop - 1] ^= 1
    verdicts = verify_frames(alice, bob, frames, eps_cor=EPS, entropy=SeededEntropy(1))
    assert verdicts.failed == wrong
    kept = verdicts.kept(frames, alice.size)
    np.testing.assert_array_equal(alice[kept], bob[kept])
    assert np.count_nonzero(kept) == sum(f.stop - f.start for k, f in enumerate(frames) if k not in wrong)


def test_the_union_of_all_frames_keeps_the_promise_and_every_tag_is_counted() -> None:
    bits = np.zeros(10_000, np.uint8)
    verdicts = verify_frames(bits, bits, slices_of(10_000, 100), eps_cor=EPS, entropy=SeededEntropy(1))
    assert verdicts.collision_bound <= EPS
    assert verdicts.disclosed_bits == 100 * math.ceil(math.log2(2 * 100 / EPS))


def test_a_loose_promise_is_broken_no_more_often_than_stated() -> None:
    """eps_cor = 0.25 over 2 frames, 3000 seeds: passing at the bound would give 750 +- 24; 5 sigma above is 869."""
    alice = np.zeros(64, np.uint8)
    bob = np.ones(64, np.uint8)
    entropy = SeededEntropy(5)
    frames = slices_of(64, 32)
    passed = sum(
        bool(verify_frames(alice, bob, frames, eps_cor=0.25, entropy=entropy).agreeing.any()) for _ in range(3_000)
    )
    assert 0 < passed < 869


def test_a_failed_frame_of_a_reconciled_block_is_lost_alone() -> None:
    rng = np.random.default_rng(3)
    alice = rng.integers(0, 2, 40_000, dtype=np.uint8)
    bob = alice ^ (rng.random(alice.size) < 0.03).astype(np.uint8)
    bob[10_000:20_000] = rng.integers(0, 2, 10_000)  # one frame without any relation
    report = reconcile(alice, bob, 0.03, SeededEntropy(1), frame_bits=10_000)
    frames = slices_of(alice.size, 10_000)
    verdicts = verify_frames(alice, report.bits, frames, eps_cor=EPS, entropy=SeededEntropy(2))
    kept = verdicts.kept(frames, alice.size)
    np.testing.assert_array_equal(alice[kept], report.bits[kept])
    assert set(verdicts.failed) <= {1}
    assert kept[:10_000].all()
    assert kept[20_000:].all()


def test_the_parties_need_only_their_own_bits_and_the_tags() -> None:
    bits = np.random.default_rng(2).integers(0, 2, 500, dtype=np.uint8)
    frames = slices_of(500, 200)
    seed = bytes(range(frame_seed_bytes(frames, eps_cor=EPS)))
    ours = frame_tags(bits, frames, seed, eps_cor=EPS)
    theirs = [ours[0], b"\0" * len(ours[1]), ours[2]]
    assert compare_frames(ours, theirs, frames, eps_cor=EPS).failed == [1]
    with pytest.raises(RemoteProtocolError, match="expected 3 tags"):
        compare_frames(ours, theirs[:2], frames, eps_cor=EPS)
    with pytest.raises(LocalProtocolError, match="seed"):
        frame_tags(bits, frames, seed + b"\0", eps_cor=EPS)


@pytest.mark.parametrize(
    "frames",
    [[], [slice(0, 5), slice(4, 9)], [slice(0, 0)], [slice(5, 9), slice(0, 5)], [slice(0, 9, 2)], [slice(None, 5)]],
)
def test_what_are_no_frames_is_refused(frames: list[slice]) -> None:
    bits = np.zeros(9, np.uint8)
    with pytest.raises(LocalProtocolError, match="frame"):
        verify_frames(bits, bits, frames, eps_cor=EPS, entropy=SeededEntropy(1))


def test_frames_beyond_the_key_and_keys_of_two_lengths_are_refused() -> None:
    bits = np.zeros(9, np.uint8)
    with pytest.raises(LocalProtocolError, match="ends at 10"):
        verify_frames(bits, bits, [slice(0, 10)], eps_cor=EPS, entropy=SeededEntropy(1))
    with pytest.raises(LocalProtocolError, match="one length"):
        verify_frames(bits, bits[1:], [slice(0, 8)], eps_cor=EPS, entropy=SeededEntropy(1))
    with pytest.raises(LocalProtocolError, match="at least 1 bit"):
        slices_of(9, 0)
