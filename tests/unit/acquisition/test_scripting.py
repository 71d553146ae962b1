"""What a script meets: the instruments of a link by name and role, runs, calibrations and keys."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.acquisition.launch import take_run
from faintlink.acquisition.scripting import Station
from faintlink.acquisition.statistics.companions import Companions
from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.calibration.file import read_record
from faintlink.core.errors import ConfigError, LocalProtocolError, NotEnoughSignalsError
from faintlink.core.symbols import Party
from tests.acquisition_fakes import recorded
from tests.data import ROOT

LAB = ROOT / "lab_configs"


@pytest.fixture
def demo() -> Iterator[Station]:
    with Station("demo") as lab:
        yield lab


def test_an_instrument_is_found_by_name_by_role_and_by_key(demo: Station) -> None:
    assert demo.alice_laser is demo["alice_laser"] is demo.laser is demo["laser"]
    assert demo.bob_time_tagger is demo.bob_tagger
    assert demo.laser.name == "alice_laser"


def test_completion_offers_instruments_roles_and_methods(demo: Station) -> None:
    assert {"alice_laser", "laser", "bob_time_tagger", "run", "calibrate"} <= set(dir(demo))
    assert {"alice_laser", "laser", "bob_time_tagger"} <= set(demo._ipython_key_completions_())
    assert all(demo[name] is not None for name in demo._ipython_key_completions_())


def test_a_wrong_name_is_answered_with_what_there_is(demo: Station) -> None:
    with pytest.raises(AttributeError, match="no instrument 'alice_lazer'; it has bench, alice_laser"):
        _ = demo.alice_lazer
    with pytest.raises(ConfigError, match="alice_lazer"):
        _ = demo["alice_lazer"]
    assert not hasattr(demo, "_repr_png_")


def test_the_station_shows_link_instruments_and_roles(demo: Station) -> None:
    lines = repr(demo).splitlines()
    assert lines[0] == "Station demo-10km: bb84-decoy on demo.station.yaml, simulation"
    assert [line.split()[0] for line in lines[1:]] == list(demo.names)
    assert "  alice_laser          MockLaser                  laser" in lines


def test_a_file_and_the_name_of_a_shipped_one_are_both_taken(tmp_path: Path) -> None:
    for end in ("link", "station"):
        text = (LAB / f"demo.{end}.yaml").read_text().replace("name: demo-10km", "name: mine")
        (tmp_path / f"demo.{end}.yaml").write_text(text)
    for link, name in ((tmp_path / "demo.link.yaml", "mine"), ("demo", "demo-10km")):
        with Station(link) as lab:
            assert lab.link.name == name


def test_a_link_that_is_nowhere_is_refused_with_the_names_of_those_that_are() -> None:
    with pytest.raises(ConfigError, match="no link file 'dome'") as refused:
        Station("dome")
    assert "demo, entanglement_s15, money" in refused.value.hint


def test_a_link_without_instruments_is_refused_before_anything_opens() -> None:
    with pytest.raises(ConfigError, match="names no station"):
        Station("qcrypto")


def test_runs_follow_each_other_on_one_station_with_the_knobs_of_each(demo: Station, tmp_path: Path) -> None:
    reports = []
    waiting = demo.run(out=tmp_path / "waiting")
    for km in (10.0, 60.0):
        with demo.run(duration_s=0.25, settings={"fibre.length": km}, out=tmp_path / f"{km:g}") as run:
            with pytest.raises(LocalProtocolError, match="one at a time"):
                demo.run()
            with pytest.raises(LocalProtocolError, match="one at a time"):
                demo.calibrate("dark_counts")
            with pytest.raises(LocalProtocolError, match="one at a time"):
                waiting.start()
        reports.append(run.report)
    near, far = reports
    assert near.live.state == "locked"
    assert 0.0 < near.live.qber_key.rate < 0.05
    # 50 km more at 0.2 dB/km leave a tenth of the light; darks and afterpulses add a little.
    assert 0.09 < (far.tags / far.duration_s) / (near.tags / near.duration_s) < 0.2
    assert near.run_id != far.run_id


def test_the_files_are_those_of_a_run_of_the_command(demo: Station, tmp_path: Path) -> None:
    demo.run(duration_s=0.25, out=tmp_path / "run").wait()
    context = recorded(tmp_path / "run")[Party.BOB].context
    assert context["link"] == (LAB / "demo.link.yaml").read_text()
    assert context["station"] == (LAB / "demo.station.yaml").read_text()
    assert context["origin"] == "simulation"


def test_a_run_that_holds_no_block_makes_no_key_and_is_none_of_an_application(demo: Station, tmp_path: Path) -> None:
    run = demo.run(duration_s=0.3, out=tmp_path / "run")
    run.wait()
    with pytest.raises(ConfigError, match="makes keys and no records"):
        run.judge()
    with pytest.raises(NotEnoughSignalsError, match="no whole block of 10"):
        run.process(str(tmp_path / "key"))


def test_a_run_of_an_application_makes_no_key(tmp_path: Path) -> None:
    with Station("token") as lab:
        run = lab.run(duration_s=0.01, out=tmp_path / "run")
        run.wait()
    with pytest.raises(ConfigError, match="makes no key") as refused:
        run.process()
    assert "judge()" in refused.value.hint


def test_a_wrong_knob_is_refused_and_the_station_serves_on(demo: Station, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no parameter 'span'"):
        demo.run(settings={"fibre.span": 3}, out=tmp_path / "run").wait()
    assert not (tmp_path / "run").exists()
    assert demo.run(duration_s=0.05, out=tmp_path / "run").wait().tags > 0


def test_an_address_that_is_taken_is_refused_before_the_run(demo: Station, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError):
        demo.run(out=tmp_path / "run", publish=f"tcp://127.0.0.1:{taken.getsockname()[1]}")


def test_a_window_starts_with_the_run_and_is_told_where_it_speaks(
    demo: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[Path, str]] = []
    monkeypatch.setattr(Companions, "_open_window", lambda self, folder, address: opened.append((folder, address)))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    run = demo.run(duration_s=0.05, out=tmp_path / "run", window=True)
    assert opened == []
    run.wait()
    [(folder, address)] = opened
    assert folder == tmp_path / "run"
    assert address.startswith("tcp://127.0.0.1:")


def test_a_listener_hears_the_run_to_its_last_tag(demo: Station, tmp_path: Path) -> None:
    heard: list[Snapshot] = []
    report = demo.run(duration_s=1.0, out=tmp_path / "run", listener=heard.append).wait()
    assert len(heard) > 3
    assert heard[-1].is_over
    assert (heard[-1].tags, heard[-1].counts.key) == (report.tags, report.live.qber_key)
    facts = heard[-1].facts
    assert facts is not None
    assert (facts.run_id, facts.origin) == (report.run_id, "simulation")
    assert any("armed" in line for line in facts.events)


def test_a_calibration_leaves_a_record_and_tells_who_listens(demo: Station, tmp_path: Path) -> None:
    heard: list[str] = []
    record = demo.calibrate("dark_counts", out=tmp_path, listener=lambda one: heard.append(one.routine))
    assert record.is_passed
    assert heard == ["dark_counts"]
    [file] = tmp_path.iterdir()
    assert read_record(file).record_id == record.record_id
    assert repr(record) == f"<CalibrationRecord {record.record_id} dark_counts passed>"


def test_a_station_that_closes_ends_the_run_that_goes_on(tmp_path: Path) -> None:
    with Station("bbm92") as lab:
        run = lab.run(out=tmp_path / "run").start()
    assert run.report.interrupted
    assert repr(lab) == f"<Station {lab.link.name}, closed>"


def test_a_blind_computation_is_sent_to_its_own_function(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="computes blindly") as refused:
        take_run(LAB / "bqc.link.yaml", tmp_path / "run")
    assert "take_bqc_run" in refused.value.hint
