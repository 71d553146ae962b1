"""What calibrations work on: the instruments of a link by role, and counts of its receiver's tagger.

Instruments are reached through their roles only, so that mocks, emulators and hardware look alike. Counting takes
the time from the tags themselves, never from this computer's clock.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from faintlink.core.config.link import LinkConfig, Receiver
from faintlink.core.errors import ConfigError, TagOverflowError
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock, concatenate
from faintlink.core.units import PS_PER_S

OUTCOMES = ("z0", "z1", "x0", "x1")
"""Names of the outcomes, by 2 basis + bit."""
_READ_S = 0.2
_PATIENCE_S = 2.0


class Station(Protocol):
    """What calibrations need of a station; `LabStation` is one."""

    def component(self, name: str) -> Any:
        """Return the instrument of that name."""
        ...

    def snapshot(self) -> Mapping[str, Any]:
        """Return the settings of every instrument as data for JSON."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Lab:
    """The instruments of one link."""

    link: LinkConfig
    """What they make up."""
    roles: Mapping[str, Any]
    """Instruments by role, as the link file names the roles."""
    names: Mapping[str, str]
    """Names of these instruments in the station."""
    tagger: Any
    """The tagger of the calibrated receiver."""
    snapshot: Callable[[], Mapping[str, Any]]
    """Returns the settings of every instrument."""
    taggers: Mapping[Party, Any] = field(default_factory=dict)
    """The taggers of all receivers; calibrations of pair links need both."""

    @classmethod
    def of(cls, link: LinkConfig, station: Station) -> "Lab":
        """Return the laboratory of a link on an open station."""
        roles = {role: station.component(name) for role, name in link.roles.items()}
        taggers = {party: station.component(receiver.tagger) for party, receiver in link.receivers.items()}
        return cls(link, roles, dict(link.roles), taggers[Party.BOB], station.snapshot, taggers)

    @property
    def receiver(self) -> Receiver:
        """The calibrated receiver's part of the link."""
        return self.link.receivers[Party.BOB]

    @property
    def detectors(self) -> dict[str, int]:
        """Number of the detector behind each outcome; one each where the link names none."""
        numbers = {}
        for channel, meaning in sorted(self.receiver.channels.items()):
            name = OUTCOMES[2 * meaning.basis_code + meaning.bit]
            numbers[name] = channel if meaning.detector is None else meaning.detector
        return numbers

    @property
    def channels(self) -> dict[str, int]:
        """Tagger channel of each outcome."""
        found = {OUTCOMES[2 * m.basis_code + m.bit]: number for number, m in self.receiver.channels.items()}
        return {name: found[name] for name in OUTCOMES}

    def role(self, name: str) -> Any:
        """Return the instrument of a role.

        Raises
        ------
        ConfigError
            The link file binds none.
        """
        if name not in self.roles:
            raise ConfigError(
                f"link {self.link.name} binds no instrument to the role {name!r}; it binds {', '.join(self.roles)}",
                hint="add the role to the link file, or leave this calibration out",
            )
        return self.roles[name]

    def record(self, duration_s: float, *, start: Callable[[], None] | None = None) -> TagBlock:
        """Return the tags of a stretch of ``duration_s`` of the tagger's clock from its first tag on.

        ``start`` is called once the tagger records.

        Raises
        ------
        TagOverflowError
            The tagger lost tags: counts would be wrong.
        """
        stream = self.tagger.stream()
        parts: list[TagBlock] = []
        first_ps: int | None = None
        last_ps = 0
        deadline = time.monotonic() + _PATIENCE_S + 20.0 * duration_s
        stream.start()
        try:
            if start is not None:
                start()
            while first_ps is None or last_ps - first_ps < duration_s * PS_PER_S:
                block = stream.read(_READ_S)
                if len(block):
                    parts.append(block)
                    first_ps = int(block.times_ps[0]) if first_ps is None else first_ps
                    last_ps = int(block.times_ps[-1])
                elif time.monotonic() > deadline:
                    break
                self._refuse_loss(block)
        finally:
            stream.stop()
        if first_ps is None:
            return TagBlock.empty()
        return concatenate(parts).between(first_ps, first_ps + round(duration_s * PS_PER_S))

    def _refuse_loss(self, block: TagBlock) -> None:
        if block.gaps:
            raise TagOverflowError(
                f"{self.receiver.tagger} lost tags during a calibration: {block.gaps[0]}",
                hint="lower the count rate, for example by the attenuator, and calibrate again",
                lost=block.lost,
            )

    def count(self, duration_s: float) -> dict[str, float]:
        """Return ``counts_<outcome>`` and ``live_<outcome>_s`` of a stretch of the tagger's clock.

        The live time is the stretch less the dead time of every click of the outcome's detector.
        """
        block = self.record(duration_s)
        tally = np.bincount(block.channels, minlength=256)
        counts = {name: int(tally[channel]) for name, channel in self.channels.items()}
        per_detector: dict[int, int] = {}
        for name, detector in self.detectors.items():
            per_detector[detector] = per_detector.get(detector, 0) + counts[name]
        columns: dict[str, float] = {}
        for name, count in counts.items():
            dead_s = per_detector[self.detectors[name]] * self.receiver.dead_time_ps / PS_PER_S
            columns[f"counts_{name}"] = count
            columns[f"live_{name}_s"] = max(duration_s - dead_s, 0.01 * duration_s)
        return columns
