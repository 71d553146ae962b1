from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faintlink.acquisition.calibration.bring_up import ROUTINES
from faintlink.acquisition.calibration.coincidences import correlation, pair_errors
from faintlink.acquisition.calibration.pair_polarization import PairAlignment
from faintlink.acquisition.calibration.pairs import CoincidencePeak, Heralding, PairErrors, PairLevel
from faintlink.core.calibration.records import Scan, Verdict
from faintlink.core.errors import NotEnoughSignalsError
from faintlink.instruments.calibration.detectors import DetectorGaps
from faintlink.instruments.calibration.lab import OUTCOMES, Lab
from faintlink.instruments.calibration.routine import Routine, execute, replay
from faintlink.instruments.station import LabStation
from tests.cold_bench import pair_lab

Bench = tuple[Lab, LabStation]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with pair_lab(tmp_path, seed=5) as opened:
        yield opened


def _table(equal: int, opposite: int, *, basis: str = "z") -> Scan:
    columns = {f"counts_{a}_{b}": np.zeros(1, np.int64) for a in OUTCOMES for b in OUTCOMES}
    for bit in (0, 1):
        columns[f"counts_{basis}{bit}_{basis}{bit}"][:] = equal // 2
        columns[f"counts_{basis}{bit}_{basis}{1 - bit}"][:] = opposite // 2
    return Scan("table", columns)


def test_the_correlation_is_that_of_the_table() -> None:
    value, sigma = correlation(_table(980, 20), "z", "z")
    assert value[0] == pytest.approx(0.96)
    # 2 sqrt(0.98 * 0.02 / 1000), with one coincidence more of each.
    assert sigma[0] == pytest.approx(0.00885, rel=0.04)


@pytest.mark.parametrize(("sign", "qber"), [(1.0, 0.02), (-1.0, 0.98)])
def test_opposite_bits_are_errors_of_one_state_and_right_for_the_other(sign: float, qber: float) -> None:
    assert pair_errors(_table(980, 20), "z", sign=sign)[0][0] == pytest.approx(qber)


def test_a_basis_without_coincidences_is_refused() -> None:
    with pytest.raises(NotEnoughSignalsError, match="no coincidences in bases X and X"):
        correlation(_table(980, 20), "x", "x")


def test_delay_and_width_of_the_peak_are_those_of_the_bench(bench: Bench) -> None:
    lab, _ = bench
    record = execute(CoincidencePeak(), lab)
    assert record.is_passed, record.reason
    fit, results = record.decision.fits[0], record.decision.results
    # Two detectors of 150 ps each.
    assert abs(fit["sigma_ps"] - 150.0 * np.sqrt(2.0)) < 5.0 * fit.sigma("sigma_ps")
    assert abs(fit["centre_ps"]) < 30.0
    # Bob's clock starts 2.1 ms ahead, runs 1.5 ppm fast, and his light takes 48.967 us.
    assert results["delay_ps"] == pytest.approx(2.1e9 + 48.967e6, abs=5e6)
    assert results["frequency_ppm"] == pytest.approx(1.5, abs=0.01)


def test_a_window_too_narrow_for_the_jitter_fails(bench: Bench) -> None:
    lab, station = bench
    for number in ("z0", "z1", "x0", "x1"):
        station.component(f"bob_detector_{number}").jitter(450e-12)
    record = execute(CoincidencePeak(), lab)
    assert record.verdict is Verdict.FAILED
    assert "share of the pairs in the window" in record.reason


def test_a_blocked_arm_is_an_error_that_leaves_the_source_as_it_was(bench: Bench) -> None:
    lab, station = bench
    lab.role("pair_source").enabled(False)
    station.component("fibre").length(1000.0)
    record = execute(CoincidencePeak(), lab)
    assert record.verdict is Verdict.ERROR
    assert "coincidence peak" in record.reason
    assert lab.role("pair_source").enabled() is False


def test_the_pump_is_set_where_accidentals_reach_their_limit(bench: Bench) -> None:
    lab, _ = bench
    lab.role("pair_source").pair_rate(6e6)
    record = execute(PairLevel(), lab, options={"min_car": 120.0})
    assert record.is_passed, record.reason
    results = record.decision.results
    assert abs(results["car"] - 120.0) < 12.0
    assert lab.role("pair_source").pair_rate() == results["pair_rate_hz"]
    assert 1.5e6 < results["pair_rate_hz"] < 12e6


def test_too_many_accidentals_at_any_level_fail_and_the_level_goes_back(bench: Bench) -> None:
    lab, _ = bench
    record = execute(PairLevel(), lab, options={"min_car": 1e5})
    assert record.verdict is Verdict.FAILED
    assert lab.role("pair_source").pair_rate() == 2e6


@pytest.mark.parametrize("pair_rate_hz", [5e5, 6e6])
def test_the_heralded_efficiencies_are_those_of_the_arms(bench: Bench, pair_rate_hz: float) -> None:
    lab, _ = bench
    lab.role("pair_source").pair_rate(pair_rate_hz)
    record = execute(Heralding(), lab)
    assert record.is_passed, record.reason
    results = record.decision.results
    # 2 dB of optics, detectors of 0.6; 3 dB in Alice's arm and 2 dB of fibre in Bob's.
    for arm, loss_db in (("alice", 5.0), ("bob", 4.0)):
        truth = 0.6 * 10.0 ** (-loss_db / 10.0)
        assert abs(results[f"efficiency_{arm}"] - truth) < 4.0 * results[f"efficiency_{arm}_sigma"]
        assert results[f"efficiency_{arm}_sigma"] < 0.01 * truth
    assert lab.role("pair_source").enabled() is True


def test_the_bases_of_both_receivers_are_brought_into_agreement(bench: Bench) -> None:
    lab, station = bench
    station.component("fibre").polarization_rotation(61.0)
    station.component("fibre").retardance(80.0)
    record = execute(PairAlignment(), lab)
    assert record.is_passed, record.reason
    # A visibility of 0.97 leaves 1.5 per cent.
    assert record.decision.results["qber_z"] < 0.022
    assert record.decision.results["qber_x"] < 0.022


def test_a_source_without_entanglement_fails_and_the_paddles_go_back(bench: Bench) -> None:
    lab, station = bench
    station.component("bench").visibility(0.5)
    before = lab.role("polarization_controller").angles()
    record = execute(PairAlignment(), lab, options={"steps": 1})
    assert record.verdict is Verdict.FAILED
    assert "QBER of basis" in record.reason
    assert tuple(lab.role("polarization_controller").angles()) == tuple(before)


def test_both_parties_controllers_are_turned_where_both_are_bound(bench: Bench) -> None:
    lab, station = bench

    class Recorder:
        """A controller in Alice's arm that moves nothing on the bench."""

        def __init__(self) -> None:
            self.value = [0.0, 0.0, 0.0]

        def angles(self, *value: list[float]) -> list[float]:
            if value:
                self.value = list(value[0])
            return list(self.value)

    station.component("fibre").polarization_rotation(30.0)
    roles = {**lab.roles, "polarization_controller_2": Recorder()}
    names = {**lab.names, "polarization_controller_2": "alice_pol_ctrl"}
    both = Lab(lab.link, roles, names, lab.tagger, lab.snapshot, lab.taggers)
    record = execute(PairAlignment(), both)
    assert record.is_passed, record.reason
    assert {"candidates_bob", "candidates_alice"} <= set(record.scans)
    assert "alice_pol_ctrl.angles" in record.settings


@pytest.mark.parametrize("routine", [CoincidencePeak(), PairLevel(), Heralding(), PairErrors()])
def test_every_decision_depends_on_its_scans_alone(bench: Bench, routine: Routine) -> None:
    record = execute(routine, bench[0])
    assert record.is_passed, record.reason
    assert replay(routine, record).decision == record.decision


def test_a_pulsed_link_runs_none_of_them(bench: Bench) -> None:
    lab = Lab(bench[0].link, {"sender": object()}, {}, None, dict)
    pair_routines = [name for name, routine in ROUTINES.items() if "pair_source" in routine.roles]
    assert len(pair_routines) == 5
    assert all(ROUTINES[name].missing_roles(lab) for name in pair_routines)


def test_dead_times_of_a_pair_link_are_measured_in_the_light_of_its_source(bench: Bench) -> None:
    lab, _ = bench
    lab.role("pair_source").enabled(False)
    record = execute(DetectorGaps(), lab)
    assert record.is_passed, record.reason
    for number in range(4):
        # Jitter of 150 ps on either side of a gap.
        assert record.decision.results[f"detector_{number}_dead_ps"] == pytest.approx(50_000, abs=1_500)
    assert lab.role("pair_source").enabled() is False
