"""How a campaign of many small runs scales from one core to two, start-up of the workers included.

The peer is the same program with one worker. What two cores of the machine give at that moment, to two busy loops
that share nothing, stands in the note: no program scales better than that.
"""

import os
import shutil
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from faintlink.postprocess.campaign import executors
from faintlink.postprocess.campaign.plan import CampaignConfig
from faintlink.postprocess.campaign.runner import make_tasks
from tests.benchmarks.harness import Row
from tests.pulses import PulsedLink, write_pulsed_run

RUNS = int(os.environ.get("FAINTLINK_BENCH_RUNS", "100"))
SECONDS = 0.23
REPEATS = 3
_LOOP = 8_000_000


def run() -> list[Row]:
    """Return the row of a campaign on two cores against one."""
    folder = Path(tempfile.mkdtemp(prefix="faintlink-bench-"))
    try:
        for seed in range(RUNS):
            write_pulsed_run(folder / "runs" / f"run-{seed:03}", PulsedLink(seconds=SECONDS, seed=seed).make())
        _campaign(folder, 2)
        times = {workers: [_campaign(folder, workers)] for workers in (1, 2)}
        limits = [_machine()]
        for _ in range(REPEATS - 1):
            for workers, kept in times.items():
                kept.append(_campaign(folder, workers))
            limits.append(_machine())
    finally:
        shutil.rmtree(folder)
    one, two = (statistics.median(times[workers]) for workers in (1, 2))
    note = f"{one:.1f} s against {two:.1f} s; two busy loops scale {statistics.median(limits):.2f} x here"
    name = f"campaign of {RUNS} runs of {SECONDS} s, 2 workers"
    return [Row(name, RUNS / two, RUNS / one, "runs/s", "1 worker", "1.8 x on 2 cores", note)]


def _campaign(folder: Path, workers: int) -> float:
    """Return the seconds that all runs take from start to end; nothing is left to be reused."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    tasks = make_tasks([str(folder / "runs")], CampaignConfig(), "", out)
    start = time.perf_counter()
    outcomes = list(executors.processes(tasks, workers))
    seconds = time.perf_counter() - start
    if len(outcomes) != RUNS or any(outcome.has_failed or outcome.is_reused for outcome in outcomes):
        raise RuntimeError("the campaign did not do all its runs")
    return seconds


def _machine() -> float:
    """Return how much more two processes do than one, without anything between them."""
    with ProcessPoolExecutor(2) as pool:
        start = time.perf_counter()
        pool.submit(_spin, _LOOP).result()
        alone = time.perf_counter() - start
        start = time.perf_counter()
        for future in [pool.submit(_spin, _LOOP) for _ in range(2)]:
            future.result()
        return 2.0 * alone / (time.perf_counter() - start)


def _spin(count: int) -> int:
    total = 0
    for number in range(count):
        total ^= number
    return total


if __name__ == "__main__":
    for row in run():
        print(f"{row.name}: {row.ours:.3g} against {row.peer:.3g} {row.unit}, {row.ratio:.2f} x ({row.note})")
