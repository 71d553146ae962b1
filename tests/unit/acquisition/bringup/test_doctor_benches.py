"""Many healthy benches without a finding, and the faults of a pair link; each test opens a bench of its own."""

from pathlib import Path

import pytest

from faintlink.acquisition.bringup.doctor.diagnoses import diagnose
from faintlink.acquisition.bringup.doctor.evidence import Evidence
from faintlink.acquisition.bringup.doctor.probe import probe
from tests.cold_bench import TIME_BIN, pair_lab
from tests.doctor_table import opened


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_of_ten_healthy_benches_have_no_finding(tmp_path: Path, seed: int) -> None:
    for healthy in opened(tmp_path, TIME_BIN, seed=seed):
        assert healthy.examined() == []


@pytest.mark.slow
def test_faults_of_a_pair_link_are_told_apart(tmp_path: Path) -> None:
    found = {}
    with pair_lab(tmp_path) as (lab, station):
        for knob, value, back in (
            ("fibre.length", 10.0, 10.0),
            ("fibre.retardance", 60.0, 0.0),
            ("bob_detector_z0.enabled", False, True),
            ("pair_source.pair_rate", 0.0, 4e6),
            ("bob_tagger.clock_offset", 3.0, 0.0),
        ):
            instrument, _, name = knob.rpartition(".")
            parameter = station.component(instrument).parameters[name]
            parameter(value)
            found[knob] = [finding.name for finding in diagnose(Evidence(lab.link, probe=probe(lab, {})))][:1]
            parameter(back)
    assert found == {
        "fibre.length": [],
        "fibre.retardance": ["one-basis"],
        "bob_detector_z0.enabled": ["detector-silent"],
        "pair_source.pair_rate": ["no-light"],
        "bob_tagger.clock_offset": ["no-coincidences"],
    }
