"""The kernels on time tags against plain numpy: ``python -m tests.benchmarks.bench_kernels``.

Every pair of functions is first checked to give the same answer.
"""

import time

import numpy as np
import numpy.typing as npt

from faintlink.core.tags import TagBlock
from faintlink.postprocess.kernels.coincidence import count_all_pairs, match_one_to_one
from faintlink.postprocess.kernels.delta import delta_decode, delta_encode
from faintlink.postprocess.kernels.drift import correct_clock
from faintlink.postprocess.kernels.fold import gate_histogram
from faintlink.postprocess.kernels.merge import merge
from faintlink.postprocess.qkd.clock import ClockTracker
from tests.benchmarks.harness import Row, interleaved

N = 10_000_000
NUMPY = f"numpy {np.__version__}"
PERIOD_PS = 12_500.37
BINS = 1024


def _poisson(seed: int, size: int, mean_gap_ps: float) -> npt.NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    times: npt.NDArray[np.int64] = np.cumsum(rng.exponential(mean_gap_ps, size).astype(np.int64)) + 10**15
    return times


def merge_row() -> Row:
    """Two sorted streams of N / 2 tags into one."""
    a, b = _poisson(1, N // 2, 1e6), _poisson(2, N // 2, 1e6)
    channel_a, channel_b = np.zeros(a.size, np.uint8), np.ones(b.size, np.uint8)

    def peer() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        times = np.concatenate((a, b))
        order = np.argsort(times, kind="stable")
        return times[order], np.concatenate((channel_a, channel_b))[order]

    times, channels = merge(a, channel_a, b, channel_b)
    want_times, want_channels = peer()
    assert np.array_equal(times, want_times)
    assert np.array_equal(channels, want_channels)
    seconds = interleaved(lambda: merge(a, channel_a, b, channel_b), peer)
    return _row("merge two streams, 1e7 tags", N, seconds, "concatenate + stable argsort", ">= 4x")


def coincidence_rows() -> list[Row]:
    """Coincidences of two streams with N / 2 tags each, 15 % of them pairs."""
    rng = np.random.default_rng(3)
    a = _poisson(4, N // 2, 1e6)
    pairs = a[rng.random(a.size) < 0.15] + rng.integers(-300, 300)
    b = np.sort(np.concatenate((pairs, rng.integers(int(a[0]), int(a[-1]), N // 2 - pairs.size))))

    def peer() -> int:
        return int(np.sum(np.searchsorted(b, a + 1001, side="left") - np.searchsorted(b, a - 1000, side="left")))

    assert count_all_pairs(a, b, 0, 1000) == peer()
    all_pairs = interleaved(lambda: count_all_pairs(a, b, 0, 1000), peer, repeats=5)
    one_to_one = interleaved(lambda: match_one_to_one(a, b, 0, 1000), peer, repeats=5)
    return [
        _row("coincidences, all pairs, 1e7 tags", N, all_pairs, "2x searchsorted", ">= 7x"),
        _row("coincidences, one to one with indices, 1e7 tags", N, one_to_one, "2x searchsorted (count only)", "-"),
    ]


def fold_row() -> Row:
    """Slot, gate and phase histogram in one pass."""
    times = _poisson(5, N, 1e5)
    t0, gate = int(times[0]), 3000.0
    slot, inside = np.empty(N, np.int64), np.empty(N, np.bool_)

    def ours() -> npt.NDArray[np.int64]:
        counts = np.zeros(BINS, np.int64)
        gate_histogram(times, t0, 0, PERIOD_PS, gate, slot, inside, counts)
        return counts

    def peer() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        cycles = (times - t0) * (1.0 / PERIOD_PS)
        nearest = np.ceil(cycles - 0.5)
        phase = cycles - nearest
        keep = np.abs(phase) <= 0.5 * gate / PERIOD_PS
        counts = np.bincount(((phase + 0.5) * BINS).astype(np.int64), minlength=BINS)
        return nearest.astype(np.int64), keep, counts[:BINS]

    counts = ours()
    for mine, theirs in zip((slot, inside, counts), peer(), strict=True):
        assert np.count_nonzero(mine != theirs) <= 2
    return _row("slot + gate + 1024-bin fold, 1e7 tags", N, interleaved(ours, peer), "vectorised", ">= 3x")


def delta_rows() -> list[Row]:
    """Encode to uint32 differences and decode."""
    times = _poisson(6, N, 1e6)
    first, deltas = delta_encode(times)
    assert np.array_equal(delta_decode(first, deltas), times)

    def encode() -> npt.NDArray[np.uint32]:
        gaps = np.diff(times)
        if gaps.min() < 0 or gaps.max() > 2**32 - 1:
            raise ValueError
        return gaps.astype(np.uint32)

    def decode() -> npt.NDArray[np.int64]:
        return np.concatenate(([first], first + np.cumsum(deltas, dtype=np.int64)))

    return [
        _row("delta encode, 1e7 tags", N, interleaved(lambda: delta_encode(times), encode), "diff + check", "-"),
        _row("delta decode, 1e7 tags", N, interleaved(lambda: delta_decode(first, deltas), decode), "cumsum", "-"),
    ]


def drift_row() -> Row:
    """Quadratic clock correction."""
    times = _poisson(7, N, 1e5)
    reference = int(times[0])
    out = np.empty(N, np.int64)

    def peer() -> npt.NDArray[np.int64]:
        x = (times - reference).astype(np.float64)
        return times + 17 + np.rint((3e-6 + 0.5e-19 * x) * x).astype(np.int64)

    correct_clock(times, reference, 17, 3e-6, 1e-19, out)
    assert np.array_equal(out, peer())
    seconds = interleaved(lambda: correct_clock(times, reference, 17, 3e-6, 1e-19, out), peer)
    return _row("quadratic clock correction, 1e7 tags", N, seconds, "vectorised", "-")


def tracker_row() -> Row:
    """Clock recovery and slots from a stream of 8 Mcps at 80 MHz, in blocks of 128 Ki tags."""
    rng = np.random.default_rng(8)
    pulses = np.sort(rng.integers(0, 100_000_000, N))
    shift = 3e-6 * pulses * 12_500.0 + rng.normal(0.0, 150.0, N)
    times = np.sort(pulses * 12_500 + np.rint(shift).astype(np.int64) + 10**15)
    channels = np.zeros(N, np.uint8)
    seconds = []
    for _ in range(4):
        tracker = ClockTracker(12_500.0)
        start = time.perf_counter()
        for at in range(0, N, 131_072):
            tracker.feed(TagBlock(times[at : at + 131_072], channels[at : at + 131_072]))
        tracker.finish()
        seconds.append(time.perf_counter() - start)
    rate = N / float(np.median(seconds[1:])) / 1e6
    return Row("clock tracker, 8 Mcps at 80 MHz", rate, float("nan"), "Mtags/s", "none", ">= 30 Mtags/s")


def _row(name: str, events: int, seconds: tuple[float, float], peer: str, asked: str) -> Row:
    ours, theirs = (events / s / 1e6 for s in seconds)
    return Row(name, ours, theirs, "Mtags/s", f"{NUMPY} {peer}", asked, "same result checked")


def run() -> list[Row]:
    """Return every row."""
    return [
        merge_row(),
        *coincidence_rows(),
        fold_row(),
        *delta_rows(),
        drift_row(),
        tracker_row(),
    ]


def main() -> None:
    """Print the table."""
    for row in run():
        rates = f"{row.ours:8.1f} {row.unit}, peer {row.peer:7.1f}, ratio {row.ratio:5.1f}"
        print(f"{row.name:50s} {rates}, asked {row.asked}")


if __name__ == "__main__":
    main()
