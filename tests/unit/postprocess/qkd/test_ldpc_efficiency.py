"""What the shipped LDPC codes reach, at fixed seeds; and that they are what the derivation gives."""

import numpy as np
import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.postprocess.qkd.ldpc import LdpcAlice, LdpcBob, LdpcParameters, reconcile_ldpc
from faintlink.postprocess.qkd.ldpc.codes import table, table_rows
from faintlink.postprocess.qkd.ldpc.derive import derived
from faintlink.postprocess.qkd.ldpc.parameters import binary_entropy


def qber_at(leak: float) -> float:
    """Error rate whose entropy is ``leak``."""
    low, high = 1e-6, 0.5
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if binary_entropy(middle) < leak else (low, middle)
    return low


def lost_frames(rows: int, lift: int, f: float, seeds: range) -> int:
    """Frames given up; the others must be equal, at no more than 2 % of leak beyond syndrome and check value."""
    length = 800 * lift
    qber = qber_at(rows / 800 / f)
    parameters = LdpcParameters(length, lift, rows, qber)
    lost = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        alice_bits = rng.integers(0, 2, length, dtype=np.uint8)
        bob_bits = alice_bits ^ (rng.random(length) < qber).astype(np.uint8)
        alice, bob = LdpcAlice(alice_bits, parameters, b"s"), LdpcBob(bob_bits, parameters, b"s")
        while (request := bob.next_request()) is not None:
            bob.receive(alice.answer(request))
        lost += bob.exhausted_frames
        if not bob.exhausted_frames:
            np.testing.assert_array_equal(bob.corrected(), alice_bits)
            assert bob.leaked_bits <= 1.02 * parameters.opening_bits
    return lost


@pytest.mark.parametrize("rows", table_rows())
def test_each_code_corrects_short_frames_far_above_the_limit(rows: int) -> None:
    assert lost_frames(rows, 64, 1.35, range(3)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("rows", [rows for rows in table_rows() if rows > 120])
def test_each_code_corrects_long_frames_at_f_of_1_12(rows: int) -> None:
    assert lost_frames(rows, 1_024, 1.12, range(3)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("rows", [135, 155, 180, 206, 237, 272, 314, 361, 415])
def test_codes_of_split_rows_correct_long_frames_at_f_of_1_14(rows: int) -> None:
    assert lost_frames(rows, 1_024, 1.14, range(2)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("rows", [rows for rows in table_rows() if rows <= 120])
def test_codes_of_little_leak_correct_long_frames_at_f_of_1_20(rows: int) -> None:
    assert lost_frames(rows, 1_024, 1.20, range(2)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("qber", [0.005, 0.01, 0.03, 0.05, 0.08, 0.11])
def test_a_block_reaches_its_efficiency_with_positions_and_all(qber: float) -> None:
    rng = np.random.default_rng(7)
    alice = rng.integers(0, 2, 2 * 819_200, dtype=np.uint8)
    bob = alice ^ (rng.random(alice.size) < qber).astype(np.uint8)
    report = reconcile_ldpc(alice, bob, qber, SeededEntropy(7))
    np.testing.assert_array_equal(report.bits, alice)
    assert report.exhausted_frames == 0
    assert report.efficiency < 1.16


@pytest.mark.slow
def test_the_derivation_gives_the_shipped_table() -> None:
    anew, shipped = derived(444), table(444)
    np.testing.assert_array_equal(anew.rows, shipped.rows)
    np.testing.assert_array_equal(anew.columns, shipped.columns)
    np.testing.assert_array_equal(anew.shifts, shipped.shifts)
