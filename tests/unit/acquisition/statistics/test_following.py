"""A watched folder gives the counts that the pipeline has, whatever becomes of the run."""

import logging
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from faintlink.acquisition.statistics.following import FolderWatch
from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import SchemaError
from faintlink.core.records import ErrorCount
from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import Manifest, read_manifest
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.symbols import Party
from faintlink.core.tags import GapCause, GapRecord, TagBlock
from faintlink.postprocess.qkd.pulsed import PulsedRun
from tests.acquisition_fakes import eventually, run_in_thread
from tests.data import ROOT
from tests.pairs import Pairs, write_pair_run
from tests.pulses import SQUASH_SEED, PulsedLink, Pulses, cut, link_text, small_link, write_pulsed_run


def followed(folder: Path) -> list[Snapshot]:
    out: list[Snapshot] = []
    FolderWatch(folder, closing=threading.Event()).follow(out.append)
    return out


@pytest.fixture(scope="module")
def pulses() -> Pulses:
    return PulsedLink(seconds=0.5, early_s=0.005).make()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pulses: Pulses) -> Path:
    return write_pulsed_run(tmp_path_factory.mktemp("runs") / "run", pulses)


@pytest.fixture(scope="module")
def replay(folder: Path) -> list[Snapshot]:
    return followed(folder)


def test_a_replay_ends_with_the_counts_of_the_pipeline(folder: Path, replay: list[Snapshot]) -> None:
    last = replay[-1]
    counts = [piece.bits.counts(1) for piece in PulsedRun(open_run([folder]), small_link()).pieces()]
    assert last.counts.key == sum((one.key for one in counts), ErrorCount())
    assert last.counts.test == sum((one.test for one in counts), ErrorCount())
    assert sum(last.matrix) == last.counts.key.bits + last.counts.test.bits
    wrong = [last.matrix[at] for at in (1, 2, 5, 6)]
    assert sum(wrong) == last.counts.key.errors + last.counts.test.errors


def test_clicks_and_time_are_those_of_the_tags(replay: list[Snapshot], pulses: Pulses) -> None:
    last = replay[-1]
    expected = np.bincount(pulses.tags.channels, minlength=5)[1:5].tolist()
    assert list(last.clicks.values()) == expected
    assert list(last.clicks) == ["Z0", "Z1", "X0", "X1"]
    assert last.tags == len(pulses.tags)
    assert last.elapsed_s == pytest.approx((pulses.tags.times_ps[-1] - pulses.tags.times_ps[0]) * 1e-12)


def test_the_clock_the_arrivals_and_the_end_are_known(replay: list[Snapshot]) -> None:
    last = replay[-1]
    # A longer period on the receiver's clock is a lower frequency of the sender.
    assert last.clock_ppm == pytest.approx(-PulsedLink().ppm, abs=0.2)
    clicks, total = last.arrival
    assert abs(total / clicks) < 20.0
    assert [one.phase for one in replay[:1] + replay[-1:]] == ["waiting", "sealed"]
    assert replay[-2].phase == "recording"


def test_the_gate_lies_on_the_histogram_where_the_clicks_are(replay: list[Snapshot]) -> None:
    last = replay[-1]
    facts = last.facts
    assert facts is not None
    places = facts.first_ps + facts.bin_ps * (np.arange(last.histogram.shape[1]) + 0.5)
    inside = (places > facts.gate_ps[0]) & (places < facts.gate_ps[1])
    assert last.histogram[:, inside].sum() > 0.8 * last.histogram.sum()
    assert last.histogram.sum() == pytest.approx(last.tags, rel=0.02)


def test_pairs_are_counted_at_both_receivers_by_their_own_clocks(tmp_path: Path) -> None:
    last = followed(write_pair_run(tmp_path / "run", Pairs(seconds=2.3).make()))[-1]
    assert {name.split()[0] for name in last.clicks} == {"alice", "bob"}
    rates = [count / last.spans_s[name] for name, count in last.clicks.items()]
    assert max(rates) < 1.1 * min(rates)
    assert 0.01 < last.counts.key.rate < 0.05
    assert last.facts is not None
    assert "Bob after Alice" in last.facts.axis


def test_the_forecast_follows_the_bound_and_a_bad_channel_forecasts_nothing(
    tmp_path: Path, replay: list[Snapshot]
) -> None:
    good = replay[-1]
    bad = followed(write_pulsed_run(tmp_path / "bad", PulsedLink(seconds=0.3, qber=0.2).make()))[-1]
    assert good.key_rate_bps is not None
    assert 0.0 < good.key_rate_bps < good.counts.key.bits / 0.5
    assert bad.key_rate_bps == 0.0


def test_losses_are_those_that_were_recorded(tmp_path: Path, pulses: Pulses) -> None:
    folder = tmp_path / "run"
    writer = bob_alone(folder)
    first, second = cut(pulses.tags, [1000])
    at = int(first.times_ps[-1])
    gaps = (GapRecord(at, at, 70, GapCause.DEVICE_OVERFLOW), GapRecord(at, at, -1, GapCause.BUFFER_FULL))
    writer.append_tags("tags", first)
    writer.append_tags("tags", TagBlock(second.times_ps, second.channels, gaps))
    writer.seal()
    last = followed(folder)[-1]
    assert (last.lost, last.gaps) == (70, {"device overflow": 1, "buffer full": 1})


def bob_alone(folder: Path) -> PartyWriter:
    texts = {"link": link_text(), "squash_seed": SQUASH_SEED.hex()}
    streams = [StreamSpec("tags", "tags"), StreamSpec("events", "events")]
    return PartyWriter(folder, create_run(folder, "run-3"), Party.BOB, streams=streams, context=texts)


def test_without_the_senders_file_there_are_rates_and_the_reason(tmp_path: Path, pulses: Pulses) -> None:
    writer = bob_alone(tmp_path / "run")
    writer.append_tags("tags", pulses.tags)
    writer.seal()
    last = followed(tmp_path / "run")[-1]
    assert last.tags == len(pulses.tags)
    assert "no file of alice" in last.state


def test_a_protocol_without_error_rates_has_its_rates(tmp_path: Path, pulses: Pulses) -> None:
    text = (ROOT / "lab_configs" / "bqc.link.yaml").read_text()
    channels = sorted(parse_yaml(text, LinkConfig, "bqc").receivers[Party.BOB].channels)
    streams = [StreamSpec("tags", "tags")]
    writer = PartyWriter(
        tmp_path / "run", create_run(tmp_path / "run", "r"), Party.BOB, streams=streams, context={"link": text}
    )
    tags = TagBlock(pulses.tags.times_ps, np.full(len(pulses.tags), channels[0], np.uint8))
    writer.append_tags("tags", tags)
    writer.seal()
    last = followed(tmp_path / "run")[-1]
    assert last.state.startswith("rates only")
    assert list(last.clicks.values()).count(len(tags)) == 1


def test_a_file_that_comes_a_moment_later_is_waited_for(tmp_path: Path, pulses: Pulses) -> None:
    whole = write_pulsed_run(tmp_path / "whole", pulses)
    late = tmp_path / "late"
    writer = bob_alone(late)
    writer.append_tags("tags", pulses.tags)
    writer.commit()
    watches: list[FolderWatch] = []
    thread = run_in_thread(lambda: watches.append(FolderWatch(late, closing=threading.Event())))
    shutil.copy(whole / "alice-0000.h5", late / "alice-0000.h5")
    thread.join(20.0)
    assert set(watches[0]._recordings) == {Party.ALICE, Party.BOB}
    writer.seal()


def test_a_lost_clock_leaves_the_rates(tmp_path: Path) -> None:
    dark = PulsedLink(seconds=0.6, gain=0.0, dark_hz=2e5).make()
    last = followed(write_pulsed_run(tmp_path / "run", dark))[-1]
    assert last.tags == len(dark.tags)
    assert last.state.startswith("no error rates")


def test_the_receivers_file_is_needed(tmp_path: Path, pulses: Pulses) -> None:
    folder = write_pulsed_run(tmp_path / "run", pulses)
    (folder / "bob-0000.h5").unlink()
    with pytest.raises(SchemaError, match="no file of bob"):
        followed(folder)


def test_a_growing_run_is_shown_as_it_grows_and_its_end_is_seen(tmp_path: Path, pulses: Pulses) -> None:
    folder = tmp_path / "run"
    writer = bob_alone(folder)
    first, second = cut(pulses.tags, [len(pulses.tags) // 2])
    writer.append_tags("tags", first)
    writer.note("the first half", level=logging.WARNING)
    writer.commit()
    out: list[Snapshot] = []
    watch = FolderWatch(folder, closing=threading.Event())
    assert watch.is_growing
    thread = run_in_thread(lambda: watch.follow(out.append))
    assert eventually(lambda: bool(out) and out[-1].tags == len(first))
    assert out[-1].phase == "recording"
    writer.append_tags("tags", second)
    writer.note("the second half", level=logging.INFO)
    writer.commit()
    assert eventually(lambda: out[-1].tags == len(pulses.tags))
    writer.seal()
    manifest_of(folder).write(folder)
    thread.join(20.0)
    assert (out[-1].phase, out[-1].tags) == ("sealed", len(pulses.tags))
    events = out[-1].facts.events if out[-1].facts else ()
    assert [line.split(" ", 1)[1] for line in events] == ["! the first half", "the second half"]


def manifest_of(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    manifest.status = "closed"
    return manifest


def test_a_watch_that_is_closed_ends_though_the_run_does_not(tmp_path: Path, pulses: Pulses) -> None:
    writer = bob_alone(tmp_path / "run")
    writer.append_tags("tags", pulses.tags)
    writer.commit()
    closing = threading.Event()
    out: list[Snapshot] = []
    watch = FolderWatch(tmp_path / "run", closing=closing)
    thread = run_in_thread(lambda: watch.follow(out.append))
    assert eventually(lambda: bool(out) and out[-1].tags == len(pulses.tags))
    closing.set()
    thread.join(20.0)
    assert not thread.is_alive()
    assert out[-1].phase == "recording"
    writer.seal()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError):
        followed(tmp_path / "nothing")
