"""Every mock passes the suite of its role."""

import pytest

from faintlink.instruments.conformance import suites
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.link import MockPolarizationController
from faintlink.instruments.mocks.pattern import MockPatternGenerator
from faintlink.instruments.mocks.receivers import MockDetector, MockTimeTagger
from faintlink.instruments.mocks.senders import (
    MockAttenuator,
    MockIntensityModulator,
    MockLaser,
    MockPairSource,
    MockPhaseModulator,
    MockPolarizationModulator,
)


@pytest.fixture(autouse=True)
def _bench() -> MockBench:
    return MockBench("bench", chunk_ms=1.0)


class TestMockLaser(suites.LaserTests):
    @pytest.fixture
    def instrument(self) -> MockLaser:
        return MockLaser("laser", "bench")


class TestMockAttenuator(suites.AttenuatorTests):
    @pytest.fixture
    def instrument(self) -> MockAttenuator:
        return MockAttenuator("attenuator", "bench")


class TestMockIntensityModulator(suites.IntensityModulatorTests):
    @pytest.fixture
    def instrument(self) -> MockIntensityModulator:
        return MockIntensityModulator("modulator", "bench")


class TestMockPhaseModulator(suites.PhaseModulatorTests):
    @pytest.fixture(params=["alice", "bob"])
    def instrument(self, request: pytest.FixtureRequest) -> MockPhaseModulator:
        return MockPhaseModulator("modulator", "bench", party=request.param)


class TestMockPolarizationModulator(suites.PolarizationModulatorTests):
    @pytest.fixture
    def instrument(self) -> MockPolarizationModulator:
        return MockPolarizationModulator("modulator", "bench")


class TestMockPolarizationController(suites.PolarizationControllerTests):
    @pytest.fixture
    def instrument(self) -> MockPolarizationController:
        return MockPolarizationController("controller", "bench")


class TestMockDetector(suites.DetectorTests):
    @pytest.fixture
    def instrument(self) -> MockDetector:
        return MockDetector("detector", "bench")


class TestMockPairSource(suites.PairSourceTests):
    @pytest.fixture
    def instrument(self) -> MockPairSource:
        return MockPairSource("source", "bench")


class TestMockTimeTagger(suites.TimeTaggerTests):
    @pytest.fixture
    def instrument(self) -> MockTimeTagger:
        MockPatternGenerator("pattern", "bench").start()
        return MockTimeTagger("tagger", "bench")


class TestMockPatternGenerator(suites.PatternGeneratorTests):
    @pytest.fixture
    def instrument(self) -> MockPatternGenerator:
        return MockPatternGenerator("pattern", "bench", preamble_length=4096)
