from collections.abc import Iterator

import pytest
from qcodes.instrument import Instrument

from faintlink.core.units import photon_energy_j
from faintlink.instruments.conformance.bench_suites import PowerMeterTests
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.meters import MockPowerMeter
from faintlink.instruments.mocks.senders import MockAttenuator, MockIntensityModulator


@pytest.fixture(autouse=True)
def _bench() -> Iterator[MockBench]:
    yield MockBench("bench")
    Instrument.close_all()


class TestMockPowerMeter(PowerMeterTests):
    @pytest.fixture
    def instrument(self) -> MockPowerMeter:
        return MockPowerMeter("meter", "bench")


def test_the_power_is_that_of_the_pulses_that_leave_the_sender() -> None:
    meter = MockPowerMeter("meter", "bench", noise_w=0.0, relative_noise=0.0)
    attenuator, modulator = MockAttenuator("voa", "bench"), MockIntensityModulator("im", "bench")
    modulator.bias_voltage(modulator.half_wave_voltage())
    attenuator.attenuation(10.0)
    # Nominal are 0.5 photons at 20 dB, 80 MHz and 1550.12 nm.
    assert meter.power() == pytest.approx(5.0 * 80e6 * photon_energy_j(1550.12), rel=1e-9)


def test_readings_scatter_by_the_stated_noise() -> None:
    MockAttenuator("voa", "bench")
    modulator = MockIntensityModulator("im", "bench")
    modulator.extinction_ratio(80.0)
    meter = MockPowerMeter("meter", "bench", noise_w=1e-12, seed=3)
    reads = [meter.power() for _ in range(400)]
    # The spread of 400 readings is known to 3.5 per cent.
    assert (sum(read**2 for read in reads) / 400) ** 0.5 == pytest.approx(1e-12, rel=0.15)
