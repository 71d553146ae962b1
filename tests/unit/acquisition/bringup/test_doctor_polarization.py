"""On a polarization-coded bench, too, each fault is the finding that is named first."""

from collections.abc import Iterator

import pytest

from tests.cold_bench import POLARIZATION
from tests.doctor_table import Table, opened


@pytest.fixture(scope="module")
def polarized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    yield from opened(tmp_path_factory.mktemp("polarized"), POLARIZATION)


@pytest.mark.slow
@pytest.mark.parametrize(("knob", "value", "name"), [
    ("fibre.retardance", 60.0, "one-basis"),
    ("fibre.polarization_rotation", 25.0, "both-bases"),
])  # fmt: skip
def test_polarization_that_turned_is_told_by_the_bases_that_err(
    polarized: Table, knob: str, value: float, name: str
) -> None:
    assert polarized.examined() == []
    with polarized.fault(knob, value):
        first = polarized.examined()[0]
    assert first.name == name
    assert "polarization" in first.remedy


@pytest.mark.slow
def test_a_fibre_whose_polarization_wandered_for_a_night_is_named_first(polarized: Table) -> None:
    # The even turn of this station's fibre would be whole turns after a night.
    with polarized.fault("fibre.polarization_drift", 0.0):
        with polarized.fault("fibre.polarization_walk", 0.1):
            polarized.station.component("bench").lapse(8 * 3600.0)
            first = polarized.examined()[0]
        assert polarized.examined() == []
    assert first.name in ("one-basis", "both-bases"), first
    assert first.seen > 0.11
    assert "calibrate polarization" in first.remedy
