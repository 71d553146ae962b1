"""The link file: which instrument fills which role, what is played, and the security policy.

A link file is the whole truth that post-processing needs besides the data; its text is stored in every run file.
The policy is frozen: it is fixed before the first pulse, and a block never ends on a count.
"""

import hashlib
import math
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from faintlink.core.config.applications.bqc import BqcPolicy
from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.config.applications.transfer import TransferPolicy
from faintlink.core.config.models import Name, OpenProbability, Positive, Probability, StrictModel
from faintlink.core.symbols import MAX_INTENSITIES, Basis, Party, Protocol

LINK_FORMAT = "faintlink.link/1"
NO_BOUND = "none"
"""Bound of a link that makes records of an application and no keys."""
_SECTIONS = ("source", "pairs", "token", "money", "payment", "transfer", "bqc")
_PARTS: dict[Protocol, tuple[set[str], set[Party]]] = {
    Protocol.BB84_DECOY: ({"source"}, {Party.BOB}),
    Protocol.BBM92: ({"pairs"}, {Party.ALICE, Party.BOB}),
    Protocol.S_MONEY: ({"source", "token"}, {Party.BOB}),
    Protocol.MONEY: ({"source", "money"}, {Party.BOB}),
    Protocol.PAYMENT: ({"source", "payment"}, {Party.BOB}),
    Protocol.TRANSFER: ({"source", "transfer"}, {Party.BOB}),
    Protocol.BQC: ({"bqc"}, {Party.BOB}),
}
"""Sections and receivers of each protocol."""


class ChannelMeaning(StrictModel):
    """What a click on one tagger channel means."""

    basis: Literal["Z", "X"]
    """Z makes key, X tests."""
    bit: Literal[0, 1]
    """The measured bit."""
    detector: Annotated[int, Field(ge=0, le=255)] | None = None
    """Number of the detector behind the channel, where one detector serves several channels."""

    @property
    def basis_code(self) -> Basis:
        """The basis as a `Basis`."""
        return Basis[self.basis]


class Receiver(StrictModel):
    """One party that records time tags."""

    tagger: Name
    """Instrument of role TimeTagger."""
    channels: dict[int, ChannelMeaning]
    """Meaning of each tagger channel; any other channel in the data is an error."""
    ignored_channels: tuple[int, ...] = ()
    """Channels that may appear and carry no detections (markers, monitors)."""
    dead_time_ps: Annotated[int, Field(ge=0)] = 0
    """Longest dead time of any detector; sooner clicks after any click are ignored in all detectors."""

    @field_validator("channels")
    @classmethod
    def _complete(cls, channels: dict[int, ChannelMeaning]) -> dict[int, ChannelMeaning]:
        bad = [number for number in channels if not 0 <= number <= 255]
        if bad:
            raise ValueError(f"channels must lie in 0..255, got {bad}")
        pairs = [(meaning.basis, meaning.bit) for meaning in channels.values()]
        if sorted(pairs) != [("X", 0), ("X", 1), ("Z", 0), ("Z", 1)]:
            got = ", ".join(f"{basis}{bit}" for basis, bit in sorted(pairs)) or "none"
            raise ValueError(
                f"need exactly one channel for each basis and bit (Z0, Z1, X0, X1), got {got}; "
                "a link of protocol bqc names all four, too, and says under `bqc: channels` what they mean there"
            )
        return channels


class Preamble(StrictModel):
    """The public pattern at the start of transmission by which the receiver counts slots."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Public; both sides derive the pattern from it."""
    slots: Annotated[int, Field(ge=4096, le=2**24)] = 2**18
    """Length; its slots carry no key."""
    search_s: Positive = 0.05
    """How far after the first tag to look for it."""


class PulsedSource(StrictModel):
    """A sender of phase-randomised weak pulses."""

    pulse_rate_hz: Positive
    """Slots per second."""
    intensities: Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], Field(min_length=1, max_length=MAX_INTENSITIES)]
    """Mean photon numbers as they leave the sender, brightest first."""
    probabilities: Annotated[tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...], Field(min_length=1)]
    """How often each intensity is played."""
    key_basis_probability: OpenProbability
    """How often the sender plays basis Z."""
    peaks_ps: tuple[tuple[int, Probability], ...] = ((0, 1.0),)
    """Arrival peaks of one pulse behind the receiver's interferometer: (delay in ps, weight)."""
    preamble: Preamble = Preamble()
    """Slot synchronisation."""

    @property
    def period_ps(self) -> float:
        """Nominal slot period in picoseconds."""
        return 1e12 / self.pulse_rate_hz

    @model_validator(mode="after")
    def _consistent(self) -> "PulsedSource":
        if len(self.intensities) != len(self.probabilities):
            raise ValueError(f"{len(self.intensities)} intensities but {len(self.probabilities)} probabilities")
        if abs(math.fsum(self.probabilities) - 1.0) > 1e-9:
            raise ValueError(f"probabilities must add to 1, got {math.fsum(self.probabilities)}")
        if any(a <= b for a, b in zip(self.intensities, self.intensities[1:], strict=False)):
            raise ValueError(f"intensities must fall strictly, brightest first, got {self.intensities}")
        return self


class PairSource(StrictModel):
    """A source of entangled pairs between two receivers."""

    state: Literal["phi+", "psi-"] = "phi+"
    """phi+ gives equal bits in both bases, psi- opposite ones (bob's bits are flipped)."""
    window_ps: Annotated[int, Field(gt=0)] = 1000
    """Full width of the coincidence window."""
    max_offset_s: Positive = 1.0
    """How far apart the two clocks may stand."""


class Clock(StrictModel):
    """How the sender's clock is found in a receiver's tags."""

    max_offset_ppm: Positive = 100.0
    """Largest frequency difference to search."""
    interval_ms: Positive = 20.0
    """One clock model is fitted per interval."""


class Gate(StrictModel):
    """Which part of a slot counts as a detection."""

    center_ps: int = 0
    """Middle of the gate, relative to the recovered pulse."""
    half_width_ps: Annotated[int, Field(gt=0)] = 500
    """Clicks further away than this are outside."""


class Acquisition(StrictModel):
    """How a run is taken."""

    duration_s: Positive = 10.0
    """Planned length on the receiver's clock."""
    commit_ms: Positive = 100.0
    """Longest time until a tag is on disk."""
    block_tags: Annotated[int, Field(ge=1024, le=2**24)] = 131_072
    """Tags of one append."""
    buffer_blocks: Annotated[int, Field(ge=2, le=1024)] = 32
    """Blocks between the tagger and the writer; when all are full, tags are lost and counted."""


class Monitors(StrictModel):
    """Limits of the statistical monitors; a block outside them makes no key."""

    sigma: Positive = 6.0
    """Significance from which a deviation counts."""
    max_bit_bias: Positive = 0.05
    """Largest |P(1) - 1/2| of the sifted key."""
    max_detector_imbalance: Positive = 0.25
    """Largest relative difference of the two detectors of a basis."""
    max_timing_skew_ps: Positive = 150.0
    """Largest difference of mean arrival between detectors."""
    max_double_click_ratio: Positive = 0.05
    """Largest share of slots with more than one click."""
    max_intensity_deviation: Positive = 0.25
    """Largest relative deviation of the played intensity probabilities and gains' ratio from the expected."""
    max_repeat_bias: Positive = 0.05
    """Largest difference between how often a bit equals the one before it, and chance."""
    max_time_information: Positive = 0.01
    """Most bits that the arrival within the slot may tell of the outcome."""
    max_floor_dispersion: Positive = 2.0
    """Largest variance over mean of the clicks between the pulses, per window of time; 1 is random."""
    floor_hz: Annotated[float, Field(ge=0.0)] = 0.0
    """Clicks per second of all detectors together that no pulse made, as measured, afterpulses included; 0 leaves
    their loss unwatched."""
    max_floor_loss: Positive = 0.03
    """Largest share of ``floor_hz`` that may be missing between the pulses."""
    vetoes: bool = True
    """False reports only, for calibration runs; no key of such a run is marked usable."""


class Acceptance(StrictModel):
    """Conditions for a key of fixed length, agreed before the block; a block that misses one makes no key."""

    n_min: Annotated[int, Field(ge=1)]
    """Least detections in the key basis."""
    s1_min: Annotated[int, Field(ge=1)]
    """Least single-photon detections in the key basis, by the bound; key bits for a bound without intensities."""
    phi_max: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Largest phase error rate of these, by the bound."""
    leak_max: Annotated[int, Field(ge=0)]
    """Most bits that reconciliation and verification may disclose."""


class SecurityPolicy(StrictModel):
    """What is allowed to become key; fixed before the block."""

    bound: Name
    """Name in the bounds registry."""
    length: Literal["variable", "fixed", "legacy"] = "variable"
    """How a key's length comes about. variable: from the block's counts, only with a bound that is proven for it;
    fixed: from ``acceptance``, before the block; legacy: from the counts with a bound that is proven for fixed
    lengths only, which is outside its theorem and is said so in every report."""
    acceptance: Acceptance | None = None
    """For length fixed."""
    eps_sec: Annotated[float, Field(gt=0.0, lt=0.1)] = 1e-9
    """Secrecy of one block."""
    eps_cor: Annotated[float, Field(gt=0.0, lt=0.1)] = 1e-15
    """Correctness of one block."""
    eps_auth: Annotated[float, Field(ge=0.0, lt=0.1)] = 0.0
    """Share of one block in the failure of the classical channel's authentication; 0 leaves it uncounted."""
    block_s: Positive = 10.0
    """A block is this long on the sender's clock, whatever is detected in it."""
    max_qber: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.11
    """A block with more errors makes no key."""
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Options of the bound."""
    monitors: Monitors = Monitors()
    """Statistical monitors."""

    @model_validator(mode="after")
    def _acceptance_fits(self) -> "SecurityPolicy":
        if (self.length == "fixed") is not (self.acceptance is not None):
            raise ValueError("length 'fixed' needs a section 'acceptance', and no other length has one")
        if self.acceptance is not None and self.acceptance.s1_min > self.acceptance.n_min:
            raise ValueError(f"s1_min {self.acceptance.s1_min} exceeds n_min {self.acceptance.n_min}")
        return self


class Distillation(StrictModel):
    """How sifted bits become key, where the proofs leave a choice; the same on both nodes."""

    reconciliation: Literal["auto", "cascade", "cascade-few-messages", "ldpc"] = "auto"
    """Who corrects errors. auto chooses for each block by its size, its error rate and ``round_trip_ms``."""
    hash_family: Literal["toeplitz", "modular"] = "toeplitz"
    """Universal hash of privacy amplification: both are universal_2; modular is several times faster with gmpy2."""
    round_trip_ms: Annotated[float, Field(ge=0.0)] = 0.0
    """Expected time from a message to its answer, both ways together."""
    frame_verification: bool = True
    """True verifies each frame by itself, so that one that stays wrong costs no more than its own bits; False
    verifies blocks as wholes."""


class Channel(StrictModel):
    """The authenticated classical channel between the nodes; the same on both, as is the whole file."""

    refill_seals: Annotated[int, Field(ge=2, le=4096)] = 8
    """Seals of each direction that the key of one block pays for, 512 bits each; a block spends one, a session five."""
    floor_seals: Annotated[int, Field(ge=0)] = 8
    """Seals of each direction that stay in the reserve, for the sessions that an operator needs in trouble."""
    blocks_in_flight: Annotated[int, Field(ge=1, le=32)] = 4
    """Blocks that are distilled at once, so that a round trip delays none but its own."""
    timeout_s: Positive = 120.0
    """A peer that is silent for so long while something is due is taken for lost."""


class LinkConfig(StrictModel):
    """A whole link file."""

    format: Literal["faintlink.link/1"]
    """Format of this file."""
    name: Name
    """Of the link."""
    protocol: Protocol
    """What is played."""
    station: str = ""
    """Station file of the instruments, relative to the link file; empty for recordings from elsewhere."""
    roles: dict[Name, Name] = Field(default_factory=dict)
    """Role to instrument; ``sender`` is the pattern generator of a prepare-and-measure link."""
    receivers: dict[Party, Receiver]
    """Parties with a tagger."""
    source: PulsedSource | None = None
    """For prepare-and-measure links."""
    pairs: PairSource | None = None
    """For links with an entangled-pair source."""
    token: TokenPolicy | None = None
    """For quantum tokens."""
    money: MoneyPolicy | None = None
    """For quantum money."""
    payment: PaymentPolicy | None = None
    """For quantum-digital payments."""
    transfer: TransferPolicy | None = None
    """For oblivious transfer."""
    bqc: BqcPolicy | None = None
    """For blind quantum computing."""
    clock: Clock = Clock()
    """Clock recovery."""
    gate: Gate = Gate()
    """Gating."""
    acquisition: Acquisition = Acquisition()
    """Acquisition."""
    distillation: Distillation = Distillation()
    """Reconciliation and privacy amplification."""
    channel: Channel = Channel()
    """The classical channel of two nodes."""
    security: SecurityPolicy
    """Security policy."""

    @model_validator(mode="after")
    def _protocol_parts(self) -> "LinkConfig":
        needed, expected = _PARTS[self.protocol]
        wrong = [part for part in _SECTIONS if (getattr(self, part) is None) is (part in needed)]
        if wrong:
            allowed = " and ".join(repr(part) for part in sorted(needed))
            raise ValueError(f"protocol {self.protocol} needs the section {allowed} and no other of {_SECTIONS}")
        if set(self.receivers) != expected:
            raise ValueError(f"protocol {self.protocol} needs the receivers {sorted(expected)}")
        if self.protocol.makes_keys is (self.security.bound == NO_BOUND):
            raise ValueError(f"a bound other than {NO_BOUND!r} belongs to a link that makes keys, and to no other")
        return self

    @property
    def block_slots(self) -> int:
        """Slots of a key block of a prepare-and-measure link."""
        if self.source is None:
            raise ValueError("a link with a pair source has no slots")
        return round(self.security.block_s * self.source.pulse_rate_hz)


def config_sha256(link: LinkConfig) -> str:
    """Return the SHA-256 of a configuration with all defaults filled in, in hexadecimal digits."""
    return hashlib.sha256(link.model_dump_json().encode()).hexdigest()
