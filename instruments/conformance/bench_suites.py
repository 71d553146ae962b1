"""Test classes for the instruments that stand around a link: lasers, switches, delays, meters, bias, random bits.

Subclass them beside a driver as those of `faintlink.instruments.conformance.suites`.
"""

from typing import Any, ClassVar

import pytest

from faintlink.instruments.conformance.suites import RoleTests


class ContinuousLaserTests(RoleTests):
    """What every laser that runs continuously must pass."""

    role: ClassVar[str] = "Laser"

    def test_safe_state_turns_the_light_off(self, instrument: Any) -> None:
        """A station that lets go of a laser leaves it dark."""
        instrument.enabled(True)
        instrument.safe_state()
        assert instrument.enabled() is False


class TunableLaserTests(ContinuousLaserTests):
    """What every tunable laser must pass."""

    role: ClassVar[str] = "TunableLaser"

    def test_the_wavelength_follows(self, instrument: Any) -> None:
        """A wavelength that was set is read back to a picometre."""
        wanted = instrument.wavelength() + 0.05
        instrument.wavelength(wanted)
        assert instrument.wavelength() == pytest.approx(wanted, abs=1e-3)


class OpticalSwitchTests(RoleTests):
    """What every optical switch must pass."""

    role: ClassVar[str] = "OpticalSwitch"

    @pytest.mark.parametrize("position", [2, 1])
    def test_the_switch_goes_where_it_is_told(self, instrument: Any, position: int) -> None:
        """The position read is the one set."""
        instrument.position(position)
        assert instrument.position() == position

    def test_a_position_that_is_not_there_is_refused(self, instrument: Any) -> None:
        """Positions count from 1."""
        with pytest.raises((TypeError, ValueError)):
            instrument.position(0)


class DelayLineTests(RoleTests):
    """What every delay line must pass."""

    role: ClassVar[str] = "DelayLine"

    def test_the_delay_follows(self, instrument: Any) -> None:
        """A delay that was set is read back to a tenth of a picosecond."""
        instrument.delay(12.0)
        assert instrument.delay() == pytest.approx(12.0, abs=0.1)

    def test_a_negative_delay_is_refused(self, instrument: Any) -> None:
        """Delays count from the shortest one."""
        with pytest.raises((TypeError, ValueError)):
            instrument.delay(-1.0)


class PowerMeterTests(RoleTests):
    """What every power meter must pass."""

    role: ClassVar[str] = "PowerMeter"

    def test_power_is_a_number_in_watts(self, instrument: Any) -> None:
        """No light source of a link reaches a watt."""
        assert -1e-3 < instrument.power() < 1.0

    def test_the_wavelength_follows(self, instrument: Any) -> None:
        """The sensor's correction is what was set."""
        instrument.wavelength(1550.0)
        assert instrument.wavelength() == pytest.approx(1550.0, abs=0.5)


class BiasControllerTests(RoleTests):
    """What every bias source must pass."""

    role: ClassVar[str] = "BiasController"

    def test_the_bias_follows(self, instrument: Any) -> None:
        """A bias that was set is read back to a millivolt."""
        instrument.bias(0.25)
        assert instrument.bias() == pytest.approx(0.25, abs=1e-3)

    def test_safe_state_removes_the_bias(self, instrument: Any) -> None:
        """The output is off or at zero."""
        instrument.bias(0.25)
        instrument.safe_state()
        assert instrument.enabled() is False or instrument.bias() == pytest.approx(0.0, abs=1e-3)


class RandomSourceTests(RoleTests):
    """What every random source must pass."""

    role: ClassVar[str] = "RandomSource"

    def test_it_gives_as_many_bytes_as_asked(self, instrument: Any) -> None:
        """Also none, and more than one buffer."""
        assert [len(instrument.read_bytes(size)) for size in (0, 1, 100_000)] == [0, 1, 100_000]

    def test_two_reads_differ(self, instrument: Any) -> None:
        """32 equal bytes come by chance once in 2**256."""
        assert instrument.read_bytes(32) != instrument.read_bytes(32)
