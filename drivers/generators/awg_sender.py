"""A sender's pattern generator made of an arbitrary waveform generator that another driver has opened.

Fills the role PatternGenerator. Its submodules hold the drive levels of two channels: ``intensity`` fills the role
IntensityModulator where a bias is named, ``state`` the role PolarizationModulator where a half-wave voltage is. The
pattern is the public preamble and then random settings, drawn afresh at each start and played once: what follows the
last slot is rest. A generator's memory is finite, so one start carries few slots (2^20 slots of 10 samples are
10 MSa); for key at rate a card that draws as it plays is needed. A start takes as long as the transfer.

Sources: none; see `faintlink.drivers.generators.players` for those of the devices. Unverified on a device.
"""

import logging
import threading
from collections.abc import Sequence as Levels
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from qcodes.instrument import Instrument
from qcodes.parameters import Parameter, ParameterBase
from qcodes.validators import Numbers

from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.core.symbols import MAX_INTENSITIES
from faintlink.core.units import Slots
from faintlink.drivers.base import Capabilities, DriverMixin
from faintlink.drivers.generators.drive import AWGDrive, Preamble, Sender, Shares
from faintlink.drivers.generators.pattern import (
    Codes,
    intensity_volts,
    preamble_codes,
    random_codes,
    rendered,
    state_volts,
)
from faintlink.drivers.generators.players import PLAYERS, Player

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

logger = logging.getLogger(__name__)

STATES = 4


class AWGSender(DriverMixin, Sender):
    """A pattern generator over an arbitrary waveform generator.

    Parameters
    ----------
    name
        Instrument name.
    awg
        The generator, or its name; it must be opened first, with its sample rate set.
    kind
        ``tektronix-awg5014``, ``tektronix-awg70000`` or ``zurich-hdawg``; or a `Player`.
    pulse_rate_hz
        Slots per second; the sample rate must be a multiple of it.
    slots
        Number of slots after the preamble.
    intensity_levels, state_levels
        Drive levels in V at first: of each intensity, brightest first, and of the four states by bit + 2 basis.
    intensity_channel, state_channel
        Channels of the generator.
    intensity_bias
        Parameter, or its dotted name, that biases the intensity modulator.
    half_wave_voltage
        Half-wave voltage in V of the modulator behind the state channel.
    preamble_seed, preamble_length
        The public preamble.
    rest_v
        Voltage of both channels before and after the pattern.
    entropy
        Where settings come from; the operating system unless a test says otherwise.

    Raises
    ------
    ConfigError
        There is no such generator or kind, or the rates or levels do not fit.
    """

    verified_on_hardware: ClassVar[str | None] = None

    def __init__(
        self,
        name: str,
        awg: Any,
        *,
        kind: str | Player,
        pulse_rate_hz: float,
        slots: int = 2**18,
        intensity_levels: Levels[float] = (1.0, 0.0),
        state_levels: Levels[float] = (0.0, 0.0, 0.0, 0.0),
        intensity_channel: int = 1,
        state_channel: int = 2,
        intensity_bias: str | ParameterBase | None = None,
        half_wave_voltage: float | None = None,
        preamble_seed: int = 1,
        preamble_length: int = 2**18,
        rest_v: float = 0.0,
        entropy: Entropy | None = None,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.lock = threading.RLock()
        self._numbers = (intensity_channel, state_channel)
        self._slots, self._rest_v, self._entropy = slots, rest_v, entropy or OsEntropy()
        self._preamble = Preamble(preamble_seed, preamble_length)
        self._codes: Codes | None = None
        self._is_playing = False
        try:
            self._player = self._chosen(awg, kind)
            self.capabilities = Capabilities(f"AWG {kind}" if isinstance(kind, str) else "AWG")
            self._samples_per_slot = self._whole_samples(pulse_rate_hz)
            self._check_levels(intensity_levels, state_levels)
            bias = None if intensity_bias is None else self._found(intensity_bias)
        except BaseException:
            self.close()
            raise
        self.intensity = self.add_submodule("intensity", AWGDrive(self, "intensity", intensity_levels, bias=bias))
        self.state = self.add_submodule("state", AWGDrive(self, "state", state_levels, half_wave_v=half_wave_voltage))
        self._add_settings(pulse_rate_hz, len(intensity_levels))

    def _add_settings(self, pulse_rate_hz: float, levels: int) -> None:
        self.pulse_rate_hz: Parameter[float, Self] = self.add_parameter(
            "pulse_rate_hz", label="Slots per second", unit="Hz", get_cmd=lambda: pulse_rate_hz, set_cmd=False
        )
        """Slots per second."""
        self.intensity_probabilities: Parameter[Any, Self] = self.add_parameter(
            "intensity_probabilities",
            label="Shares of intensities",
            get_cmd=None,
            set_cmd=None,
            initial_value=(1.0 / levels,) * levels,
            vals=Shares(levels),
        )
        """How often each intensity is played, brightest first; from the next start on."""
        self.basis_probability_z: Parameter[float, Self] = self.add_parameter(
            "basis_probability_z",
            label="Share of basis Z",
            unit="",
            get_cmd=None,
            set_cmd=None,
            initial_value=0.5,
            vals=Numbers(0.0, 1.0),
        )
        """How often basis Z is played; from the next start on."""

    def _chosen(self, awg: Any, kind: str | Player) -> Player:
        if not isinstance(kind, str):
            return kind
        if kind not in PLAYERS:
            raise ConfigError(f"{self.name}: there is no generator {kind!r}", hint=f"known are {', '.join(PLAYERS)}")
        if isinstance(awg, str):
            if not Instrument.exist(awg):
                raise ConfigError(
                    f"{self.name} looks for a generator named {awg!r}, which is not there",
                    hint="give the station an entry for it above this one",
                )
            awg = Instrument.find_instrument(awg)
        return PLAYERS[kind](awg)

    def _whole_samples(self, pulse_rate_hz: float) -> int:
        rate_hz = self._player.sample_rate_hz()
        samples = round(rate_hz / pulse_rate_hz)
        if samples < 1 or abs(samples * pulse_rate_hz - rate_hz) > 1e-9 * rate_hz:
            raise ConfigError(
                f"{self.name}: {rate_hz:g} samples a second are no multiple of {pulse_rate_hz:g} slots a second",
                hint="set the generator's sample rate to a multiple of the pulse rate",
            )
        return samples

    def _check_levels(self, intensities: Levels[float], states: Levels[float]) -> None:
        if not 1 <= len(intensities) <= MAX_INTENSITIES or len(states) != STATES:
            raise ConfigError(
                f"{self.name}: 1 to {MAX_INTENSITIES} intensity levels and {STATES} state levels are needed, "
                f"got {len(intensities)} and {len(states)}",
                hint="correct the station file",
            )

    def _found(self, wanted: str | ParameterBase) -> ParameterBase:
        if isinstance(wanted, ParameterBase):
            return wanted
        first, _, rest = wanted.partition(".")
        found: Any = Instrument.find_instrument(first) if Instrument.exist(first) else None
        for part in filter(None, rest.split(".")):
            found = getattr(found, part, None)
        if not isinstance(found, ParameterBase):
            raise ConfigError(
                f"{self.name} looks for a parameter {wanted!r}, which is not there",
                hint="name it as instrument.parameter, and open the instrument first",
            )
        return found

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; the generator answers for itself."""
        return {"vendor": "faintlink", "model": "AWGSender", "serial": None, "firmware": None}

    @property
    def preamble(self) -> Preamble:
        """The public pattern that it plays first."""
        return self._preamble

    def start(self) -> None:
        """Draw fresh settings and play them from slot 0.

        Raises
        ------
        LocalProtocolError
            It is playing.
        """
        with self.lock:
            if self._is_playing:
                raise LocalProtocolError(f"{self.full_name} is started already", hint="stop it first")
            seed, length = self._preamble
            levels = len(self.intensity.drive_levels())
            shares = [float(share) for share in self.intensity_probabilities()]
            basis_z = float(self.basis_probability_z())
            fresh = random_codes(self._slots, self._entropy, intensities=shares, basis_z=basis_z)
            self._codes = np.concatenate([preamble_codes(seed, length, levels=levels), fresh])
            self._play(self._codes)
            self._is_playing = True

    def replay(self) -> None:
        """Play the same settings again from slot 0 with the drive levels of now, if it was started.

        Only for calibration: key must not be made of settings that were played twice.
        """
        with self.lock:
            if self._is_playing and self._codes is not None:
                logger.info("%s plays its settings again, with other drive levels", self.full_name)
                self._player.stop()
                self._play(self._codes)

    def _play(self, codes: Codes) -> None:
        volts = (
            intensity_volts(codes, self.intensity.drive_levels()),
            state_volts(codes, self.state.drive_levels()),
        )
        guard = self._guard_slots(codes.size)
        self._player.load(
            {
                number: rendered(each, samples_per_slot=self._samples_per_slot, guard_slots=guard, rest_v=self._rest_v)
                for number, each in zip(self._numbers, volts, strict=True)
            }
        )
        self._player.play()

    def _guard_slots(self, slots: int) -> int:
        """Return the least number of slots at rest, before and after, that make the length fit the device."""
        for guard in range(1, 2 * self._player.granularity + 1):
            if (slots + 2 * guard) * self._samples_per_slot % self._player.granularity == 0:
                return guard
        raise ConfigError(
            f"{self.full_name}: {slots} slots of {self._samples_per_slot} samples fit no waveform in steps of "
            f"{self._player.granularity} samples",
            hint="play an even number of slots, preamble included",
        )

    def stop(self) -> None:
        """Stop and turn the outputs off; what was played can still be asked for."""
        with self.lock:
            self._player.stop()
            self._is_playing = False

    def settings_at(self, slots: Slots) -> npt.NDArray[np.uint8]:
        """Return what was played in slots (n,) int64 counted from the start, as setting codes (n,) uint8.

        Raises
        ------
        LocalProtocolError
            It was never started, or a slot lies outside what one start plays.
        """
        codes = self._codes
        if codes is None:
            raise LocalProtocolError(f"{self.full_name} has played nothing yet", hint="start it first")
        if slots.size and (int(slots.min()) < 0 or int(slots.max()) >= codes.size):
            raise LocalProtocolError(
                f"{self.full_name} played slots 0 to {codes.size - 1}, asked for {int(slots.min())} to "
                f"{int(slots.max())}",
                hint="clicks after the pattern's end carry nothing; play more slots, or shorten the run",
            )
        return codes[slots]

    def safe_state(self) -> None:
        """Stop and turn the outputs off."""
        self.stop()
