"""What every instrument of a role must pass: test classes to subclass beside a driver.

::

    class TestMyAttenuator(AttenuatorTests):
        @pytest.fixture
        def instrument(self) -> Iterator[MyAttenuator]: ...

The subclass gives an opened instrument; the inherited tests turn its knobs and put them back. Run them on hardware
only where turning the knobs is harmless.
"""

from typing import Any, ClassVar

import numpy as np
import pytest

from faintlink.core.preamble import preamble_pattern
from faintlink.core.symbols import is_sync, setting_basis, setting_intensity
from faintlink.core.tags import TagBlock, concatenate
from faintlink.instruments.roles import ROLES, check_role


class RoleTests:
    """What holds for every role; subclass one of the classes below instead."""

    role: ClassVar[str]
    """Name of the role in `ROLES`."""

    @pytest.fixture
    def instrument(self) -> Any:
        """Return the instrument to test; override this."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture 'instrument'")

    def test_the_role_is_filled(self, instrument: Any) -> None:
        """Names, units, validators and methods are all there."""
        check_role(instrument, self.role)

    def test_it_says_what_it_is(self, instrument: Any) -> None:
        """The identity names at least vendor and model."""
        identity = instrument.root_instrument.get_idn()
        assert identity["vendor"]
        assert identity["model"]

    def test_safe_state_may_be_called_twice(self, instrument: Any) -> None:
        """A station calls it on every way out."""
        instrument.safe_state()
        instrument.safe_state()

    def test_every_parameter_has_a_label(self, instrument: Any) -> None:
        """Plots and logs show labels."""
        assert all(getattr(instrument, wanted.name).label for wanted in ROLES[self.role].parameters)

    def test_every_settable_parameter_keeps_what_it_reads(self, instrument: Any) -> None:
        """Setting what was read changes nothing."""
        for wanted in ROLES[self.role].parameters:
            if wanted.is_settable:
                parameter = getattr(instrument, wanted.name)
                before = parameter()
                parameter(before)
                assert parameter() == pytest.approx(before), wanted.name


class LaserTests(RoleTests):
    """Suite of the role PulsedLaser."""

    role = "PulsedLaser"

    def test_it_can_be_turned_on_and_off(self, instrument: Any) -> None:
        """The switch reads back."""
        for state in (True, False):
            instrument.enabled(state)
            assert bool(instrument.enabled()) is state

    def test_its_safe_state_is_dark(self, instrument: Any) -> None:
        """No light is left on."""
        instrument.enabled(True)
        instrument.safe_state()
        assert not instrument.enabled()

    def test_it_refuses_a_negative_power(self, instrument: Any) -> None:
        """The validator knows that power is positive."""
        with pytest.raises((ValueError, TypeError)):
            instrument.power(-1e-3)


class AttenuatorTests(RoleTests):
    """Suite of the role Attenuator."""

    role = "Attenuator"

    def test_it_goes_where_it_is_sent(self, instrument: Any) -> None:
        """Within a tenth of a dB."""
        for wanted_db in (5.0, 10.0):
            instrument.attenuation(wanted_db)
            assert instrument.attenuation() == pytest.approx(wanted_db, abs=0.1)

    def test_it_refuses_to_amplify(self, instrument: Any) -> None:
        """The validator refuses a negative attenuation."""
        with pytest.raises((ValueError, TypeError)):
            instrument.attenuation(-1.0)

    def test_its_safe_state_lets_least_light_through(self, instrument: Any) -> None:
        """At least as much attenuation as anywhere before."""
        instrument.attenuation(10.0)
        instrument.safe_state()
        assert instrument.attenuation() >= 10.0


class IntensityModulatorTests(RoleTests):
    """Suite of the role IntensityModulator."""

    role = "IntensityModulator"

    def test_the_brightest_level_differs_from_the_dimmest(self, instrument: Any) -> None:
        """Equal drives would make no decoys."""
        levels = instrument.drive_levels()
        assert len(levels) >= 1
        assert len(set(levels)) == len(levels)


class PhaseModulatorTests(RoleTests):
    """Suite of the role PhaseModulator."""

    role = "PhaseModulator"

    def test_its_half_wave_voltage_is_positive(self, instrument: Any) -> None:
        """A phase is computed by dividing by it."""
        assert instrument.half_wave_voltage() > 0.0


class PolarizationModulatorTests(PhaseModulatorTests):
    """Suite of the role PolarizationModulator."""

    role = "PolarizationModulator"

    def test_it_has_a_level_for_each_of_four_states(self, instrument: Any) -> None:
        """By bit + 2 basis."""
        assert len(instrument.drive_levels()) == 4


class PolarizationControllerTests(RoleTests):
    """Suite of the role PolarizationController."""

    role = "PolarizationController"

    def test_every_paddle_moves(self, instrument: Any) -> None:
        """Within half a degree."""
        wanted = [10.0 + 5.0 * paddle for paddle in range(len(instrument.angles()))]
        instrument.angles(wanted)
        assert list(instrument.angles()) == pytest.approx(wanted, abs=0.5)


class DetectorTests(RoleTests):
    """Suite of the role SinglePhotonDetector."""

    role = "SinglePhotonDetector"

    def test_its_readings_are_physical(self, instrument: Any) -> None:
        """Rates and times are not negative, the efficiency lies between 0 and 1."""
        assert 0.0 <= instrument.efficiency() <= 1.0
        assert instrument.dead_time() >= 0.0
        assert instrument.count_rate() >= 0.0

    def test_its_safe_state_takes_the_bias_off(self, instrument: Any) -> None:
        """A detector left alone must survive daylight."""
        instrument.safe_state()
        assert not instrument.enabled()


class PairSourceTests(RoleTests):
    """Suite of the role PairSource."""

    role = "PairSource"

    def test_its_safe_state_is_dark(self, instrument: Any) -> None:
        """No pump is left on."""
        instrument.safe_state()
        assert not instrument.enabled()


class TimeTaggerTests(RoleTests):
    """Suite of the role TimeTagger; something must make it click."""

    role = "TimeTagger"
    reads: ClassVar[int] = 5
    """Reads per test."""

    def test_its_blocks_are_sorted_and_follow_each_other(self, instrument: Any) -> None:
        """Types are checked too, and at least one tag comes."""
        stream = instrument.stream()
        stream.start()
        blocks = [stream.read(0.5) for _ in range(self.reads)]
        stream.stop()
        whole = concatenate(blocks)
        TagBlock.checked(whole.times_ps, whole.channels, whole.gaps)
        assert len(whole) > 0

    def test_a_stream_is_silent_until_it_is_started(self, instrument: Any) -> None:
        """Tags from before the start would belong to nothing."""
        assert len(instrument.stream().read(0.01)) == 0

    def test_stopping_twice_is_harmless(self, instrument: Any) -> None:
        """Error paths stop what may have stopped."""
        stream = instrument.stream()
        stream.start()
        stream.stop()
        stream.stop()

    def test_its_resolution_is_positive(self, instrument: Any) -> None:
        """In seconds, so far below one."""
        assert 0.0 < instrument.resolution() < 1e-3


class PatternGeneratorTests(RoleTests):
    """Suite of the role PatternGenerator."""

    role = "PatternGenerator"

    def test_it_remembers_what_it_played(self, instrument: Any) -> None:
        """The same slots give the same codes, in whatever order they are asked for."""
        instrument.start()
        slots = instrument.preamble.length + np.arange(5000, dtype=np.int64)
        forwards = instrument.settings_at(slots)
        assert forwards.dtype == np.uint8
        assert np.array_equal(instrument.settings_at(slots[::-1].copy()), forwards[::-1])

    def test_it_begins_with_the_public_preamble(self, instrument: Any) -> None:
        """Bright where the pattern is 1, and flagged throughout."""
        instrument.start()
        seed, length = instrument.preamble
        codes = instrument.settings_at(np.arange(length + 100, dtype=np.int64))
        assert is_sync(codes[:length]).all()
        assert not is_sync(codes[length:]).any()
        bright = setting_intensity(codes[:length]) == 0
        assert np.array_equal(bright, preamble_pattern(seed, length) == 1)

    def test_it_plays_its_probabilities(self, instrument: Any) -> None:
        """Within five sigma over 200 000 slots."""
        instrument.start()
        count = 200_000
        codes = instrument.settings_at(instrument.preamble.length + np.arange(count, dtype=np.int64))
        z_share = float(np.mean(setting_basis(codes) == 0))
        assert abs(z_share - instrument.basis_probability_z()) < 5.0 * 0.5 / count**0.5
        for level, share in enumerate(instrument.intensity_probabilities()):
            assert abs(float(np.mean(setting_intensity(codes) == level)) - share) < 5.0 * 0.5 / count**0.5

    def test_each_start_plays_fresh_settings(self, instrument: Any) -> None:
        """A setting played twice would be used twice."""
        slots = instrument.preamble.length + np.arange(1000, dtype=np.int64)
        instrument.start()
        first = instrument.settings_at(slots)
        instrument.stop()
        instrument.start()
        assert not np.array_equal(instrument.settings_at(slots), first)
