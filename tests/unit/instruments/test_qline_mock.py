"""The simulated Qline: exact outcomes, noise and losses at the rates set, tags in order, and its instruments."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.core.tags import TagBlock
from faintlink.instruments.mocks.qline_bench import MockQline, MockQlineCard, MockQlineComputer, MockQlineTagger
from faintlink.instruments.mocks.qline_engine import QlineEngine, QlineState, ServerAttack
from faintlink.instruments.roles import check_role

QUIET = QlineState(visibility=1.0, arrival=1.0, efficiency=1.0, dark_rate_hz=0.0)
LINE = [(0, 1), (1, 2)]


def exact_chances(settings: list[int], edges: list[tuple[int, int]], angles: list[int]) -> dict[tuple[int, ...], float]:
    """Return the probability of each outcome, by matrices on all qubits."""
    n = len(settings)
    state: npt.NDArray[np.complexfloating[Any, Any]] = np.ones(1, np.complex128)
    for setting in settings:
        qubit = np.eye(2)[setting & 1] if setting >= 8 else np.array([1.0, np.exp(0.25j * np.pi * setting)]) / 2**0.5
        state = np.kron(state, qubit)
    bits = np.array(list(itertools.product((0, 1), repeat=n)))
    for a, b in edges:
        state = state * (1 - 2 * (bits[:, a] & bits[:, b]))
    chances = {}
    for outcome in itertools.product((0, 1), repeat=n):
        bra: npt.NDArray[np.complexfloating[Any, Any]] = np.ones(1, np.complex128)
        for bit, angle in zip(outcome, angles, strict=True):
            bra = np.kron(bra, np.array([1.0, (1 - 2 * bit) * np.exp(-0.25j * np.pi * angle)]) / 2**0.5)
        chances[outcome] = float(abs(bra @ state) ** 2)
    return chances


def play(
    engine: QlineEngine, settings: npt.NDArray[np.uint8], angles: list[int], order: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Return the outcomes (a, n) of a batch: 0, 1 or -1 for none."""
    attempts, n = settings.shape
    engine.load("alice", settings)
    engine.transmit(attempts * n)
    engine.prepare()
    outcomes = np.full(settings.shape, -1)
    for vertex in order:
        engine.transmit(attempts)
        block = engine.measure(vertex, np.full(attempts, angles[vertex], np.uint8))
        triggers = block.times_ps[block.channels == 1]
        for bit, channel in enumerate((3, 4)):
            times = block.times_ps[block.channels == channel]
            outcomes[np.searchsorted(triggers, times) - 1, vertex] = bit
    return outcomes


def engine_of(state: QlineState = QUIET, *, edges: list[tuple[int, int]] | None = None, seed: int = 3) -> QlineEngine:
    """Return an engine with a line of three."""
    engine = QlineEngine(seed=seed, state=state)
    engine.entangle_by(LINE if edges is None else edges, (0, 1, 2))
    return engine


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
    st.lists(st.integers(0, 7), min_size=3, max_size=3),
    st.permutations([0, 1, 2]),
    st.integers(0, 7),
)
def test_outcomes_follow_the_exact_joint_distribution(
    prepared: list[int], angles: list[int], order: list[int], edge_bits: int
) -> None:
    edges = [edge for at, edge in enumerate([(0, 1), (1, 2), (0, 2)]) if edge_bits >> at & 1]
    engine = QlineEngine(seed=5, state=QUIET)
    engine.entangle_by(edges, order)
    shots = 4000
    found = play(engine, np.tile(np.array(prepared, np.uint8), (shots, 1)), angles, tuple(order))
    for outcome, chance in exact_chances(prepared, edges, angles).items():
        seen = int((found == outcome).all(axis=1).sum())
        assert abs(seen - shots * chance) < 5.5 * math.sqrt(shots * chance * (1.0 - chance)) + 1e-6


def test_rotations_of_two_clients_add_up() -> None:
    engine = engine_of(edges=[])
    for client, angle in (("alice", 5), ("charlie", 7)):
        engine.load(client, np.full((50, 3), angle, np.uint8))
    engine.transmit(150)
    engine.prepare()
    engine.transmit(50)
    block = engine.measure(0, np.full(50, 4, np.uint8))
    assert np.count_nonzero(block.channels == 3) == 50


@pytest.mark.parametrize(
    ("knob", "value", "expected"),
    [("visibility", 0.8, 0.1), ("readout_error", 0.07, 0.07), ("bit_flip", 0.3, 0.0)],
)
def test_noise_flips_outcomes_at_its_rate(knob: str, value: float, expected: float) -> None:
    engine = engine_of(edges=[])
    engine.update(**{knob: value})
    found = play(engine, np.zeros((8000, 3), np.uint8), [0, 0, 0], (0, 1, 2))
    assert abs(found.mean() - expected) < 5.0 * math.sqrt(max(expected, 1e-9) / 24_000)


def test_a_bit_flip_turns_a_dummy_and_mirrors_an_angle() -> None:
    engine = engine_of(replace(QUIET, bit_flip=1.0), edges=[])
    found = play(engine, np.full((500, 3), 1, np.uint8), [7, 7, 7], (0, 1, 2))
    assert found.sum() == 0


def test_losses_and_dark_counts_come_at_their_rates() -> None:
    engine = engine_of(replace(QUIET, arrival=0.8, efficiency=0.7), edges=[])
    found = play(engine, np.zeros((8000, 3), np.uint8), [0, 0, 0], (0, 1, 2))
    assert abs((found >= 0).mean() - 0.56) < 5.0 * math.sqrt(0.56 * 0.44 / 24_000)
    dark = engine_of(replace(QUIET, arrival=0.0, dark_rate_hz=1e4))
    dark.load("alice", np.zeros((20_000, 3), np.uint8))
    dark.transmit(60_000)
    counts = np.bincount(dark.prepare().channels, minlength=5)
    # 1e4 Hz over 60 ms: 600 a channel, 5 sigma.
    assert counts[1] == 60_000
    assert np.abs(counts[2:] - 600).max() < 5 * math.sqrt(600)


def test_tags_are_in_order_within_and_between_the_steps_of_a_batch() -> None:
    engine = engine_of(QlineState(dark_rate_hz=1e5))
    blocks: list[TagBlock] = []
    engine.listeners.append(lambda times, channels, _: blocks.append(TagBlock.checked(times, channels)))
    for _ in range(3):
        play(engine, np.zeros((200, 3), np.uint8), [0, 0, 0], (0, 1, 2))
    assert len(blocks) == 12
    assert all(a.times_ps[-1] < b.times_ps[0] for a, b in itertools.pairwise(blocks))


def test_the_same_seed_gives_the_same_tags_and_another_other_ones() -> None:
    runs = [
        play(engine_of(QlineState(), seed=seed), np.zeros((99, 3), np.uint8), [1, 2, 3], (0, 1, 2))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_a_flipping_server_flips_one_vertex_only() -> None:
    engine = engine_of(replace(QUIET, attack=ServerAttack.FLIP, attack_vertex=1), edges=[])
    assert play(engine, np.zeros((40, 3), np.uint8), [0, 0, 0], (0, 1, 2)).sum(axis=0).tolist() == [0, 40, 0]


def test_a_selective_server_goes_by_the_first_angle() -> None:
    state = replace(QUIET, attack=ServerAttack.SELECTIVE, attack_share=0.25)
    low = play(engine_of(state, edges=[]), np.zeros((40, 3), np.uint8), [1, 0, 0], (0, 1, 2))
    high = play(engine_of(state, edges=[]), np.zeros((40, 3), np.uint8), [2, 0, 0], (0, 1, 2))
    assert (low[:, 2].sum(), high[:, 2].sum()) == (40, 0)


def test_measuring_out_of_turn_is_refused() -> None:
    engine = engine_of()
    engine.load("alice", np.zeros((4, 3), np.uint8))
    engine.transmit(12)
    engine.prepare()
    engine.transmit(4)
    with pytest.raises(LocalProtocolError, match="vertex 1 is not due"):
        engine.measure(1, np.zeros(4, np.uint8))


def test_settings_without_slots_or_of_another_graph_are_refused() -> None:
    engine = engine_of()
    engine.load("alice", np.zeros((4, 3), np.uint8))
    with pytest.raises(LocalProtocolError, match="12 slots are due, 0 were transmitted"):
        engine.prepare()
    engine.load("alice", np.zeros((4, 2), np.uint8))
    with pytest.raises(LocalProtocolError, match="do not fit the graph"):
        engine.prepare()


@pytest.fixture
def table() -> MockQline:
    return MockQline("bench", seed=4)


def test_the_tagger_fills_its_role_and_delivers_what_the_box_saw(table: MockQline) -> None:
    card, box = MockQlineCard("card", "bench"), MockQlineComputer("box", "bench")
    tagger = MockQlineTagger("tagger", "bench")
    check_role(tagger, "TimeTagger")
    stream = tagger.stream()
    stream.start()
    with pytest.raises(LocalProtocolError):
        stream.start()
    box.entangle_by(LINE, (0, 1, 2))
    card.load(np.zeros((5, 3), np.uint8))
    card.transmit(15)
    seen = box.prepare()
    assert np.array_equal(stream.read(0.1).times_ps, seen.times_ps)
    assert len(stream.read(0.0)) == 0
    tagger.safe_state()
    card.transmit(5)
    box.measure(0, np.zeros(5, np.uint8))
    assert len(stream.read(0.0)) == 0


def test_a_full_memory_is_a_gap_with_its_loss(table: MockQline) -> None:
    card, box, tagger = (kind(kind.__name__, "bench") for kind in (MockQlineCard, MockQlineComputer, MockQlineTagger))
    assert isinstance(card, MockQlineCard)
    assert isinstance(box, MockQlineComputer)
    assert isinstance(tagger, MockQlineTagger)
    tagger.fifo_tags(10)
    stream = tagger.stream()
    stream.start()
    box.entangle_by(LINE, (0, 1, 2))
    card.load(np.zeros((5, 3), np.uint8))
    card.transmit(15)
    whole = box.prepare()
    block = stream.read(0.1)
    assert len(block) == 10
    assert block.lost == len(whole) - 10


def test_knobs_of_the_table_reach_the_engine(table: MockQline) -> None:
    for knob, value in (("visibility", 0.5), ("attack", "replace"), ("attack_share", 0.25), ("attack_vertex", 2)):
        table.parameters[knob].set(value)
        assert table.parameters[knob].get() == value
    assert table.engine.state.attack is ServerAttack.REPLACE
    with pytest.raises(ValueError, match="not in"):
        table.attack("bribe")


def test_an_instrument_without_its_table_says_so() -> None:
    with pytest.raises(ConfigError, match="which is not there"):
        MockQlineCard("card", "nowhere")
