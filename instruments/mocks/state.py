"""What stands on the simulated optical table, as frozen settings without any instrument library.

The mock instruments replace fields of a `BenchState` when somebody turns a knob; `rates` and `pairs` compute from
it what the detectors see. Nothing here draws random numbers.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from faintlink.core.units import SPEED_OF_LIGHT_M_PER_S, db_to_ratio

GROUP_INDEX = 1.468
"""Group index of standard single-mode fibre near 1550 nm (typical data-sheet value)."""


class Model(StrEnum):
    """Which link the bench simulates."""

    TIMEBIN_BB84 = "timebin-bb84-80mhz"
    """Phase-coded BB84 over two unbalanced interferometers, Bob chooses his basis with a phase modulator."""
    POLARIZATION_BB84 = "polarization-bb84"
    """Polarization-coded BB84 with a passive choice of basis and four detectors."""
    POLARIZATION_ACTIVE = "polarization-bb84-active"
    """Polarization-coded BB84; Bob turns the polarization by his basis in front of one splitter and two detectors."""
    BBM92 = "bbm92"
    """A source of entangled pairs between two passive receivers."""


class Attack(StrEnum):
    """What Eve does to the pulses (or to the photons of Bob's arm) that she touches."""

    NONE = "none"
    SCRAMBLE = "scramble"
    """She replaces the state by a random one: half of the touched bits are wrong."""
    INTERCEPT_RESEND = "intercept-resend"
    """She measures in a random basis and resends what she saw at the same intensity: a quarter is wrong."""


class PairState(StrEnum):
    """The Bell state of the pair source."""

    PHI_PLUS = "phi+"
    """Equal bits in both bases."""
    PSI_MINUS = "psi-"
    """Opposite bits in both bases."""


@dataclass(frozen=True, slots=True)
class SourceState:
    """Laser and sender attenuators. At the nominal values the brightest pulse has the nominal intensity."""

    enabled: bool = True
    power_w: float = 1e-3
    nominal_power_w: float = 1e-3
    attenuation_db: float = 20.0
    nominal_attenuation_db: float = 20.0
    intensities: tuple[float, ...] = (0.5, 0.15)
    """Nominal mean photon numbers leaving the sender, brightest first."""

    @property
    def peak_photons(self) -> float:
        """Mean photon number of a pulse that the intensity modulator lets pass fully."""
        if not self.enabled:
            return 0.0
        change_db = self.attenuation_db - self.nominal_attenuation_db
        return self.intensities[0] * self.power_w / self.nominal_power_w * db_to_ratio(change_db)


@dataclass(frozen=True, slots=True)
class IntensityModulatorState:
    """A Mach-Zehnder modulator: T = 1/ER + (1 - 1/ER) sin^2(pi/2 (bias + drive - null) / half-wave voltage)."""

    bias_v: float = 0.0
    null_v: float = 0.0
    """Bias voltage of least transmission."""
    half_wave_v: float = 5.0
    extinction_db: float = 40.0
    drive_v: tuple[float, ...] = ()
    """Drive of each intensity; empty means the levels that give the nominal intensities."""


@dataclass(frozen=True, slots=True)
class PhaseModulatorState:
    """A phase modulator: phase = pi (bias + drive) / half-wave voltage."""

    bias_v: float = 0.0
    half_wave_v: float = 5.0
    drive_v: tuple[float, ...] = ()
    """Drive of each state (Alice: by bit + 2 basis) or basis (Bob)."""


@dataclass(frozen=True, slots=True)
class PolarizationModulatorState:
    """A modulator that turns linear polarization by 90 degrees per half-wave voltage."""

    half_wave_v: float = 5.0
    drive_v: tuple[float, ...] = (0.0, 5.0, 2.5, 7.5)
    """Drive of each state, by bit + 2 basis (H, V, D, A)."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """The fibre with what it does to light, and the optical quality of the coding."""

    length_km: float = 10.0
    attenuation_db_per_km: float = 0.2
    line_attenuation_db: float = 0.0
    """Added by attenuators placed in the line."""
    rotation_deg: float = 0.0
    """Rotation of linear polarization at bench time zero."""
    rotation_drift_deg_per_s: float = 0.0
    walk_rad2_per_h: float = 0.0
    """Mean square angle by which a state turns on the Poincaré sphere in an hour, see `fibre_walk`."""
    retardance_deg: float = 0.0
    """Birefringence between H and V."""
    phase_rad: float = 0.0
    """Phase between the two interferometers at bench time zero."""
    phase_drift_rad_per_s: float = 0.0
    visibility: float = 0.98
    """Interference visibility, polarization contrast, or visibility of the pairs."""
    paddles_deg: tuple[float, ...] = (0.0, 0.0, 0.0)
    """Quarter-, half- and quarter-wave paddles of the polarization controller in front of Bob."""

    @property
    def transmission(self) -> float:
        """Power transmission of fibre and line attenuators."""
        return db_to_ratio(self.length_km * self.attenuation_db_per_km + self.line_attenuation_db)

    @property
    def delay_ps(self) -> int:
        """Time of flight."""
        return round(self.length_km * 1e3 * GROUP_INDEX / SPEED_OF_LIGHT_M_PER_S * 1e12)

    @property
    def drifts(self) -> bool:
        """Whether the rates change by themselves."""
        return any((self.rotation_drift_deg_per_s, self.phase_drift_rad_per_s, self.walk_rad2_per_h))


@dataclass(frozen=True, slots=True)
class DetectorState:
    """One single-photon detector with a non-paralyzable dead time."""

    enabled: bool = True
    efficiency: float = 0.2
    dark_rate_hz: float = 500.0
    dead_time_ps: int = 1_000_000
    jitter_ps: float = 50.0
    """Standard deviation of the Gaussian timing error of the output pulse."""
    delay_ps: int = 0
    """Skew of this detector's output against the others'."""
    afterpulse_probability: tuple[float, ...] = (0.0,)
    """Chance that a click is followed by an afterpulse after the dead time, by trap."""
    afterpulse_time_ps: tuple[float, ...] = (1e6,)
    """Mean release time after the end of the dead time, by trap."""


@dataclass(frozen=True, slots=True)
class ClockState:
    """The tagger's clock seen from the bench: t' = offset + t (1 + ppm 1e-6) + drift t^2 / 2."""

    offset_ps: int = 0
    ppm: float = 0.0
    drift_ppb_per_s: float = 0.0
    resolution_ps: int = 1


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """Optics, detectors and clock of one receiver."""

    loss_db: float = 6.0
    basis_probability_z: float = 0.9
    """Chance of measuring in Z: played by the modulator, or the splitting of the passive choice."""
    basis_seed: bytes = field(default=b"", repr=False)
    """Seed of the bases that the modulator plays instead of random ones; empty for random ones."""
    basis_slots: int = 0
    """Slots from the pattern's slot 0 on for which it does."""
    basis_hold: int = 1
    """Slots that each of these bases lasts."""
    detectors: tuple[DetectorState, ...] = ()
    clock: ClockState = ClockState()

    @property
    def transmission(self) -> float:
        """Power transmission of the receiver's optics."""
        return db_to_ratio(self.loss_db)


@dataclass(frozen=True, slots=True)
class ProgrammeState:
    """What the pattern generator plays."""

    running: bool = False
    run: int = 0
    """How many times it was started: each run plays fresh random settings."""
    origin_slot: int = 0
    """Bench slot in which slot 0 of the pattern is played."""
    intensity_probabilities: tuple[float, ...] = (0.7, 0.3)
    basis_probability_z: float = 0.9
    preamble_seed: int = 1
    preamble_length: int = 4096
    constant_setting: int = -1
    """A setting code played in every slot after the preamble; -1 for random settings."""


@dataclass(frozen=True, slots=True)
class PairSourceState:
    """The source of entangled pairs."""

    enabled: bool = True
    pair_rate_hz: float = 1e6
    state: PairState = PairState.PHI_PLUS
    alice_loss_db: float = 3.0
    """Loss between the source and Alice's receiver; Bob's arm is the fibre."""


@dataclass(frozen=True, slots=True)
class BenchState:
    """The whole table."""

    model: Model = Model.TIMEBIN_BB84
    seed: int = 1
    """Chooses the path of what wanders; the engine puts its own here."""
    pulse_rate_hz: float = 80e6
    peak_separation_ps: int = 2500
    """Path difference of the unbalanced interferometers."""
    source: SourceState = SourceState()
    intensity_modulator: IntensityModulatorState = IntensityModulatorState()
    alice_phase: PhaseModulatorState = PhaseModulatorState(drive_v=(0.0, 5.0, 2.5, 7.5))
    bob_phase: PhaseModulatorState = PhaseModulatorState(drive_v=(0.0, 2.5))
    polarization_modulator: PolarizationModulatorState = PolarizationModulatorState()
    pairs: PairSourceState = PairSourceState()
    link: LinkState = LinkState()
    programme: ProgrammeState = ProgrammeState()
    receivers: dict[str, ReceiverState] = field(default_factory=dict)
    attack: Attack = Attack.NONE
    attack_fraction: float = 0.0

    @property
    def period_ps(self) -> float:
        """Time between slots."""
        return 1e12 / self.pulse_rate_hz

    @property
    def chooses_actively(self) -> bool:
        """Whether Bob's basis is set by a modulator slot by slot."""
        return self.model in (Model.TIMEBIN_BB84, Model.POLARIZATION_ACTIVE)


def default_bench(model: Model, *, pulse_rate_hz: float | None = None) -> BenchState:
    """Return a table with sensible defaults for a model."""
    detectors = (DetectorState(),) * (2 if model in (Model.TIMEBIN_BB84, Model.POLARIZATION_ACTIVE) else 4)
    names = ("alice", "bob") if model is Model.BBM92 else ("bob",)
    split = 0.9 if model is not Model.BBM92 else 0.5
    receivers = {name: ReceiverState(detectors=detectors, basis_probability_z=split) for name in names}
    rate = pulse_rate_hz or (1e9 if model is Model.POLARIZATION_BB84 else 80e6)
    return BenchState(model=model, pulse_rate_hz=rate, receivers=receivers)
