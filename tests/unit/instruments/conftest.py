"""A clean instrument registry for every test, and the simulated table without instruments."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from qcodes.instrument import Instrument

from faintlink.instruments.mocks.engine import Engine
from faintlink.instruments.mocks.receiver import Truth
from faintlink.instruments.mocks.state import BenchState, DetectorState, LinkState, Model, default_bench


@pytest.fixture(autouse=True)
def _close_instruments() -> Iterator[None]:
    yield
    Instrument.close_all()


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What one simulated run gave."""

    times_ps: npt.NDArray[np.int64]
    channels: npt.NDArray[np.uint8]
    truth: Truth
    engine: Engine


Simulate = Callable[..., Recording]


def _simulate(
    state: BenchState,
    *,
    seed: int = 7,
    steps_s: tuple[float, ...] = (0.1,),
    receiver: str = "bob",
    preamble: int = 0,
    plays: bool = True,
) -> Recording:
    state = replace(state, programme=replace(state.programme, preamble_length=preamble))
    engine = Engine(state, seed=seed, record_truth=True)
    parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]] = []

    def keep(times_ps: npt.NDArray[np.int64], channels: npt.NDArray[np.uint8], _: int) -> None:
        parts.append((times_ps, channels))

    engine.receivers[receiver].listeners.append(keep)
    if plays and engine.is_pulsed:
        engine.start_pattern()
    for step in steps_s:
        engine.advance(step)
    times = np.concatenate([t for t, _ in parts])
    return Recording(times, np.concatenate([c for _, c in parts]), engine.take_truth(receiver), engine)


IDEAL = DetectorState(efficiency=0.2, dark_rate_hz=0.0, dead_time_ps=0, jitter_ps=0.0)
"""A detector with nothing but its efficiency."""
MakeTable = Callable[..., BenchState]


def _table(
    model: str = "polarization-bb84",
    *,
    detector: DetectorState = IDEAL,
    link: LinkState | None = None,
    loss_db: float = 0.0,
    split: float = 0.5,
    pulse_rate_hz: float | None = None,
) -> BenchState:
    state = default_bench(Model(model), pulse_rate_hz=pulse_rate_hz)
    receivers = {
        name: replace(part, detectors=(detector,) * len(part.detectors), loss_db=loss_db, basis_probability_z=split)
        for name, part in state.receivers.items()
    }
    link = link or LinkState(length_km=0.0, visibility=1.0)
    return replace(state, receivers=receivers, link=link)


@pytest.fixture
def ideal() -> DetectorState:
    """Return a detector with nothing but an efficiency of 20 %."""
    return IDEAL


@pytest.fixture
def table() -> MakeTable:
    """Return a function that builds a bench state without loss, noise or errors unless it is told so."""
    return _table


@pytest.fixture
def simulate() -> Simulate:
    """Return a function that plays a bench state: (state, seed, steps_s, receiver, preamble, plays) -> Recording."""
    return _simulate
