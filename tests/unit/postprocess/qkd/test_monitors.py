"""Each monitor objects to what it is made for, and to nothing else."""

import numpy as np
import pytest

from faintlink.core.config.link import Monitors, PulsedSource
from faintlink.postprocess.qkd import monitors
from faintlink.postprocess.qkd.sift import SiftedBits

POLICY = Monitors()
SOURCE = PulsedSource(pulse_rate_hz=80e6, intensities=(0.5, 0.15), probabilities=(0.7, 0.3), key_basis_probability=0.9)


def sifted(n: int, *, p_one: float = 0.5, p_decoy: float = 0.1, seed: int = 5) -> SiftedBits:
    rng = np.random.default_rng(seed)
    alice = (rng.random(n) < p_one).astype(np.uint8)
    basis = (rng.random(n) < 0.1).astype(np.uint8)
    intensity = (rng.random(n) < p_decoy).astype(np.uint8)
    return SiftedBits(np.arange(n), basis, intensity, alice, alice.copy())


def test_fair_bits_pass() -> None:
    assert not any(reading.objects for reading in monitors.bit_bias(sifted(100_000), POLICY))


def test_a_bias_of_65_percent_ones_is_flagged() -> None:
    objecting = [reading for reading in monitors.bit_bias(sifted(5_000, p_one=0.65), POLICY) if reading.objects]
    assert {reading.name for reading in objecting} >= {"bit bias of alice in Z", "bit bias of bob in Z"}


def test_a_bias_that_chance_explains_is_no_objection() -> None:
    # 20 bits: even 15 ones are within 6 standard errors of the limit.
    few = SiftedBits(
        np.arange(20),
        np.zeros(20, np.uint8),
        np.zeros(20, np.uint8),
        np.r_[np.ones(15), np.zeros(5)].astype(np.uint8),
        np.zeros(20, np.uint8),
    )
    assert not monitors.bit_bias(few, POLICY)[0].objects


def test_a_dead_detector_is_flagged_in_its_basis_only() -> None:
    readings = monitors.detector_balance(np.array([50_000, 49_000, 10_000, 0]), POLICY, "bob")
    assert [reading.objects for reading in readings] == [False, True]


def test_a_shift_of_one_detector_by_300_ps_is_flagged() -> None:
    rng = np.random.default_rng(8)
    rows = []
    for shift in (0.0, 300.0, 0.0, 0.0):
        phases = np.rint(rng.normal(shift, 100.0, 10_000)).astype(np.int64)
        rows.append((phases.size, phases.sum(), (phases**2).sum()))
    [reading] = monitors.timing_skew(np.array(rows, np.int64), POLICY)
    assert reading.objects
    assert "Z1" in reading.name
    assert reading.value == pytest.approx(300.0, abs=8.0)  # 5 sigma of a mean of 10000 is 5 ps, twice


def test_detectors_that_fire_together_are_flagged() -> None:
    assert monitors.double_clicks(10_000, 2_000, POLICY)[0].objects
    assert not monitors.double_clicks(10_000, 100, POLICY)[0].objects
    assert monitors.double_clicks(0, 0, POLICY) == []


def test_gains_in_the_ratio_of_the_intensities_pass() -> None:
    # Signal 0.7 * 0.5 against decoy 0.3 * 0.15.
    share = 0.045 / (0.35 + 0.045)
    counts = sifted(200_000, p_decoy=share).counts(2)
    assert not any(r.objects for r in monitors.intensity_ratio(counts, SOURCE, POLICY))


def test_photon_number_splitting_makes_the_decoys_too_rare() -> None:
    # An adversary who passes multi-photon pulses only: gains 1 - exp(-mu)(1 + mu) instead of mu.
    gain = [1 - np.exp(-mu) * (1 + mu) for mu in SOURCE.intensities]
    weight = [p * g for p, g in zip(SOURCE.probabilities, gain, strict=True)]
    bits = sifted(200_000, p_decoy=weight[1] / sum(weight))
    [reading] = monitors.intensity_ratio(bits.counts(2), SOURCE, POLICY)
    assert reading.objects
    assert "photon-number splitting" in reading.sentence
