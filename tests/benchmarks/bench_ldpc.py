"""LDPC reconciliation: rates of one party on one core, with f, frame errors and iterations beside them.

Bob's work is timed from his sifted bits and Alice's answer to his corrected bits (Alice's is one syndrome and much
less). His f is the leak over n h of the errors that really were there. The peer decodes the same syndromes of the
same code, one frame at a time as it offers, given nothing but the error rate; it is warmed up first.
"""

import contextlib
import importlib
import importlib.metadata
import math
import statistics
import time

import numpy as np
import scipy.sparse

from faintlink.core.units import Bits
from faintlink.postprocess.qkd.ldpc import LdpcAlice, LdpcBob, LdpcParameters
from faintlink.postprocess.qkd.ldpc.codes import COLUMNS, LIFT, base_matrix
from faintlink.postprocess.qkd.ldpc.parameters import MAX_FRAME_BITS, binary_entropy
from tests.benchmarks.harness import Row

POINTS = (
    (0.01, 1.15),
    (0.01, 1.09),
    (0.026, 1.15),
    (0.026, 1.09),
    (0.05, 1.15),
    (0.05, 1.09),
    (0.09, 1.15),
    (0.09, 1.09),
)
PEER_FRAMES = 32
PEER_BITS = COLUMNS * 32


def parameters_for(qber: float, f: float, frame_bits: int) -> LdpcParameters:
    """Return the code of the largest leak whose f over the nominal error rate is at most ``f``."""
    lift = math.ceil(frame_bits / COLUMNS)
    return LdpcParameters(frame_bits, lift, int(f * frame_bits * binary_entropy(qber) / lift), qber)


def _keys(n: int, qber: float, seed: int) -> tuple[Bits, Bits]:
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, n, dtype=np.uint8)
    return alice, alice ^ (rng.random(n) < qber).astype(np.uint8)


def bob_row(qber: float, f: float, *, frames: int = 9) -> Row:
    """Measure Bob on frames of the largest size."""
    parameters = parameters_for(qber, f, MAX_FRAME_BITS)
    seconds, leak, iterations, lost, wrong, rounds, floor = [], 0, [], 0, 0, 0, 0.0
    for frame in range(frames + 1):
        alice_bits, bob_bits = _keys(MAX_FRAME_BITS, qber, frame)
        alice, spent = LdpcAlice(alice_bits, parameters, b"bench"), 0.0
        start = time.process_time()
        bob = LdpcBob(bob_bits, parameters, b"bench")
        while (request := bob.next_request()) is not None:
            spent += time.process_time() - start
            answer = alice.answer(request)
            start = time.process_time()
            bob.receive(answer)
            rounds += frame > 0
        corrected = bob.corrected()
        spent += time.process_time() - start
        if frame == 0:  # warms caches and compiled code
            continue
        seconds.append(spent)
        leak += alice.leaked_bits
        floor += MAX_FRAME_BITS * binary_entropy(float(np.mean(alice_bits != bob_bits)))
        iterations.append(bob.iterations)
        lost += bob.exhausted_frames
        wrong += bob.exhausted_frames == 0 and not np.array_equal(corrected, alice_bits)
    return Row(
        name=f"LDPC, Bob alone, n = {MAX_FRAME_BITS}, Q = {qber:.1%}, code of f <= {f}",
        ours=MAX_FRAME_BITS / statistics.median(seconds) / 1e6,
        peer=math.nan,
        unit="Mbit/s/core",
        peer_name="none",
        asked=">= 10 Mbit/s at f <= 1.15" if f > 1.1 else ">= 5 Mbit/s at f <= 1.09",
        note=f"f = {leak / floor:.4f}, frames lost {lost}/{frames}, silently wrong {wrong}, iterations "
        f"{min(iterations)}-{max(iterations)}, {rounds / frames:.1f} requests a frame",
    )


def _sparse(parameters: LdpcParameters) -> scipy.sparse.csr_matrix:
    matrix = base_matrix(parameters.row_count)
    row = np.repeat(np.arange(matrix.row_count), np.diff(matrix.rows))
    lanes = np.arange(parameters.lift)
    checks = row[:, None] * parameters.lift + lanes
    bits = matrix.columns[:, None] * parameters.lift + (lanes + matrix.shifts[:, None]) % parameters.lift
    return scipy.sparse.csr_matrix(
        (np.ones(checks.size, np.uint8), (checks.reshape(-1), bits.reshape(-1))),
        shape=(parameters.syndrome_bits, parameters.code_bits),
    )


def peer_row(qber: float = 0.05, f: float = 1.25) -> Row:
    """Measure Bob against the decoder of the package ldpc on the same code and frames."""
    ldpc = importlib.import_module("ldpc")
    parameters = parameters_for(qber, f, PEER_BITS)
    sparse = _sparse(parameters)
    decoder = ldpc.BpDecoder(
        sparse, error_rate=qber, max_iter=100, bp_method="product_sum", input_vector_type="syndrome"
    )
    alice_bits, bob_bits = _keys(PEER_BITS * PEER_FRAMES, qber, 1)
    errors = (alice_bits ^ bob_bits).reshape(PEER_FRAMES, -1)
    ours, peers, failed, lost = [], [], 0, 0
    for turn in range(5):
        alice = LdpcAlice(alice_bits, parameters, b"bench")
        start = time.process_time()
        bob = LdpcBob(bob_bits, parameters, b"bench")
        while (request := bob.next_request()) is not None:
            bob.receive(alice.answer(request))
        corrected = bob.corrected()
        ours.append(time.process_time() - start)
        lost = int((corrected != alice_bits).reshape(PEER_FRAMES, -1).any(axis=1).sum())
        syndrome = np.asarray(sparse @ errors[turn] % 2, dtype=np.uint8)
        start = time.process_time()
        found = decoder.decode(syndrome)
        peers.append(time.process_time() - start)
        failed += not np.array_equal(found, errors[turn])
    return Row(
        name=f"LDPC, n = {PEER_BITS}, Q = {qber:.0%}, {PEER_FRAMES} frames a run",
        ours=alice_bits.size / statistics.median(ours[1:]) / 1e6,
        peer=PEER_BITS / statistics.median(peers[1:]) / 1e6,
        unit="Mbit/s/core",
        peer_name=f"ldpc {importlib.metadata.version('ldpc')} BpDecoder product_sum, 100 iterations",
        asked=">= 30x",
        note=f"f = {parameters.syndrome_bits / (PEER_BITS * binary_entropy(qber)):.3f}; frames not equal: ours "
        f"{lost}/{PEER_FRAMES}, {bob.leaked_bits / parameters.syndrome_bits / PEER_FRAMES - 1:.2%} of leak on top; "
        f"peer {failed}/5. Ours counts Alice's answers, too",
    )


def run() -> list[Row]:
    """Measure everything."""
    assert LIFT * COLUMNS == MAX_FRAME_BITS
    rows = [bob_row(qber, f) for qber, f in POINTS]
    with contextlib.suppress(ImportError):
        rows.append(peer_row())
    return rows


if __name__ == "__main__":
    for row in run():
        print(row, f"ratio {row.ratio:.1f}", flush=True)
