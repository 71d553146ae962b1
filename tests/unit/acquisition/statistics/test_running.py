"""A run tells of itself what its files hold, and no listener can harm it."""

import itertools
import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.statistics.following import FolderWatch
from faintlink.acquisition.statistics.running import BEAT_S, STEP_S, RunStatistics
from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.postprocess.qkd.live import LiveSummary, PairLive, PulsedLive
from tests.pairs import SEEDS, Pairs, pair_link, write_pair_run
from tests.pulses import SQUASH_SEED, PulsedLink, Pulses, cut, small_link, write_pulsed_run

LINK = small_link()
STATUS = RunStatus(0.0, 1.0, 0.0, 0, 0, 0, LiveSummary())


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr("faintlink.acquisition.statistics.running.time.monotonic", one)
    return one


@pytest.fixture(scope="module")
def pulses() -> Pulses:
    return PulsedLink(seconds=0.5, early_s=0.005).make()


def told(made: Pulses, clock: Clock) -> list[Snapshot]:
    """Return what is told of a run whose sender answers at once, the last one included."""
    statistics, out = RunStatistics(LINK), list[Snapshot]()
    statistics.tell(out.append)
    live = statistics.beside(PulsedLive(LINK, SQUASH_SEED, on_piece=statistics.add_piece))
    for block in [*cut(made.tags, list(range(0, len(made.tags), 5000))), None]:
        clock.now_s += STEP_S
        slots = live.finish() if block is None else live.feed(Party.BOB, block)
        slots = slots[slots < made.codes.size]
        if slots.size:
            live.account(slots, made.codes[slots])
    statistics.end()
    return out


def replayed(folder: Path) -> Snapshot:
    out: list[Snapshot] = []
    FolderWatch(folder, closing=threading.Event()).follow(out.append)
    return out[-1]


def test_what_is_told_at_the_end_is_what_a_replay_of_the_files_shows(
    pulses: Pulses, clock: Clock, tmp_path: Path
) -> None:
    last, replay = told(pulses, clock)[-1], replayed(write_pulsed_run(tmp_path / "run", pulses))
    assert last.is_over
    assert replay.counts.key.bits > 1000
    for name in ("counts", "matrix", "arrival", "tags", "clicks", "lost", "spans_s", "sifted_s", "elapsed_s"):
        assert getattr(last, name) == getattr(replay, name), name
    assert np.array_equal(last.histogram, replay.histogram)
    assert last.key_rate_bps == replay.key_rate_bps


def test_pairs_are_told_as_a_replay_of_the_files_shows_them(tmp_path: Path) -> None:
    made = Pairs().make()
    statistics, out = RunStatistics(pair_link()), list[Snapshot]()
    statistics.tell(out.append)
    live = statistics.beside(PairLive(pair_link(), SEEDS, on_piece=statistics.add_piece))
    for party, tags in made.tags.items():
        live.feed(party, tags)
    live.finish()
    statistics.end()
    replay = replayed(write_pair_run(tmp_path / "run", made))
    assert replay.counts.key.bits > 100
    assert (out[-1].counts, out[-1].matrix) == (replay.counts, replay.matrix)
    assert np.array_equal(out[-1].histogram, replay.histogram)


def test_it_is_told_along_the_way_and_figures_only_grow(pulses: Pulses, clock: Clock) -> None:
    seen = told(pulses, clock)
    assert len(seen) > 20
    assert all(a.tags <= b.tags and a.counts.key.bits <= b.counts.key.bits for a, b in itertools.pairwise(seen))
    assert [one.is_over for one in seen] == [False] * (len(seen) - 1) + [True]
    assert {one.state for one in seen} == {"searching the clock", "locked"}
    assert seen[-1].clock_ppm is not None


def test_snapshots_keep_their_distance(clock: Clock) -> None:
    statistics, out = RunStatistics(LINK), list[Snapshot]()
    statistics.tell(out.append)
    live = statistics.beside(PulsedLive(LINK, SQUASH_SEED))
    for number in range(30):
        clock.now_s += STEP_S / 3.001
        live.feed(Party.BOB, TagBlock(np.arange(5, dtype=np.int64) + 10 * number, np.full(5, 1, np.uint8)))
    assert len(out) in (8, 9, 10)


def test_a_run_without_tags_says_once_a_second_that_it_is_alive(clock: Clock) -> None:
    statistics, out = RunStatistics(LINK), list[Snapshot]()
    statistics.tell(out.append)
    for _ in range(20):
        clock.now_s += BEAT_S / 10
        statistics.beat(STATUS)
    assert len(out) in (2, 3)
    assert {one.phase for one in out} == {"waiting"}


def test_events_and_the_runs_name_are_told() -> None:
    statistics, out = RunStatistics(LINK), list[Snapshot]()
    statistics.describe("20260101-1", {"origin": "simulation"})
    statistics.add_event("12 tags lost, 12 in all", level=logging.WARNING)
    statistics.tell(out.append)
    statistics.beat(STATUS)
    facts = out[0].facts
    assert facts is not None
    assert (facts.run_id, facts.origin, facts.link) == ("20260101-1", "simulation", LINK.name)
    assert facts.events[0].endswith(" ! 12 tags lost, 12 in all")


def test_a_listener_that_fails_is_dropped_and_the_others_hear_on(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(snapshot: Snapshot) -> None:
        raise ValueError("no such socket")

    statistics, out = RunStatistics(LINK), list[Snapshot]()
    statistics.tell(broken)
    statistics.tell(out.append)
    for _ in range(2):
        clock.now_s += BEAT_S
        statistics.beat(STATUS)
    assert len(out) == 2
    assert caplog.text.count("no such socket") == 1


def test_nothing_is_told_after_the_end(clock: Clock) -> None:
    statistics, out = RunStatistics(LINK), list[Snapshot]()
    statistics.tell(out.append)
    statistics.end()
    clock.now_s += 10 * BEAT_S
    statistics.beat(STATUS)
    statistics.beside(PulsedLive(LINK, SQUASH_SEED)).feed(
        Party.BOB, TagBlock(np.arange(5, dtype=np.int64), np.full(5, 1, np.uint8))
    )
    assert [one.is_over for one in out] == [True]
