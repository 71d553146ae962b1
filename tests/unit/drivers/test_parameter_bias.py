"""A bias controller over any parameter: limits, ramps, switches, and the bench behind it."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qcodes.instrument import Instrument
from qcodes.validators import Bool, Numbers

from faintlink.core.errors import ConfigError, InterlockError
from faintlink.drivers.bias.parameter_bias import ParameterBias, ramp
from faintlink.instruments.conformance.bench_suites import BiasControllerTests
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockIntensityModulator


class Supply(Instrument):
    """A converter in mV with a switch, which remembers all it was told."""

    def __init__(self, name: str, unit: str = "mV") -> None:
        super().__init__(name)
        self.told: list[tuple[str, Any]] = []
        self.values: dict[str, Any] = {"level": 0.0, "output": False}
        for key, vals, its_unit in (("level", Numbers(-1e4, 1e4), unit), ("output", Bool(), "")):
            self.add_parameter(
                key,
                unit=its_unit,
                get_cmd=lambda k=key: self.values[k],
                set_cmd=lambda value, k=key: self._tell(k, value),
                vals=vals,
            )

    def _tell(self, key: str, value: Any) -> None:
        self.values[key] = value
        self.told.append((key, value))


@pytest.fixture
def supply() -> Supply:
    return Supply("supply")


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def bias(supply: Supply, waits: list[float]) -> ParameterBias:
    return ParameterBias(
        "bias",
        "supply.level",
        limits_v=(-1.0, 3.0),
        slew_v_per_s=2.0,
        step_v=0.1,
        switch="supply.output",
        sleep=waits.append,
    )


class TestConformance(BiasControllerTests):
    @pytest.fixture
    def instrument(self, bias: ParameterBias) -> object:
        return bias


class TestConformanceWithoutSwitch(BiasControllerTests):
    @pytest.fixture
    def instrument(self, supply: Supply) -> object:
        return ParameterBias("bias", supply.parameters["level"], limits_v=(-1.0, 3.0), sleep=lambda seconds: None)


@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(0.01, 5))
def test_no_step_of_a_ramp_is_greater_than_allowed(start_v: float, stop_v: float, step_v: float) -> None:
    levels = [start_v, *ramp(start_v, stop_v, step_v)]
    steps = [abs(after - before) for before, after in itertools.pairwise(levels)]
    assert levels[-1] == stop_v
    assert max(steps) <= step_v * (1 + 1e-6)


def test_a_bias_is_reached_in_small_steps_at_the_slew_rate(
    supply: Supply, bias: ParameterBias, waits: list[float]
) -> None:
    bias.bias(0.5)
    assert [value for _, value in supply.told] == pytest.approx([100, 200, 300, 400, 500])
    assert sum(waits) == pytest.approx(0.25)


def test_a_bias_beyond_its_own_limits_is_refused_although_the_supply_could(bias: ParameterBias, supply: Supply) -> None:
    with pytest.raises(ValueError, match=r"3\.0"):
        bias.bias(3.5)
    assert supply.told == []


def test_the_switch_turns_only_at_rest_and_the_bias_comes_back(supply: Supply, bias: ParameterBias) -> None:
    bias.bias(0.3)
    supply.told.clear()
    bias.enabled(True)
    assert supply.told[:2] == [("level", 0.0), ("output", True)]
    assert bias.bias.get() == pytest.approx(0.3)
    supply.told.clear()
    bias.enabled(False)
    off_at = supply.told.index(("output", False))
    assert supply.told[off_at - 1] == ("level", 0.0)
    assert bias.bias.get() == pytest.approx(0.3)


def test_turning_on_what_is_on_moves_nothing(supply: Supply, bias: ParameterBias) -> None:
    bias.enabled(True)
    bias.bias(0.5)
    supply.told.clear()
    bias.enabled(True)
    assert supply.told == []


def test_the_safe_state_is_reached_by_a_ramp(supply: Supply, bias: ParameterBias) -> None:
    bias.enabled(True)
    bias.bias(0.2)
    supply.told.clear()
    bias.safe_state()
    assert supply.told == [("level", pytest.approx(100.0)), ("level", 0.0), ("output", False)]


def test_without_a_switch_off_is_rest_and_on_the_last_bias(supply: Supply) -> None:
    bias = ParameterBias("bias", "supply.level", limits_v=(0.0, 1.0), rest_v=0.1, sleep=lambda seconds: None)
    with pytest.raises(InterlockError, match="never had a bias"):
        bias.enabled(True)
    bias.bias(0.6)
    bias.enabled(False)
    assert bias.bias.get() == pytest.approx(0.1)
    assert bias.enabled.get() is False
    bias.enabled(True)
    assert bias.bias.get() == pytest.approx(0.6)


@pytest.mark.parametrize("wanted", ["nowhere.level", "supply.nothing", "supply"])
def test_a_parameter_that_is_not_there_is_refused(supply: Supply, wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        ParameterBias("bias", wanted, limits_v=(0.0, 1.0))


def test_a_parameter_that_is_no_voltage_is_refused() -> None:
    # Kept by name: an instrument that nobody holds may be collected at any moment.
    amperes = Supply("amperes", unit="A")
    with pytest.raises(ConfigError, match="'A'"):
        ParameterBias("bias", f"{amperes.name}.level", limits_v=(0.0, 1.0))


@pytest.mark.parametrize(
    "wrong", [{"limits_v": (1.0, 2.0)}, {"limits_v": (0.0, 1.0), "step_v": 0.0}, {"limits_v": (1.0, 0.0)}]
)
def test_limits_that_make_no_sense_are_refused(supply: Supply, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="limits"):
        ParameterBias("bias", "supply.level", **wrong)


def test_it_biases_the_benchs_modulator() -> None:
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    MockIntensityModulator("im", bench.name)
    bias = ParameterBias("bias", "im.bias_voltage", limits_v=(-5.0, 5.0), sleep=lambda seconds: None)
    bias.bias(1.2)
    assert bench.engine.state.intensity_modulator.bias_v == pytest.approx(1.2)
