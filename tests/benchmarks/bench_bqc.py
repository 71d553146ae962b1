"""How long a blind computation of 10,000 rounds takes: in memory, and recorded and judged; the report is left out."""

import math
import tempfile
import time
from pathlib import Path

from faintlink.acquisition.bqc_run import policy_of as policy_of_link
from faintlink.acquisition.bqc_run import take_bqc_run
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.entropy import SeededEntropy
from faintlink.core.runfile.folder import open_run
from faintlink.instruments.mocks.qline_engine import QlineState
from faintlink.postprocess.bqc.session import judge_run, refusal
from faintlink.postprocess.results import link_of
from tests.benchmarks.harness import Row
from tests.bqc import policy_of, rehearse

ROUNDS = 10_000
_ASKED = "10,000 rounds in under 10 s"
_SIZES = {
    "computation_rounds": ROUNDS // 2,
    "test_rounds": ROUNDS // 2,
    "max_failed_tests": 300,
    "max_attempts": 5 * ROUNDS,
    "rounds_in_flight": ROUNDS // 8,
}


def in_memory(graph: str) -> float:
    """Return the seconds that playing and judging take, without files."""
    policy = policy_of(graph=graph, **_SIZES)
    start = time.perf_counter()
    found = rehearse(policy, state=QlineState()).judgement()
    assert found.majority
    return time.perf_counter() - start


def recorded(graph: str) -> float:
    """Return the seconds of a session on the mock station: open it, play, seal the files, judge them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = time.perf_counter()
        changes = {"graph": graph, **_SIZES}
        take_bqc_run(shipped_link("bqc"), folder / "run", changes=changes, entropy=SeededEntropy(1))
        run = open_run([folder / "run"])
        policy = policy_of_link(link_of(run))
        assert not refusal(policy, judge_run(run, policy))
        return time.perf_counter() - start


def run() -> list[Row]:
    """Return rounds per second, best of three."""
    rows = []
    for graph in ("rotation", "grover", "deutsch"):
        for what, measure in (("played and judged in memory", in_memory), ("recorded, sealed and judged", recorded)):
            seconds = min(measure(graph) for _ in range(3))
            note = f"{seconds:.2f} s"
            rows.append(
                Row(f"blind computation {graph}, {what}", ROUNDS / seconds, math.nan, "rounds/s", "none", _ASKED, note)
            )
    return rows


if __name__ == "__main__":
    for row in run():
        print(row)
