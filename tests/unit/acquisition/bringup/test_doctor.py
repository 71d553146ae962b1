"""Each fault of the mock bench is the finding that is named first, with its figures; a healthy bench has none."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from faintlink.acquisition.bringup.doctor.diagnoses import diagnose
from faintlink.acquisition.bringup.doctor.evidence import DetectorSeen, DiskSeen, Evidence, LastRun, Probe
from faintlink.acquisition.bringup.doctor.examine import disk_of, who_does_not_answer
from faintlink.acquisition.bringup.doctor.finding import Finding
from faintlink.acquisition.bringup.doctor.probe import probe
from faintlink.acquisition.bringup.standing import standings
from faintlink.acquisition.bringup.states import steps_of
from faintlink.acquisition.calibration.bring_up import ROUTINES
from faintlink.core.calibration.records import Verdict
from faintlink.core.errors import ConnectionLostError
from faintlink.core.records import LossCount
from faintlink.instruments.calibration.routine import execute
from tests.cold_bench import TIME_BIN
from tests.doctor_table import COMPARED, Table, opened


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    yield from opened(tmp_path_factory.mktemp("table"), TIME_BIN)


@pytest.fixture(scope="module")
def healthy(table: Table) -> Probe:
    return probe(table.lab, table.records)


def test_a_healthy_bench_has_no_finding(table: Table, healthy: Probe) -> None:
    assert diagnose(table.evidence(seen=healthy)) == []
    assert len(healthy.detectors) == 2
    assert healthy.arrivals is not None
    assert healthy.mean_photons is not None
    assert healthy.leak is not None
    assert set(healthy.errors) == {"key", "test"}


def test_the_table_is_left_as_it_was(table: Table) -> None:
    before = table.station.snapshot()["instruments"]
    with table.fault("alice_im.null_voltage", 1.5):
        assert table.examined()[0].name == "bias-drifted"
    after = table.station.snapshot()["instruments"]
    for name, entry in before.items():
        for parameter, value in entry["parameters"].items():
            if parameter not in ("bench_time", "count_rate", "power", "IDN"):
                assert after[name]["parameters"][parameter]["value"] == value["value"], (name, parameter)


FAULTS = [
    ("bob_detector_0.dark_count_rate", 2500.0, "dark-counts", 2500.0, 500.0),
    ("bob_detector_1.enabled", False, "detector-silent", 0.0, None),
    pytest.param(*("bob_detector_0.dark_count_rate", 6.0e6, "detector-latched", 0.38, 0.3), marks=pytest.mark.slow),
    ("bob_tagger.fifo_tags", 1000, "tags-lost", None, 0.0),
    pytest.param("alice_im.null_voltage", 1.5, "bias-drifted", None, 0.03, marks=pytest.mark.slow),
    ("alice_laser.power", 0.0016, "mean-photons", 0.8, 0.5),
    pytest.param(*("alice_voa.attenuation", 17.0, "mean-photons", 1.0, 0.5), marks=pytest.mark.slow),
    ("fibre.length", 500.0, "no-light", None, None),
    pytest.param(*("fibre.length", 35.0, "light-lost", None, None), marks=pytest.mark.slow),
    ("bob_tagger.clock_error", 500.0, "clock-not-locked", 500.0, 100.0),
    ("bob_pm.drive_levels", [0.0, 1.0], "one-basis", None, None),
    ("fibre.interferometer_phase", 1.0, "both-bases", 0.23, 0.088),
]


@pytest.mark.parametrize(("knob", "value", "name", "seen", "expected"), FAULTS)
def test_a_fault_is_the_finding_that_is_named_first(
    table: Table, knob: str, value: Any, name: str, seen: float | None, expected: float | None
) -> None:
    with table.fault(knob, value):
        first = table.examined()[0]
    assert first.name == name, first
    assert seen is None or first.seen == pytest.approx(seen, rel=0.15)
    assert expected is None or first.expected == pytest.approx(expected, rel=0.15)
    assert first.cause
    assert first.remedy


def test_a_finding_tells_its_figures_and_their_ratio() -> None:
    finding = Finding("dark-counts", "it is noisy", 2500.0, 500.0, "Hz", "about", "stray light", "cover it")
    assert "2500 Hz seen, about 500 Hz expected (x 5)" in str(finding)
    assert finding.as_dict()["ratio"] == 5.0


def test_a_second_peak_as_high_as_the_first_is_a_gate_that_may_stand_wrong(table: Table) -> None:
    engine = table.station.component("bench").engine
    engine.update(peak_separation_ps=6250)
    try:
        findings = table.examined()
    finally:
        engine.update(peak_separation_ps=2500)
    assert findings[0].name == "second-peak", findings
    assert findings[0].seen == pytest.approx(1.0, abs=0.08)
    assert findings[0].expected == 0.5


def test_a_gate_on_a_side_peak_is_told_from_one_on_the_highest(table: Table, healthy: Probe) -> None:
    gate = table.lab.link.gate.model_copy(update={"center_ps": -2500})
    link = table.lab.link.model_copy(update={"gate": gate})
    first = diagnose(replace(table.evidence(seen=healthy), link=link))[0]
    assert first.name == "second-peak"
    assert first.seen == pytest.approx(0.5, rel=0.1)
    assert "set gate.center_ps" in first.remedy


def test_a_pulse_rate_that_nothing_plays_is_no_clock_at_all(table: Table) -> None:
    source = table.lab.link.source
    assert source is not None
    wrong = table.lab.link.model_copy(update={"source": source.model_copy(update={"pulse_rate_hz": 73e6})})
    names = [finding.name for finding in diagnose(replace(
        table.evidence(seen=probe(replace(table.lab, link=wrong), table.records)), link=wrong))]  # fmt: skip
    assert names[0] == "clock-not-locked"


def test_an_instrument_that_does_not_answer_is_named_with_its_last_words(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> float:
        raise ConnectionLostError("no reply within 2 s", hint="switch it on")

    voa = table.station.component("alice_voa")
    monkeypatch.setattr(voa, "_address", "TCPIP::10.0.0.7::SOCKET", raising=False)
    monkeypatch.setattr(voa.attenuation, "get", refuse)
    lost = list(who_does_not_answer(table.lab.link, table.station))
    (finding,) = diagnose(table.evidence(unreachable=lost))
    assert finding.name == "device-silent"
    assert "alice_voa at TCPIP::10.0.0.7::SOCKET does not answer" in finding.what
    assert "no reply within 2 s" in finding.what


def test_a_full_disk_is_named_before_it_ends_a_run(table: Table) -> None:
    low = DiskSeen(Path("runs"), free_bytes=2 * 10**9, total_bytes=10**12)
    (finding,) = diagnose(table.evidence(disk=low))
    assert (finding.name, finding.seen, finding.expected) == ("disk-low", 2.0, 100.0)
    assert diagnose(table.evidence(disk=replace(low, free_bytes=2 * 10**11))) == []


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert disk_of(tmp_path / "a" / "b").folder == tmp_path


def test_tags_lost_in_the_last_run_are_named(table: Table) -> None:
    (finding,) = diagnose(table.evidence(last_run=LastRun(Path("runs/x"), LossCount(1000, 30, 2))))
    assert (finding.name, finding.seen) == ("tags-lost", 30.0)


def test_an_old_calibration_is_named_with_its_age(table: Table) -> None:
    (finding,) = diagnose(table.evidence(age_h=5.0))
    assert finding.name == "calibration-old"
    assert finding.seen == pytest.approx(5.0, abs=0.1)
    assert finding.expected == 4.0
    assert "qber" in finding.what


def test_a_link_that_was_never_brought_up_is_told_so(table: Table) -> None:
    nothing = Evidence(table.lab.link, standings(steps_of(COMPARED), {}, now=datetime.now(UTC)))
    (finding,) = diagnose(nothing)
    assert finding.name == "not-brought-up"


def test_a_failed_step_is_told_in_its_own_figures_when_nothing_else_explains_it(table: Table) -> None:
    failed = execute(ROUTINES["dark_counts"], table.lab, options={"max_dark_hz": 1.0, "duration_s": 0.2})
    newest = {**table.records, "dark_counts": failed}
    (finding,) = diagnose(replace(table.evidence(), newest=newest))
    assert finding.name == "step-missed"
    assert finding.expected == 1.0
    broken = {**newest, "dark_counts": replace(failed, verdict=Verdict.ERROR, reason="it broke", decision=replace(
        failed.decision, criteria=()))}  # fmt: skip
    (finding,) = diagnose(replace(table.evidence(), newest=broken))
    assert (finding.name, finding.what) == ("step-broke", "dark_counts broke: it broke")


def test_a_detector_dark_by_nature_is_not_called_silent_for_want_of_light(table: Table) -> None:
    quiet = tuple(DetectorSeen(number, 0, 0.3, 0, 0.2, 1e-7) for number in (0, 1))
    names = [finding.name for finding in diagnose(replace(table.evidence(seen=Probe(quiet)), passed={}))]
    assert names == ["no-light"]


def test_a_detector_that_is_dead_without_light_is_latched_and_one_that_light_kills_is_saturated(
    table: Table, healthy: Probe
) -> None:
    first, second = healthy.detectors
    latched = replace(healthy, detectors=(replace(first, dark_counts=1_200_000), second))
    finding = diagnose(table.evidence(seen=latched))[0]
    assert (finding.name, finding.expected) == ("detector-latched", 0.3)
    assert finding.seen == pytest.approx(0.4, rel=0.02)
    saturated = replace(healthy, detectors=(first, replace(second, light_counts=3_000_000)))
    assert [finding.name for finding in diagnose(table.evidence(seen=saturated))] == ["detector-saturated"]


def test_a_sifted_rate_far_below_the_record_is_light_lost_on_the_way(table: Table, healthy: Probe) -> None:
    assert healthy.sifted_hz is not None
    (finding,) = diagnose(table.evidence(seen=replace(healthy, sifted_hz=0.4 * healthy.sifted_hz)))
    assert finding.name == "light-lost"
    assert finding.ratio == pytest.approx(0.4, rel=0.1)
