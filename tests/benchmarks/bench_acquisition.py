"""Acquisition: appends to a run file against a raw file, and whole runs at a given rate with live analysis.

``python -m tests.benchmarks.bench_acquisition [seconds per rate]`` prints the rows. Files go to the temporary
folder; 10 s at 30 Mtags/s are 2.7 GB.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.analysis import LiveAnalysis
from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.run import Run
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.preamble import preamble_pattern
from faintlink.core.runfile.schema import CHUNK_ROWS, RunHeader, StreamSpec
from faintlink.core.runfile.writer import RunFileWriter
from faintlink.core.symbols import SYNC_FLAG, Party, setting_basis, setting_bit
from faintlink.core.tags import TagBlock
from faintlink.postprocess.qkd.live import live_analysis
from tests.acquisition_fakes import LINK_TEXT, FakeAnalysis, FakeSender, FakeStation, FakeTagger
from tests.benchmarks.harness import Row, interleaved

APPEND_BLOCKS = 80
BLOCKS_PER_COMMIT = 8
"""As a run commits at 20 Mtags/s with its default of 100 ms."""
RATES_HZ = (5e6, 10e6, 20e6, 30e6)
PERIOD_PS = 1000
CHUNK_SLOTS = 1 << 27
TABLE_SLOTS = 1 << 20
PREAMBLE_SLOTS = 1 << 18


def append_row() -> Row:
    """Return the rate of appends, committed as in a run, against plain writes, without waits for the disk."""
    block = TagBlock(np.arange(CHUNK_ROWS, dtype=np.int64) * 7, np.ones(CHUNK_ROWS, np.uint8))
    blocks = [TagBlock(block.times_ps + n * 7 * CHUNK_ROWS, block.channels) for n in range(APPEND_BLOCKS)]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "file"

        def ours() -> None:
            target.unlink(missing_ok=True)
            header = RunHeader("r", "bob", "now", "0")
            writer = RunFileWriter(target, header=header, streams=[StreamSpec("tags", "tags")], context={})
            for number, one in enumerate(blocks):
                writer.append_tags("tags", one)
                if number % BLOCKS_PER_COMMIT == BLOCKS_PER_COMMIT - 1:
                    writer.commit()
            writer.abandon()

        def raw() -> None:
            target.unlink(missing_ok=True)
            with target.open("wb", buffering=0) as file:
                for one in blocks:
                    file.write(one.times_ps.data)
                    file.write(one.channels.data)

        ours_s, raw_s = interleaved(ours, raw)
    mtags = APPEND_BLOCKS * CHUNK_ROWS / 1e6
    name = f"append blocks of {CHUNK_ROWS} tags, a commit every {BLOCKS_PER_COMMIT}"
    return Row(name, mtags / ours_s, mtags / raw_s, "Mtags/s", "raw file append", ">= 0.6")


class ReplaySender(FakeSender):
    """Answers from a table that repeats."""

    def __init__(self) -> None:
        super().__init__(pulse_rate_hz=1e12 / PERIOD_PS)
        self.preamble = self.preamble._replace(length=PREAMBLE_SLOTS)
        rng = np.random.default_rng(1)
        basis = rng.random(TABLE_SLOTS) < 0.1
        weak = rng.random(TABLE_SLOTS) < 0.3
        self.table = (rng.integers(0, 2, TABLE_SLOTS) | basis << 1 | weak << 2).astype(np.uint8)

    def settings_at(self, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return the settings."""
        codes = self.table[slots & (TABLE_SLOTS - 1)]
        return np.where(slots < PREAMBLE_SLOTS, np.uint8(SYNC_FLAG), codes)


class ReplayStream:
    """Delivers clicks of a perfect link at a rate of wall-clock time, from one prepared stretch of 134 ms.

    Parameters
    ----------
    sender
        Whose pulses these are.
    rate_hz
        Tags per second.
    """

    def __init__(self, sender: ReplaySender, rate_hz: float) -> None:
        rng = np.random.default_rng(2)
        self.rate_hz = rate_hz
        count = round(rate_hz * CHUNK_SLOTS * PERIOD_PS * 1e-12)
        slots = np.sort(rng.integers(0, CHUNK_SLOTS, count))
        codes = sender.table[slots & (TABLE_SLOTS - 1)]
        bits = setting_bit(codes) ^ (rng.random(count) < 0.02).astype(np.uint8)
        times = slots * PERIOD_PS + np.rint(rng.normal(0.0, 40.0, count)).astype(np.int64) + PERIOD_PS // 2
        order = np.argsort(times, kind="stable")
        self._times = times[order]
        self._channels = (1 + bits + 2 * setting_basis(codes))[order].astype(np.uint8)
        pattern = preamble_pattern(1, PREAMBLE_SLOTS)
        early = slots[order] < PREAMBLE_SLOTS
        self._lit = ~early | (pattern[np.minimum(slots[order], PREAMBLE_SLOTS - 1)] == 1)
        self.sent = 0
        self.late_s = 0.0
        """Longest delay of a tag behind its moment: what a tagger's memory would have to bridge."""
        self._running = False

    def start(self) -> None:
        """Begin."""
        self._running = True
        self._since = time.monotonic()

    def stop(self) -> None:
        """End."""
        self._running = False

    def read(self, timeout_s: float) -> TagBlock:
        """Return the next tags that are due."""
        if not self._running:
            return TagBlock.empty()
        wait_s = self._since + (self.sent + 1000) / self.rate_hz - time.monotonic()
        if wait_s > 0.0:
            time.sleep(min(wait_s, timeout_s))
        due = int((time.monotonic() - self._since) * self.rate_hz) - self.sent
        self.late_s = max(self.late_s, due / self.rate_hz)
        turn, start = divmod(self.sent, self._times.size)
        end = min(start + min(due, CHUNK_ROWS), self._times.size)
        times = self._times[start:end] + turn * CHUNK_SLOTS * PERIOD_PS
        channels = self._channels[start:end]
        self.sent += end - start
        if turn == 0:
            lit = self._lit[start:end]
            return TagBlock(times[lit], channels[lit])
        return TagBlock(times, channels)


def replay_link(seconds: float) -> LinkConfig:
    """Return the link of the replay."""
    text = LINK_TEXT % {"duration_s": seconds, "commit_ms": 100.0, "block_tags": CHUNK_ROWS}
    text = text.replace("buffer_blocks: 8", "buffer_blocks: 32").replace("80e6", f"{1e12 / PERIOD_PS}")
    return parse_yaml(text.replace("slots: 4096", f"slots: {PREAMBLE_SLOTS}"), LinkConfig, "replay")


def sustained_row(rate_hz: float, seconds: float, *, real: bool) -> Row:
    """Return what a run of ``seconds`` at ``rate_hz`` kept, with what it cost."""
    link = replay_link(seconds)
    sender = ReplaySender()
    stream = ReplayStream(sender, rate_hz)
    analysis: LiveAnalysis = live_analysis(link, {Party.BOB: bytes(32)}) if real else FakeAnalysis(every=0)
    lab = FakeStation(pattern=sender, tagger=FakeTagger(stream))
    behind: list[int] = []

    def watch(status: RunStatus) -> None:
        behind.append(status.waiting_blocks)

    before = _cpu_s()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        with Run(link, lab, Path(folder) / "run", analysis=analysis, context={}) as run:
            report = run.execute(progress=watch)
        after_s = time.monotonic() - start - report.wall_s
    ours, writer = (b - a for a, b in zip(before, _cpu_s(), strict=True))
    total_s = report.wall_s + after_s
    note = (
        f"lost {report.lost}; CPU {100 * ours / total_s:.0f} % + writer {100 * writer / total_s:.0f} % of a core; "
        f"tagger read up to {1e3 * stream.late_s:.0f} ms late; analysis up to {max(behind)} blocks behind, "
        f"start, catch-up and seal {after_s:.1f} s; {report.live.state}, QBER {100 * report.live.qber_key.rate:.2f} %"
    )
    name = f"acquire, write and {'analyse' if real else 'count'} at {rate_hz / 1e6:.0f} Mtags/s for {seconds:g} s"
    return Row(name, report.tags / report.wall_s / 1e6, rate_hz / 1e6, "Mtags/s", "delivered", "no loss at 20", note)


def _cpu_s() -> tuple[float, float]:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def start_row() -> Row:
    """Return how often a second a writer process could be started and sealed."""
    link = replay_link(0.01)
    sender = ReplaySender()
    lab = FakeStation(pattern=sender, tagger=FakeTagger(ReplayStream(sender, 1e6)))
    with tempfile.TemporaryDirectory() as folder:
        run = Run(link, lab, Path(folder) / "run", analysis=FakeAnalysis(every=0), context={})
        with run:
            run.preflight()
            start = time.monotonic()
            run.arm()
            armed_s = time.monotonic() - start
            run.stream()
            run.stop()
            run.seal()
    return Row("arm a run: start of the writer process", 1 / armed_s, float("nan"), "1/s", "none", "-")


def run(seconds: float = 10.0) -> list[Row]:
    """Return all rows."""
    rows = [append_row(), start_row()]
    rows += [sustained_row(rate, seconds, real=False) for rate in RATES_HZ]
    return rows + [sustained_row(rate, seconds, real=True) for rate in RATES_HZ]


if __name__ == "__main__":
    for row in run(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0):
        print(f"{row.name}: {row.ours:.2f} {row.unit}, {row.ratio:.2f} of {row.peer_name}. {row.note}", flush=True)
