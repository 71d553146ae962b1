"""Analyses of made-up runs, built from their records: no pipeline runs here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faintlink.core.config.link import (
    ChannelMeaning,
    Gate,
    LinkConfig,
    PairSource,
    PulsedSource,
    Receiver,
    SecurityPolicy,
)
from faintlink.core.errors import QberTooHighError, SecurityAbort
from faintlink.core.records import DecoyCounts, ErrorCount, LossCount, SecretKey
from faintlink.core.symbols import Party, Protocol
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.qkd.detection import HISTOGRAM_BINS, ArrivalStatistics
from faintlink.postprocess.qkd.estimate import error_rate
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.qkd.sift import SiftCount
from faintlink.postprocess.qkd.stages import StageReport
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.series import RunSeries, SeriesPoint

CANARY = bytes.fromhex("feedfacecafebeef0123456789abcdef") * 4
"""A key whose bits are easy to find wherever they leak."""

MakeAnalysis = Callable[..., Analysis]
MakeBlock = Callable[..., BlockResult]


@dataclass(frozen=True)
class Case:
    """Counts and the leak of one made-up block."""

    counts: DecoyCounts
    leak_ec: int
    bound: str
    intensities: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()


CASES = {
    # Vector V1 of the bound's own tests.
    "rusca2018": Case(
        DecoyCounts((8875913, 1124087), (165048, 20902), (185856, 26055), (3456, 484)),
        1776924,
        "rusca2018",
        (0.51, 0.15),
        (0.7, 0.3),
    ),
    "lim2014": Case(
        DecoyCounts((76840857, 9248601, 14843), (948653, 114180, 183), (700000, 90000, 7000), (5273, 635, 1)),
        4957923,
        "lim2014",
        (0.5, 0.12, 2e-4),
        (0.6, 0.3, 0.1),
    ),
    "tupkary2024": Case(
        DecoyCounts((76840857, 9248601, 14843), (9486526, 1141803, 1832), (700000, 90000, 7000), (52734, 6347, 10)),
        4957923,
        "tupkary2024",
        (0.5, 0.12, 2e-4),
        (0.6, 0.3, 0.1),
    ),
    "asymptotic": Case(
        DecoyCounts((8875913, 1124087), (165048, 20902), (185856, 26055), (3456, 484)),
        1776924,
        "asymptotic",
        (0.51, 0.15),
        (0.7, 0.3),
    ),
    "tomamichel2012": Case(DecoyCounts((100_000,), (10_000,), (1000,), (100,)), 10_000, "tomamichel2012"),
    "too few": Case(
        DecoyCounts((8876, 1124), (165, 21), (186, 26), (3, 0)), 1777, "rusca2018", (0.51, 0.15), (0.7, 0.3)
    ),
}


def link_of(case: Case, **security: Any) -> LinkConfig:
    """Return the link on which a case was measured."""
    channels = {
        1: ChannelMeaning(basis="Z", bit=0),
        2: ChannelMeaning(basis="Z", bit=1),
        3: ChannelMeaning(basis="X", bit=0),
        4: ChannelMeaning(basis="X", bit=1),
    }
    receiver = Receiver(tagger="tagger", channels=channels)
    policy = SecurityPolicy(bound=case.bound, **{"max_qber": 0.06, "length": "legacy", **security})
    common: dict[str, Any] = {"format": "faintlink.link/1", "name": "demo-10km", "security": policy}
    if not case.intensities:
        both = {Party.ALICE: receiver, Party.BOB: receiver}
        return LinkConfig(**common, protocol=Protocol.BBM92, receivers=both, pairs=PairSource())
    source = PulsedSource(
        pulse_rate_hz=80e6,
        intensities=case.intensities,
        probabilities=case.probabilities,
        key_basis_probability=0.9,
        peaks_ps=((-2500, 0.25), (0, 0.5), (2500, 0.25)),
    )
    return LinkConfig(
        **common,
        protocol=Protocol.BB84_DECOY,
        receivers={Party.BOB: receiver},
        source=source,
        gate=Gate(center_ps=0, half_width_ps=500),
    )


def block_of(
    case: Case,
    *,
    number: int = 0,
    refusal: SecurityAbort | None = None,
    is_usable: bool = True,
    monitors: tuple[MonitorReading, ...] = (),
    with_bound: bool = True,
) -> BlockResult:
    """Return a block with the key that its bound grants, all canary, or refused."""
    given = BoundInput(
        case.counts, case.intensities, case.probabilities, case.leak_ec, 1e-9, 1e-15, {}, has_key_errors=True
    )
    chosen = registry.get(case.bound)
    keys = {}
    if refusal is None:
        key = SecretKey(f"00000000-0000-4000-8000-{number:012d}", 8 * len(CANARY), CANARY, 1e-9)
        keys = {Party.ALICE: key, Party.BOB: key}
    stages = (
        StageReport("monitor", 0.0002, {"readings": len(monitors), "objections": 0}),
        StageReport("reconcile", 0.61, {"leak_ec": case.leak_ec, "f_ec": 1.043, "corrected": 4711}),
    )
    return BlockResult(
        number=number,
        start=800_000_000 * number,
        counts=case.counts,
        qber_key=error_rate(case.counts.key),
        qber_test=error_rate(case.counts.test),
        monitors=monitors,
        stages=stages,
        bound=chosen.evaluate(given) if with_bound else None,
        ledger=EpsilonLedger() if refusal else EpsilonLedger(chosen.epsilon_parts(given)),
        refusal=refusal,
        keys=keys,
        is_usable=is_usable and not refusal,
    )


def arrivals_of(rng: np.random.Generator, clicks: int) -> ArrivalStatistics:
    """Return clicks in one bright peak with side peaks, over a flat background."""
    edges = np.linspace(-0.5, 0.5, HISTOGRAM_BINS + 1)
    histogram = np.zeros((4, HISTOGRAM_BINS), np.int64)
    moments = np.zeros((4, 3), np.int64)
    for outcome in range(4):
        share = clicks // (2 if outcome < 2 else 18)
        where = rng.choice([-0.2, 0.0, 0.2], size=share, p=[0.25, 0.5, 0.25])
        times = np.concatenate([where + rng.normal(0.001 * outcome, 0.006, share), rng.uniform(-0.5, 0.5, share // 50)])
        histogram[outcome] = np.histogram(times, edges)[0]
        moments[outcome, 0] = share // 2
    return ArrivalStatistics(2 * clicks, clicks // 2, clicks // 90, 0, clicks, clicks // 900, moments, histogram)


def series_of(case: Case, *, bins: int = 44, seed: int = 7) -> RunSeries:
    """Return a run of steady rates with the errors of a case."""
    rng = np.random.default_rng(seed)
    series = RunSeries()
    key, test = case.counts.key, case.counts.test
    points = {}
    for at in range(bins):
        n_key, n_test = int(rng.poisson(key.bits / 200)), int(rng.poisson(test.bits / 200))
        m_key, m_test = (
            int(rng.binomial(n, 0.0 if np.isnan(count.rate) else count.rate))
            for n, count in ((n_key, key), (n_test, test))
        )
        points[at] = SeriesPoint(at * 0.25, ErrorCount(n_key, m_key), ErrorCount(n_test, m_test), 3 * n_key + n_test)
    series._bins.update(points)
    for basis, (n, m) in enumerate(((case.counts.n_key, case.counts.m_key), (case.counts.n_test, case.counts.m_test))):
        for intensity, (events, errors) in enumerate(zip(n, m, strict=True)):
            series.detected[basis, intensity] = events - errors, errors
    if bins:
        series.arrivals[Party.BOB] = arrivals_of(rng, 60_000)
        series.count = SiftCount(1_000_000, 12, 3400, 180_000, 816_588)
    return series


def reading_of(name: str = "share of multi-click slots", *, objects: bool = False) -> MonitorReading:
    """Return a monitor's reading."""
    value = 0.21 if objects else 0.0011
    return MonitorReading(name, value, 0.05, 0.0001, objects, "coincident clicks should be rare")


def analysis_of(name: str = "rusca2018", *, blocks: list[BlockResult] | None = None, **fields: Any) -> Analysis:
    """Return an analysis of a case, with one block with key if nothing else is said."""
    case = CASES[name]
    defaults: dict[str, Any] = {
        "run_id": "20260131T101500Z-5f2c",
        "link": link_of(case),
        "config_sha256": "ab" * 32,
        "software_version": "0.1.0",
        "series": series_of(case),
        "clock": {"offset_ppm": 3.25, "residual_rms_ps": 41.7, "slips": 0, "preamble": None},
        "losses": {Party.BOB: LossCount(2_400_000, 17, 1)},
        "blocks": [block_of(case, monitors=(reading_of(),))] if blocks is None else blocks,
        "left_over": 1234,
    }
    return Analysis(**{**defaults, **fields})


def refused(number: int = 0, name: str = "rusca2018") -> BlockResult:
    """Return a block that was refused for its errors, before its length was known."""
    refusal = QberTooHighError(
        "QBER in the test basis is 12.40% (95 % between 11.90% and 12.90%), allowed is 6.00%",
        hint="align the receiver; if <alignment> is good, somebody may be measuring the pulses",
    )
    return block_of(CASES[name], number=number, refusal=refusal, with_bound=False)


@pytest.fixture
def make_analysis() -> MakeAnalysis:
    """Return `analysis_of`."""
    return analysis_of


@pytest.fixture
def make_block() -> MakeBlock:
    """Return a maker of blocks: name of the case, then as `block_of`."""

    def make(name: str = "rusca2018", **fields: Any) -> BlockResult:
        return block_of(CASES[name], **fields)

    return make


@pytest.fixture
def make_refused() -> MakeBlock:
    """Return `refused`."""
    return refused


@pytest.fixture
def make_reading() -> Callable[..., MonitorReading]:
    """Return `reading_of`."""
    return reading_of


@pytest.fixture
def empty_series() -> RunSeries:
    """Return the statistics of a run without pieces."""
    return RunSeries()


@pytest.fixture
def canary() -> bytes:
    """Return the bytes of every key here."""
    return CANARY


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Return the path of a file that does not exist yet."""
    return tmp_path / "report.file"
