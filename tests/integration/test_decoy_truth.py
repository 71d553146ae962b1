"""On the simulated table, where every photon is known, the decoy bounds hold.

Each run is one seed. A bound may fail with a probability of eps_sec = 1e-9 at most, so that 200 of 200 runs must hold.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from faintlink.core.config.link import ChannelMeaning, Gate, Receiver
from faintlink.core.symbols import Basis
from faintlink.instruments.mocks.engine import Engine
from faintlink.instruments.mocks.receiver import Truth
from faintlink.instruments.mocks.state import DetectorState, LinkState, Model, default_bench
from faintlink.postprocess.qkd.clock import ClockModel, SlottedTags
from faintlink.postprocess.qkd.detection import PulsedDetector
from faintlink.postprocess.qkd.sift import SiftedBits, sift
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.inputs import BoundInput

INTENSITIES = {"rusca2018": (0.5, 0.15), "lim2014": (0.5, 0.15, 0.0002)}
PROBABILITIES = {"rusca2018": (0.7, 0.3), "lim2014": (0.6, 0.3, 0.1)}
RECEIVER = Receiver(
    tagger="bob",
    channels={
        1: ChannelMeaning(basis="Z", bit=0),
        2: ChannelMeaning(basis="Z", bit=1),
        3: ChannelMeaning(basis="X", bit=0),
        4: ChannelMeaning(basis="X", bit=1),
    },
)


@dataclass(frozen=True, slots=True)
class TrueCounts:
    """What no experiment can see: detections of pulses that held no photon or one, and the errors of the latter."""

    vacuum: int
    single: int
    single_errors: int


def play(bound: str, seed: int, duration_s: float) -> tuple[SiftedBits, Truth]:
    """Play a lossy, noisy, misaligned polarization link and sift it with the settings of each true slot."""
    noisy = DetectorState(efficiency=0.3, dark_rate_hz=3_000.0, dead_time_ps=20_000, jitter_ps=30.0)
    state = default_bench(Model.POLARIZATION_BB84, pulse_rate_hz=1e9)
    bob = replace(state.receivers["bob"], detectors=(noisy,) * 4, loss_db=3.0, basis_probability_z=0.5)
    programme = replace(
        state.programme, preamble_length=0, intensity_probabilities=PROBABILITIES[bound], basis_probability_z=0.5
    )
    link = LinkState(length_km=40.0, visibility=0.97)
    source = replace(state.source, intensities=INTENSITIES[bound])
    table = replace(state, receivers={"bob": bob}, programme=programme, link=link, source=source)
    engine = Engine(table, seed=seed, record_truth=True)
    tags: list[tuple[np.ndarray, np.ndarray]] = []
    engine.receivers["bob"].listeners.append(lambda times, channels, _: tags.append((times, channels)))
    engine.start_pattern()
    engine.advance(duration_s)
    truth = engine.take_truth("bob")
    order = np.argsort(truth.slot, kind="stable")
    slots = truth.slot[order]
    phases = np.zeros(slots.size, np.int32)
    slotted = SlottedTags(
        truth.time_ps[order], truth.channel[order], slots, phases, ClockModel(0, 0, 1e3, 0.0, 0), False
    )
    detector = PulsedDetector(RECEIVER, Gate(half_width_ps=500), period_ps=1000.0, squash_seed=bytes(32))
    detections, _ = detector.detect(slotted)
    bits, _ = sift(detections, detections.slots, engine.settings_at(detections.slots))
    return bits, truth


def true_counts(bits: SiftedBits, truth: Truth, basis: Basis) -> TrueCounts:
    chosen = bits.in_basis(basis)
    first = np.unique(truth.slot, return_index=True)
    photons = truth.photons[first[1]][np.searchsorted(first[0], chosen.positions)]
    wrong = chosen.alice != chosen.bob
    single = photons == 1
    return TrueCounts(
        int(np.count_nonzero(photons == 0)), int(np.count_nonzero(single)), int(np.count_nonzero(single & wrong))
    )


def assert_bounds_hold(bound: str, seed: int, duration_s: float) -> None:
    bits, truth = play(bound, seed, duration_s)
    mu = INTENSITIES[bound]
    given = BoundInput(bits.counts(len(mu)), mu, PROBABILITIES[bound], 0, eps_sec=1e-9, eps_cor=1e-15)
    terms = registry.get(bound).evaluate(given).terms
    key, test = true_counts(bits, truth, Basis.Z), true_counts(bits, truth, Basis.X)
    assert terms["s_key1_lower"] <= key.single
    assert terms["s_test1_lower"] <= test.single
    assert terms["v_test1_upper"] >= test.single_errors
    assert terms["s_key0_lower"] <= key.vacuum
    assert terms.get("s_key0_upper", key.vacuum) >= key.vacuum
    # The table treats both bases alike, so the errors of single photons in Z stand for the phase errors of Z.
    assert terms["phi_key_upper"] >= key.single_errors / key.single


@pytest.mark.parametrize("bound", ["rusca2018", "lim2014"])
def test_the_bounds_hold_and_bind_in_a_long_run(bound: str) -> None:
    bits, truth = play(bound, 1, 1.0)
    mu = INTENSITIES[bound]
    given = BoundInput(bits.counts(len(mu)), mu, PROBABILITIES[bound], 0, eps_sec=1e-9, eps_cor=1e-15)
    result = registry.get(bound).evaluate(given)
    # Tight as well as safe: a bound of half the truth or less would hold for the wrong reason.
    assert 0.6 * true_counts(bits, truth, Basis.Z).single < result.terms["s_key1_lower"]
    assert result.length > 0


@pytest.mark.parametrize("bound", ["rusca2018", "lim2014"])
@pytest.mark.parametrize("seed", range(6))
def test_true_photon_numbers_lie_within_the_bounds(bound: str, seed: int) -> None:
    assert_bounds_hold(bound, seed, 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["rusca2018", "lim2014"])
@pytest.mark.parametrize("seed", range(100, 300))
def test_true_photon_numbers_lie_within_the_bounds_in_200_of_200_runs(bound: str, seed: int) -> None:
    assert_bounds_hold(bound, seed, 0.5)


def test_wrong_intensities_break_the_bound_so_that_this_test_can_fail() -> None:
    # A sender who believes the decoy is at 0.1 when it is at 0.15 overestimates single photons.
    bits, truth = play("rusca2018", 3, 0.5)
    given = BoundInput(bits.counts(2), (0.5, 0.10), PROBABILITIES["rusca2018"], 0, eps_sec=1e-9, eps_cor=1e-15)
    terms = registry.get("rusca2018").evaluate(given).terms
    assert terms["s_key1_lower"] > true_counts(bits, truth, Basis.Z).single
