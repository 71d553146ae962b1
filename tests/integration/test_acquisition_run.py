"""Whole runs on a fake station: what is played, tagged and answered is what the files hold."""

import json
from pathlib import Path

import numpy as np
import pytest

from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.run import Run
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import ConfigError, HardwareError, LocalProtocolError, RunExistsError, StreamError
from faintlink.core.runfile.reader import RunFileReader
from faintlink.core.symbols import Party
from faintlink.core.tags import GapCause, GapRecord
from tests.acquisition_fakes import (
    PAIR_LINK_TEXT,
    STEP_PS,
    FakeAnalysis,
    FakeSender,
    FakeStation,
    FakeStream,
    FakeTagger,
    all_tags,
    fake_link,
    recorded,
)

TEXTS = {"link": "the link file", "station": "the station file"}


def fast_stream() -> FakeStream:
    return FakeStream(read_tags=5000, pause_s=0.002)


def station(stream: FakeStream, sender: FakeSender | None = None) -> FakeStation:
    return FakeStation(pattern=sender or FakeSender(), tagger=FakeTagger(stream))


def events(path: Path) -> list[tuple[int, str]]:
    with RunFileReader(path) as reader:
        blocks = list(reader.streams["events"].blocks())
    return [(int(n), text.decode()) for block in blocks for n, text in zip(*block.columns[1:], strict=True)]


def test_a_run_records_tags_settings_context_and_events(tmp_path: Path) -> None:
    stream, sender, analysis = fast_stream(), FakeSender(), FakeAnalysis(every=10)
    gap = GapRecord(20_000 * STEP_PS, 20_001 * STEP_PS, 3, GapCause.DEVICE_OVERFLOW)
    stream.gaps.append((20_001, gap))
    seen: list[RunStatus] = []
    seeds = {Party.BOB: bytes(range(32))}
    lab = station(stream, sender)
    with Run(fake_link(), lab, tmp_path / "run", analysis=analysis, context=TEXTS, squash_seeds=seeds) as run:
        report = run.execute(duration_s=0.2, progress=seen.append)
    parties = recorded(tmp_path / "run")
    tags = all_tags(parties[Party.BOB])
    assert tags.gaps == (gap,)
    assert len(tags) == report.tags >= 200_000
    np.testing.assert_array_equal(tags.times_ps, np.arange(len(tags)) * STEP_PS)
    slots = np.concatenate([slot for slot, _ in parties[Party.ALICE].settings()])
    codes = np.concatenate([code for _, code in parties[Party.ALICE].settings()])
    assert report.settings == slots.size
    assert np.all(np.diff(slots) > 0)
    np.testing.assert_array_equal(codes, slots % 16)
    assert analysis.answers == dict(zip(slots.tolist(), codes.tolist(), strict=True))
    assert analysis.tags == len(tags)
    assert (report.lost, report.gaps, report.interrupted) == (3, 1, False)
    assert seen
    assert seen[-1].tags <= report.tags
    assert not stream.running
    assert not sender.running
    assert not sender.asked_while_stopped
    bob, alice = parties[Party.BOB].context, parties[Party.ALICE].context
    assert bob["squash_seed"] == bytes(range(32)).hex()
    assert "squash_seed" not in alice
    for context in (bob, alice):
        assert {name: context[name] for name in TEXTS} == TEXTS
        assert json.loads(context["snapshot"]) == {"instruments": ["pattern", "tagger"]}
    said = [text for _, text in events(tmp_path / "run" / "bob-0000.h5")]
    assert said[0].startswith("armed")
    assert said[-1] == "stop"
    assert "3 tags lost, 3 in all" in said
    spec = parties[Party.BOB].streams["tags"]
    assert (spec.instrument, spec.serial, spec.resolution_ps) == ("tagger", "F-1", 1.0)
    json.dumps(report.as_dict())


def test_a_slow_analysis_catches_up_before_the_seal_and_no_tag_is_lost(tmp_path: Path) -> None:
    analysis = FakeAnalysis(every=100, slow_s=0.02)
    link = fake_link(block_tags=1024)
    with Run(link, station(FakeStream(rate_hz=200_000.0)), tmp_path / "run", analysis=analysis, context=TEXTS) as run:
        report = run.execute(duration_s=0.2)
    assert report.lost == 0
    assert analysis.tags == report.tags
    assert report.settings == len(analysis.answers) > 0


def test_a_link_with_two_receivers_records_both_and_asks_nobody(tmp_path: Path) -> None:
    link = parse_yaml(PAIR_LINK_TEXT, LinkConfig, "pairs")
    taggers = {name: FakeTagger(FakeStream(rate_hz=100_000.0)) for name in ("alice_tagger", "bob_tagger")}
    analysis = FakeAnalysis(every=0)
    with Run(link, FakeStation(**taggers), tmp_path / "run", analysis=analysis, context=TEXTS) as run:
        report = run.execute(duration_s=0.05)
    parties = recorded(tmp_path / "run")
    assert {party for party, _ in analysis.blocks} == {Party.ALICE, Party.BOB}
    assert sum(len(all_tags(parties[party])) for party in parties) == report.tags == analysis.tags
    assert parties[Party.ALICE].context["squash_seed"] != parties[Party.BOB].context["squash_seed"]
    assert report.settings == 0


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (HardwareError("the tagger says no"), HardwareError, "the tagger says no"),
        (ZeroDivisionError("vendor bug"), StreamError, "tagger of bob failed: ZeroDivisionError: vendor bug"),
    ],
)
def test_a_tagger_that_fails_ends_the_run_with_its_error_and_sealed_files(
    tmp_path: Path, error: Exception, kind: type[Exception], said: str
) -> None:
    stream, sender = FakeStream(read_tags=1000, pause_s=0.002, fail_at=50_500, error=error), FakeSender()
    lab = station(stream, sender)
    with (
        Run(fake_link(), lab, tmp_path / "run", analysis=FakeAnalysis(), context=TEXTS) as run,
        pytest.raises(kind, match=said),
    ):
        run.execute(duration_s=60.0)
    tags = all_tags(recorded(tmp_path / "run")[Party.BOB])
    np.testing.assert_array_equal(tags.times_ps, np.arange(50_000) * STEP_PS)
    with RunFileReader(tmp_path / "run" / "bob-0000.h5") as reader:
        assert reader.header.status == "closed"
    assert any(said in text for _, text in events(tmp_path / "run" / "alice-0000.h5"))
    assert not sender.running
    assert not stream.running


def test_an_analysis_that_fails_ends_the_run_and_the_tags_are_sealed(tmp_path: Path) -> None:
    lab = station(FakeStream(rate_hz=100_000.0))
    analysis = FakeAnalysis(fail_after=3)
    with (
        Run(fake_link(), lab, tmp_path / "run", analysis=analysis, context=TEXTS) as run,
        pytest.raises(ArithmeticError, match="the analysis broke"),
    ):
        run.execute(duration_s=60.0)
    assert len(all_tags(recorded(tmp_path / "run")[Party.BOB])) > 0


def test_a_sender_that_cannot_start_stops_the_taggers_and_seals(tmp_path: Path) -> None:
    class Broken(FakeSender):
        def start(self) -> None:
            raise HardwareError("no clock at the generator")

    stream = FakeStream(rate_hz=1000.0)
    lab = station(stream, Broken())
    with (
        Run(fake_link(), lab, tmp_path / "run", analysis=FakeAnalysis(), context=TEXTS) as run,
        pytest.raises(HardwareError, match="no clock"),
    ):
        run.execute()
    assert not stream.running
    assert (tmp_path / "run" / "bob-0000.h5").exists()


def test_a_link_that_does_not_fit_starts_nothing(tmp_path: Path) -> None:
    stream = fast_stream()
    lab = station(stream, FakeSender(pulse_rate_hz=1e9))
    with (
        Run(fake_link(), lab, tmp_path / "run", analysis=FakeAnalysis(), context=TEXTS) as run,
        pytest.raises(ConfigError, match="pulse_rate_hz"),
    ):
        run.execute()
    assert not (tmp_path / "run").exists()
    assert stream.sent == 0


def test_an_existing_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        Run(fake_link(), station(fast_stream()), tmp_path, analysis=FakeAnalysis(), context=TEXTS) as run,
        pytest.raises(RunExistsError),
    ):
        run.execute()


def test_phases_out_of_order_are_refused(tmp_path: Path) -> None:
    with Run(fake_link(), station(fast_stream()), tmp_path, analysis=FakeAnalysis(), context=TEXTS) as run:
        for phase in (run.arm, run.stream, run.stop, run.seal):
            with pytest.raises(LocalProtocolError, match="that is new"):
                phase()


def test_a_dark_link_ends_with_a_warning_instead_of_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faintlink.acquisition.run.STALL_S", 0.2)
    lab = station(FakeStream(rate_hz=0.0))
    with Run(fake_link(), lab, tmp_path / "run", analysis=FakeAnalysis(every=0), context=TEXTS) as run:
        report = run.execute(duration_s=0.1)
    assert report.tags == 0
    assert "no tag came" in report.warnings[0]
