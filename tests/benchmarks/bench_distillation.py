"""Reconciliation and privacy amplification: rates of one core, with what belongs beside them.

All times are processor times of this process: medians, with the best in the note, as other load on the machine
lengthens them by some ten per cent. Cascade counts both parties' work in one process, one run of 64 frames after
another; its f is over the errors that really were there; a message is a request with its answer, one round trip.
Hashing is one party's, r = n / 2. Toeplitz hashing stands against the textbook way: one float64 FFT of scipy for the
whole unblocked n x r matrix with a 0/1 seed; its result is checked against ours on our matrix in the same run. The
modular hash stands against our Toeplitz hash. The chain is both parties' whole work on one block.

FAINTLINK_BENCH_LARGE=1 adds hashes of 10**8 bits. tno.quantum.communication.qkd_key_rate is measured if installed.
cascade-cpp is not run: its rows hold figures recorded on another machine (AMD Zen 3, one core), scaled by the time
of one GMP product on both; such ratios are good to about 30 %.
"""

import importlib
import importlib.util
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
import scipy.fft

from faintlink.core.entropy import SeededEntropy
from faintlink.core.units import Bits
from faintlink.postprocess.qkd import hash_families
from faintlink.postprocess.qkd.amplify import seed_bytes, toeplitz_hash
from faintlink.postprocess.qkd.cascade import ReconcileReport, reconcile
from faintlink.postprocess.qkd.verify import VerificationCost, verification_tag, verify
from tests.benchmarks.harness import Row

FRAME_BITS = 65_536
FRAMES = 128
ASKED_F = {0.01: 1.04, 0.02: 1.04, 0.03: 1.04, 0.05: 1.05, 0.08: 1.065, 0.11: 1.08}
ASKED_RATE = {0.02: ", >= 60 Mbit/s", 0.05: ", >= 45 Mbit/s"}
CASCADE_CPP = {0.01: (5.9, 1.058), 0.03: (4.55, 1.062), 0.05: (4.0, 1.065)}
"""Mbit/s and f of cascade-cpp's variant yanetal (its lowest f), n = 65,536, both parties, recorded by QBER."""
RECORDED_PRODUCT_S = 0.100
"""Seconds of GMP's product of 1e7 by 1.5e7 bits on the machine of the recorded figures (0.089 to 0.112)."""
SIZES = ((10**5, 15), (10**6, 7), (10**7, 3))


def cpu_times(*runs: Callable[[], object], repeats: int) -> list[list[float]]:
    """Return the processor seconds of each, run in turns after one warm-up."""
    times: list[list[float]] = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for run, kept in zip(runs, times, strict=True):
            start = time.process_time()
            run()
            if repeat:
                kept.append(time.process_time() - start)
    return times


def rate(bits: int, seconds: list[float]) -> float:
    """Return the median rate in Mbit/s."""
    return bits / statistics.median(seconds) / 1e6


def keys(bits: int, qber: float) -> tuple[Bits, Bits]:
    """Return keys that differ at random."""
    rng = np.random.default_rng(round(qber * 1e4))
    alice = rng.integers(0, 2, bits, dtype=np.uint8)
    return alice, alice ^ (rng.random(bits) < qber).astype(np.uint8)


def cascade_row(qber: float, *, low_message: bool = False, frames: int = FRAMES, repeats: int = 5) -> Row:
    """Measure reconciliation of ``frames`` frames at a QBER that both parties know."""
    alice, bob = keys(frames * FRAME_BITS, qber)
    reports: list[ReconcileReport] = []
    (seconds,) = cpu_times(
        lambda: reports.append(reconcile(alice, bob, qber, SeededEntropy(len(reports)), low_message=low_message)),
        repeats=repeats,
    )
    report = reports[-1]
    failed = int(np.count_nonzero((report.bits != alice).reshape(frames, -1).any(axis=1)))
    asked = f"f <= {ASKED_F[qber]}{ASKED_RATE.get(qber, '')}, frame errors <= 1e-3"
    return Row(
        name=f"Cascade{', few messages' if low_message else ''}, both parties, n = {FRAME_BITS}, Q = {qber:.0%}",
        ours=rate(alice.size, seconds),
        peer=math.nan,
        unit="Mbit/s/core",
        peer_name="none",
        asked="<= 200 messages at f <= 1.06" if low_message else asked,
        note=f"best {alice.size / min(seconds) / 1e6:.1f}; f = {report.efficiency:.4f}, frame errors "
        f"{failed}/{frames}, {report.messages / math.ceil(frames / 64):.0f} messages a run of 64 frames",
    )


def cascade_cpp_row(ours: Row, qber: float) -> Row | None:
    """Set our figure beside the recorded one, scaled to this machine; None without gmpy2."""
    if importlib.util.find_spec("gmpy2") is None:
        return None
    gmpy2 = importlib.import_module("gmpy2")
    one, other = (
        gmpy2.mpz.from_bytes(np.random.default_rng(1).bytes(size), "little") for size in (1_250_000, 1_875_000)
    )
    (seconds,) = cpu_times(lambda: one * other, repeats=5)
    recorded, efficiency = CASCADE_CPP[qber]
    scale = RECORDED_PRODUCT_S / statistics.median(seconds)
    return Row(
        name=f"Cascade beside recorded cascade-cpp, n = {FRAME_BITS}, Q = {qber:.0%}",
        ours=ours.ours,
        peer=recorded * scale,
        unit="Mbit/s/core",
        peer_name="cascade-cpp yanetal, recorded",
        asked=">= 8x at a lower f",
        note=f"recorded {recorded} Mbit/s at f = {efficiency}, scaled by {scale:.2f} (GMP product here "
        f"{statistics.median(seconds) * 1e3:.0f} ms, there 89-112 ms)",
    )


def tno_row(qber: float = 0.03, *, together: int = 1) -> Row | None:
    """Measure Cascade beside TNO's at equal frames; None if it is not installed."""
    if importlib.util.find_spec("tno") is None:
        return None
    classical = importlib.import_module("tno.quantum.communication.qkd_key_rate.classical")
    theirs = importlib.import_module("tno.quantum.communication.qkd_key_rate.classical.cascade")
    alice, bob = keys(together * FRAME_BITS, qber)
    reports: list[ReconcileReport] = []
    summaries: list[Any] = []

    def peer() -> None:
        passes = 8  # and 0.34: the values of its documentation
        strategy = classical.ParityStrategy(error_rate=qber, sampling_fraction=0.34, number_of_passes=passes)
        orders = classical.Permutations.random_permutation(
            number_of_passes=passes, message_size=FRAME_BITS, random_state=len(summaries)
        )
        ours, other = (classical.Message(bits[:FRAME_BITS].tolist()) for bits in (alice, bob))
        sender = theirs.CascadeSender(message=ours, permutations=orders)
        receiver = theirs.CascadeReceiver(message=other, permutations=orders, parity_strategy=strategy)
        summaries.append(theirs.CascadeCorrector(alice=sender, bob=receiver).correct_errors())

    seconds, peer_seconds = cpu_times(
        lambda: reports.append(reconcile(alice, bob, qber, SeededEntropy(len(reports)))), peer, repeats=3
    )
    entropy = -qber * math.log2(qber) - (1 - qber) * math.log2(1 - qber)
    wrong = summaries[-1].output_error
    exposed = summaries[-1].number_of_exposed_bits / FRAME_BITS
    return Row(
        name=f"Cascade, both parties, {together} frame(s) of {FRAME_BITS}, Q = {qber:.0%}",
        ours=rate(alice.size, seconds),
        peer=rate(FRAME_BITS, peer_seconds),
        unit="Mbit/s/core",
        peer_name="tno.quantum.communication.qkd_key_rate, one frame",
        asked=">= 100x",
        note=f"f = {reports[-1].efficiency:.3f} against {exposed / entropy:.3f}, "
        f"bit errors left {np.count_nonzero(reports[-1].bits != alice)} against {wrong * FRAME_BITS:.0f}",
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
    ours, peer = cpu_times(
        lambda: toeplitz_hash(bits, seed, r), lambda: direct_toeplitz(bits, diagonals, r), repeats=repeats
    )
    drawn = np.unpackbits(np.frombuffer(seed, np.uint8))[: n - 1]
    equal = np.array_equal(toeplitz_hash(bits, seed, r), bits[:r] ^ direct_toeplitz(bits[r:], drawn, r))
    return Row(
        name=f"Toeplitz hash, n = {n:.0e}, r = n / 2",
        ours=rate(n, ours),
        peer=rate(n, peer),
        unit="Mbit/s/core",
        peer_name=f"scipy {scipy.__version__} rfft, unblocked",
        asked=">= 20 Mbit/s at 1e6, >= 3x at 1e7",
        note=f"best {n / min(ours) / 1e6:.1f}; results equal on the same matrix: {equal}",
    )


def modular_row(n: int, *, repeats: int) -> Row:
    """Measure modular hashing of n bits to n / 2 beside our Toeplitz hash."""
    rng = np.random.default_rng(n)
    r = n // 2
    bits = rng.integers(0, 2, n, dtype=np.uint8)
    modular, toeplitz = hash_families.get("modular"), hash_families.get("toeplitz")
    seed, other = rng.bytes(modular.seed_bytes(n, r)), rng.bytes(toeplitz.seed_bytes(n, r))
    ours, peer = cpu_times(lambda: modular.hash(bits, seed, r), lambda: toeplitz.hash(bits, other, r), repeats=repeats)
    return Row(
        name=f"Modular hash, n = {n:.0e}, r = n / 2",
        ours=rate(n, ours),
        peer=rate(n, peer),
        unit="Mbit/s/core",
        peer_name="our Toeplitz hash",
        asked=">= 100 Mbit/s at 1e6, >= 80 at 1e8",
        note=f"best {n / min(ours) / 1e6:.1f}",
    )


def chain_row(qber: float, n: int = 10**7, *, repeats: int = 3) -> Row:
    """Measure sifted bits to key: Cascade, both tags, both modular hashes; r of ideal single photons."""
    alice, bob = keys(n, qber)
    family = hash_families.get("modular")
    entropy = SeededEntropy(round(1e4 * qber))
    lengths = []

    def chain() -> None:
        report = reconcile(alice, bob, qber, entropy)
        cost = verify(alice, report.bits, eps_cor=1e-15, entropy=entropy)
        limit = -qber * math.log2(qber) - (1 - qber) * math.log2(1 - qber)
        r = math.floor(n * (1 - limit) - report.leaked_bits - cost.bits)
        seed = entropy.draw(family.seed_bytes(n, r), "modular")
        if not np.array_equal(family.hash(alice, seed, r), family.hash(report.bits, seed, r)):
            raise AssertionError("the keys differ")
        lengths.append(r)

    (seconds,) = cpu_times(chain, repeats=repeats)
    return Row(
        name=f"Sifted bits to key, both parties, n = {n:.0e}, Q = {qber:.0%}",
        ours=rate(n, seconds),
        peer=math.nan,
        unit="Mbit/s/core",
        peer_name="none",
        asked=">= 25 Mbit/s",
        note=f"best {n / min(seconds) / 1e6:.1f}; {lengths[-1] / n:.3f} key bits a sifted bit; seeds counted",
    )


def verification_row(n: int = 10_000_000) -> Row:
    """Measure one party's verification tag."""
    bits = np.random.default_rng(n).integers(0, 2, n, dtype=np.uint8)
    cost = VerificationCost.for_key(1e-15, n)
    seed = bytes(range(cost.seed_bytes % 256)).ljust(cost.seed_bytes, b"\1")
    (ours,) = cpu_times(lambda: verification_tag(bits, seed, eps_cor=1e-15), repeats=5)
    return Row(
        name=f"Verification tag, n = {n:.0e}, eps_cor = 1e-15",
        ours=rate(n, ours),
        peer=math.nan,
        unit="Mbit/s/core",
        peer_name="none",
        asked="never the bottleneck",
        note=f"{cost.bits} bits, collision bound {cost.collision_bound:.1e}",
    )


def run() -> list[Row]:
    """Return all rows."""
    plain = {qber: cascade_row(qber) for qber in ASKED_F}
    rows: list[Row | None] = [*plain.values()]
    rows += [cascade_row(qber, low_message=True) for qber in ASKED_F]
    rows += [cascade_cpp_row(plain[qber], qber) for qber in CASCADE_CPP]
    rows += [tno_row(), tno_row(together=64)]
    sizes = (*SIZES, (10**8, 1)) if os.environ.get("FAINTLINK_BENCH_LARGE") else SIZES
    rows += [toeplitz_row(n, repeats=repeats) for n, repeats in SIZES]
    if importlib.util.find_spec("gmpy2") is not None:
        rows += [modular_row(n, repeats=repeats) for n, repeats in sizes]
        rows += [chain_row(qber) for qber in (0.01, 0.03, 0.05)]
    return [*(row for row in rows if row is not None), verification_row()]


if __name__ == "__main__":
    for row in run():
        ratio = "" if math.isnan(row.peer) else f" against {row.peer:.1f} of {row.peer_name}: {row.ratio:.2f}x"
        print(f"{row.name}: {row.ours:.1f} {row.unit}{ratio}; asked {row.asked}; {row.note}")
