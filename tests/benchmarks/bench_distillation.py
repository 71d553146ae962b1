"""Reconciliation and privacy amplification: rates of one core, with what belongs beside them.

Cascade counts both parties' work in one process, one run of 64 frames after another; its f is over the errors that
really were there. Toeplitz hashing is one party's, r = n / 2, against the textbook way: one float64 FFT of scipy for
the whole unblocked n x r matrix with a 0/1 seed. Its result is checked against ours on our matrix in the same run.
"""

import math
import statistics
import time

import numpy as np
import scipy
import scipy.fft

from faintlink.core.entropy import SeededEntropy
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.amplify import seed_bytes, toeplitz_hash
from faintlink.postprocess.qkd.cascade import reconcile
from faintlink.postprocess.qkd.verify import VerificationCost, verification_tag
from tests.benchmarks.harness import Row, interleaved

FRAME_BITS = 65_536
FRAMES = 128
ASKED_F = {0.01: 1.04, 0.02: 1.04, 0.03: 1.04, 0.05: 1.05, 0.08: 1.065, 0.11: 1.08}


def cascade_row(qber: float, *, frames: int = FRAMES, repeats: int = 5) -> Row:
    """Measure reconciliation of ``frames`` frames at a QBER that both parties know."""
    rng = np.random.default_rng(round(qber * 1e4))
    alice = rng.integers(0, 2, frames * FRAME_BITS, dtype=np.uint8)
    bob = alice ^ (rng.random(alice.size) < qber).astype(np.uint8)
    seconds = []
    for repeat in range(repeats + 1):
        start = time.process_time()
        report = reconcile(alice, bob, qber, SeededEntropy(repeat))
        seconds.append(time.process_time() - start)
    failed = int(np.count_nonzero((report.bits != alice).reshape(frames, -1).any(axis=1)))
    return Row(
        name=f"Cascade, both parties, n = {FRAME_BITS}, Q = {qber:.0%}",
        ours=alice.size / statistics.median(seconds[1:]) / 1e6,
        peer=math.nan,
        unit="Mbit/s/core",
        peer_name="none",
        asked=f"f <= {ASKED_F[qber]}" + (", >= 60 Mbit/s" if qber == 0.02 else ""),
        note=f"f = {report.efficiency:.4f}, frame errors {failed}/{frames}, "
        f"{report.messages / math.ceil(frames / 64):.0f} messages a run of 64 frames",
    )


def direct_toeplitz(bits: Bits, diagonals: Bits, r: int) -> Bits:
    """Return T bits for the r x n Toeplitz matrix of n + r - 1 diagonals by one float64 FFT, 0/1."""
    size = scipy.fft.next_fast_len(bits.size + r - 1, real=True)
    spectrum = scipy.fft.rfft(bits.astype(np.float64), size) * scipy.fft.rfft(diagonals.astype(np.float64), size)
    sums = scipy.fft.irfft(spectrum, size)[bits.size - 1 : bits.size - 1 + r]
    hashed: Bits = (np.rint(sums).astype(np.int64) & 1).astype(np.uint8)
    return hashed


def toeplitz_row(n: int, *, repeats: int) -> Row:
    """Measure hashing of n bits to n / 2."""
    rng = np.random.default_rng(n)
    r = n // 2
    bits = rng.integers(0, 2, n, dtype=np.uint8)
    seed, diagonals = rng.bytes(seed_bytes(n, r)), rng.integers(0, 2, n + r - 1, dtype=np.uint8)
    ours, peer = interleaved(
        lambda: toeplitz_hash(bits, seed, r), lambda: direct_toeplitz(bits, diagonals, r), repeats=repeats
    )
    drawn = np.unpackbits(np.frombuffer(seed, np.uint8))[: n - 1]
    equal = np.array_equal(toeplitz_hash(bits, seed, r), bits[:r] ^ direct_toeplitz(bits[r:], drawn, r))
    return Row(
        name=f"Toeplitz hash, n = {n:.0e}, r = n / 2",
        ours=n / ours / 1e6,
        peer=n / peer / 1e6,
        unit="Mbit/s/core",
        peer_name=f"scipy {scipy.__version__} rfft, unblocked",
        asked=">= 3x at 1e7",
        note=f"results equal on the same matrix: {equal}",
    )


def verification_row(n: int = 10_000_000) -> Row:
    """Measure one party's verification tag."""
    bits = np.random.default_rng(n).integers(0, 2, n, dtype=np.uint8)
    cost = VerificationCost.for_key(1e-15, n)
    seed = bytes(range(cost.seed_bytes % 256)).ljust(cost.seed_bytes, b"\1")
    ours, _ = interleaved(lambda: verification_tag(bits, seed, eps_cor=1e-15), lambda: None, repeats=5)
    return Row(
        name=f"Verification tag, n = {n:.0e}, eps_cor = 1e-15",
        ours=n / ours / 1e6,
        peer=math.nan,
        unit="Mbit/s/core",
        peer_name="none",
        asked="never the bottleneck",
        note=f"{cost.bits} bits, collision bound {cost.collision_bound:.1e}",
    )


def run() -> list[Row]:
    """Return all rows."""
    rows = [cascade_row(qber) for qber in ASKED_F]
    rows += [toeplitz_row(n, repeats=repeats) for n, repeats in ((10**5, 15), (10**6, 7), (10**7, 3))]
    return [*rows, verification_row()]


if __name__ == "__main__":
    for row in run():
        ratio = "" if math.isnan(row.peer) else f" against {row.peer:.1f} of {row.peer_name}: {row.ratio:.2f}x"
        print(f"{row.name}: {row.ours:.1f} {row.unit}{ratio}; asked {row.asked}; {row.note}")
