import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from faintlink.acquisition.calibration.in_force import CalibrationInForce, load_in_force, with_gate
from faintlink.core.calibration.file import write_record
from faintlink.core.calibration.records import CalibrationRecord, Decision, Verdict
from faintlink.core.config.loader import load_link
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.manifest import file_sha256
from tests.cold_bench import CONFIGS

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
DEMO = CONFIGS / "demo.link.yaml"
ARRIVAL = {
    "gate_center_ps": 12.4,
    "gate_center_sigma_ps": 0.7,
    "gate_half_width_ps": 180.2,
    "gate_half_width_sigma_ps": 2.0,
}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(routine: str, results: dict[str, float], *, age_h: float = 1.0, **changes: object) -> Path:
        number = len(list(tmp_path.iterdir()))
        record = CalibrationRecord(
            record_id=f"{number:032x}",
            routine=routine,
            routine_version=1,
            link="demo-10km",
            started_utc=(NOW - timedelta(hours=age_h)).isoformat(timespec="milliseconds"),
            duration_s=1.0,
            software_version="1",
            verdict=Verdict.PASSED,
            reason="",
            options={},
            scans={},
            decision=Decision(results=results),
            before={},
            after={},
        )
        path = write_record(tmp_path, replace(record, **changes))  # type: ignore[arg-type]  # fields by name
        return path.rename(path.with_name(f"{number}-{path.name}"))

    return write


def _loaded(folder: Path, max_age_h: float = 24.0) -> CalibrationInForce:
    return load_in_force(folder, load_link(DEMO), max_age_s=3600.0 * max_age_h, now=lambda: NOW)


def test_the_newest_passed_record_of_a_routine_holds(make: Make, tmp_path: Path) -> None:
    make("arrival", {**ARRIVAL, "gate_center_ps": 99.0}, age_h=3.0)
    newest = make("arrival", ARRIVAL, age_h=1.0)
    make("arrival", {**ARRIVAL, "gate_center_ps": 77.0}, age_h=2.0)
    in_force = _loaded(tmp_path)
    assert in_force.records["arrival"].path == newest
    assert in_force.gate() == {"center_ps": 12, "half_width_ps": 181}


def test_a_failed_record_and_one_of_another_link_do_not_hold(make: Make, tmp_path: Path) -> None:
    make("arrival", ARRIVAL, verdict=Verdict.FAILED)
    make("arrival", ARRIVAL, link="other")
    with pytest.raises(ConfigError, match="no passed calibration of link demo-10km"):
        _loaded(tmp_path)


def test_a_stale_record_is_refused_by_name_with_the_remedy(make: Make, tmp_path: Path) -> None:
    make("arrival", ARRIVAL, age_h=30.0)
    with pytest.raises(ConfigError, match=r"arrival .* is 30\.0 h old, 24\.0 h are allowed") as caught:
        _loaded(tmp_path)
    assert "faintlink calibrate arrival" in str(caught.value.hint)
    assert _loaded(tmp_path, max_age_h=31.0).gate() is not None


def test_a_record_from_the_future_is_refused(make: Make, tmp_path: Path) -> None:
    make("arrival", ARRIVAL, age_h=-2.0)
    with pytest.raises(ConfigError, match="in the future"):
        _loaded(tmp_path)


def test_figures_come_with_uncertainty_and_record(make: Make, tmp_path: Path) -> None:
    make("detector_gaps", {"detector_0_dead_ps": 1e5, "detector_0_dead_uncertainty_ps": 50.0})
    make("photon_number", {"mu": 0.5, "mu_sigma": 0.02})
    make("heralding", {"efficiency_bob": 0.2, "efficiency_bob_sigma": 0.001})
    found = _loaded(tmp_path).quantities
    assert {name: (q.value, q.sigma) for name, q in found.items()} == {
        "detector_0_dead_ps": (1e5, 50.0),
        "mu": (0.5, 0.02),
        "efficiency_bob": (0.2, 0.001),
    }
    assert len({q.record_id for q in found.values()}) == 3


def test_the_meters_mean_photon_number_gets_the_uncertainty_of_its_attenuation(make: Make, tmp_path: Path) -> None:
    make("attenuation", {"mu": 0.5, "attenuation_db": 20.0, "attenuation_sigma_db": 0.1})
    # 0.1 dB are 2.303 per cent.
    assert _loaded(tmp_path).quantities["mu"].sigma == pytest.approx(0.5 * 0.0230259, rel=1e-4)


def test_the_text_for_the_run_names_file_identity_and_hash(make: Make, tmp_path: Path) -> None:
    path = make("arrival", ARRIVAL)
    document = json.loads(_loaded(tmp_path).as_text())
    entry = document["records"]["arrival"]
    assert (entry["file"], entry["sha256"]) == (path.name, file_sha256(path))
    assert entry["record_id"] == document["quantities"]["gate_center_ps"]["record_id"]
    assert document["gate"] == {"center_ps": 12, "half_width_ps": 181}


@pytest.mark.parametrize(
    "section",
    ["", "gate: {center_ps: 1, half_width_ps: 2}   # why\n", "gate:\n  center_ps: 1\n  half_width_ps: 2\n"],
)
def test_only_the_gate_of_a_link_file_is_replaced(section: str) -> None:
    head, tail = "# head\nname: x   # a name\n", "other: [1, 2]\n"
    text = with_gate(head + section + tail, {"center_ps": 5, "half_width_ps": 9})
    assert text.startswith(head)
    assert "other: [1, 2]\n" in text
    assert text.count("gate: {center_ps: 5, half_width_ps: 9}") == 1
    assert "half_width_ps: 2" not in text


def test_a_shipped_link_reads_back_with_the_gate_and_nothing_else_changed(make: Make, tmp_path: Path) -> None:
    make("arrival", ARRIVAL)
    before = load_link(DEMO)
    text, after = _loaded(tmp_path).applied_to(DEMO.read_text(), "demo")
    assert (after.gate.center_ps, after.gate.half_width_ps) == (12, 181)
    assert after.model_copy(update={"gate": before.gate}) == before
    assert len(text.splitlines()) == len(DEMO.read_text().splitlines())
