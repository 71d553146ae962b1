"""What the doctor looks at, as frozen values: records, a short probe of the detectors, the last run, the disk.

`probe` and `examine` collect it, the diagnoses read it, and nothing here touches an instrument.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.acquisition.bringup.standing import Standing
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.config.link import LinkConfig
from faintlink.core.records import LossCount


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its standard deviation."""

    value: float
    sigma: float


@dataclass(frozen=True, slots=True)
class DetectorSeen:
    """What one detector counted in the probe."""

    number: int
    """As the channel map of the link file numbers it."""
    dark_counts: int
    dark_s: float
    light_counts: int = 0
    light_s: float = 0.0
    """Zero where no light was played."""
    dead_time_s: float = 0.0
    """That the link file allows for."""

    @property
    def dark_hz(self) -> float:
        """Counts per second without light."""
        return self.dark_counts / self.dark_s if self.dark_s else 0.0

    @property
    def light_hz(self) -> float:
        """Counts per second with light."""
        return self.light_counts / self.light_s if self.light_s else 0.0

    @property
    def blind_in_dark(self) -> float:
        """Share of the time that it is dead without light."""
        return min(self.dark_hz * self.dead_time_s, 1.0)

    @property
    def blind_in_light(self) -> float:
        """Share of the time that it is dead with light."""
        return min(self.light_hz * self.dead_time_s, 1.0)


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """What the probe's tags say of the sender's clock."""

    is_locked: bool
    words: str = ""
    """Why it is not."""
    found_ppm: float | None = None
    """Where a comb was found that the link file does not allow for."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Arrival times in the slot, all detectors together."""

    phase_ps: npt.NDArray[np.float64]
    """(n,) middle of each bin."""
    counts: npt.NDArray[np.int64]
    """(n,) counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A short look at the table."""

    detectors: Sequence[DetectorSeen] = ()
    lost_tags: int | None = None
    """Lost by the tagger meanwhile; None if none was."""
    leak: Estimate | None = None
    """Undriven pulses against the brightest."""
    mean_photons: Estimate | None = None
    """Of the brightest pulse, by the power meter."""
    clock: ClockSeen | None = None
    arrivals: Arrivals | None = None
    errors: Mapping[str, Estimate] = field(default_factory=dict)
    """QBER by basis, ``key`` and ``test``; empty where none could be counted."""
    sifted_hz: float | None = None
    """Sifted bits per second of the key basis."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """An instrument that does not answer."""

    instrument: str
    address: str
    """As the station file gives it; empty where it gives none."""
    error: str
    """Its last words."""


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """The disk that runs go to."""

    folder: Path
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run of the link."""

    folder: Path
    loss: LossCount
    """What all its receivers recorded and lost."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that there is to judge by."""

    link: LinkConfig
    stand: Sequence[Standing] = ()
    """How each step of a bring-up stands."""
    passed: Mapping[str, CalibrationRecord] = field(default_factory=dict)
    """Newest passed record by routine."""
    newest: Mapping[str, CalibrationRecord] = field(default_factory=dict)
    """Newest record by routine, however it ended."""
    unreachable: Sequence[Unreachable] = ()
    probe: Probe | None = None
    """None where no instrument could be opened."""
    disk: DiskSeen | None = None
    last_run: LastRun | None = None

    def recorded(self, routine: str, result: str) -> float | None:
        """Return a figure of the newest passed record, or None."""
        record = self.passed.get(routine)
        return None if record is None else record.decision.results.get(result)

    def dark_hz(self, number: int, outcomes: Mapping[str, int]) -> Estimate | None:
        """Return the recorded dark count rate of a detector.

        Parameters
        ----------
        number
            Of the detector.
        outcomes
            Detector by outcome.
        """
        record = self.passed.get("dark_counts")
        if record is None or "dark" not in record.scans:
            return None
        scan = record.scans["dark"]
        mine = [name for name, detector in outcomes.items() if detector == number]
        counts = sum(float(scan[f"counts_{name}"][0]) for name in mine)
        live_s = float(scan[f"live_{mine[0]}_s"][0])
        return Estimate(counts / live_s, math.sqrt(max(counts, 1.0)) / live_s)


def detector_numbers(link: LinkConfig) -> dict[str, int]:
    """Return the detector behind each outcome of Bob's receiver."""
    from faintlink.instruments.calibration.lab import Lab

    return Lab(link, {}, {}, None, dict).detectors
