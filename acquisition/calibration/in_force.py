"""Which calibrations hold for a run, and what a run takes from them.

``faintlink run --calibration`` uses it. Records are data: nothing here touches an instrument, and the settings that a
calibration found are set by ``--set`` as ever. What a run takes is the gate; every other figure goes into the run's
files under ``/context/calibration`` with the identity and the SHA-256 of the record that it comes from.
"""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from faintlink.core.calibration.file import SUFFIX, read_record
from faintlink.core.calibration.records import CalibrationRecord
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.manifest import file_sha256

_log = logging.getLogger(__name__)

FORMAT = "faintlink.calibration-in-force/1"
CONTEXT = "calibration"
"""Name of the text in a run file."""
MAX_AGE_S = 24 * 3600.0
_AHEAD_S = 300.0
_REACHED_DB = math.log(10.0) / 10.0


@dataclass(frozen=True, slots=True, eq=False)
class HeldRecord:
    """A record on disk."""

    path: Path
    sha256: str
    """Of the file."""
    record: CalibrationRecord

    @property
    def started(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.record.started_utc)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A calibrated figure."""

    value: float
    sigma: float | None
    """Standard deviation; None where the routine states none."""
    record_id: str
    """Of the record that it comes from."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationInForce:
    """The newest passed record of each routine."""

    records: Mapping[str, HeldRecord]
    """By routine."""
    quantities: Mapping[str, Quantity]
    """Figures by name, units as suffixes."""

    def gate(self) -> dict[str, int] | None:
        """Return ``center_ps`` and ``half_width_ps`` as measured, or None where arrival was not calibrated."""
        if "gate_half_width_ps" not in self.quantities:
            return None
        width = math.ceil(self.quantities["gate_half_width_ps"].value)
        return {"center_ps": round(self.quantities["gate_center_ps"].value), "half_width_ps": max(width, 1)}

    def applied_to(self, text: str, where: str) -> tuple[str, LinkConfig]:
        """Return the text of a link file with the measured gate in it, and what it says; all else stays as it is."""
        gate = self.gate()
        if gate is not None:
            text = with_gate(text, gate)
        return text, parse_yaml(text, LinkConfig, where)

    def as_text(self) -> str:
        """Return what the run's files keep, as JSON."""
        records = {
            name: {
                "record_id": held.record.record_id,
                "file": held.path.name,
                "sha256": held.sha256,
                "started_utc": held.record.started_utc,
                "routine_version": held.record.routine_version,
                "software_version": held.record.software_version,
                "results": dict(held.record.decision.results),
                "settings": held.record.settings,
            }
            for name, held in self.records.items()
        }
        quantities = {
            name: {"value": q.value, "sigma": q.sigma, "record_id": q.record_id} for name, q in self.quantities.items()
        }
        document = {"format": FORMAT, "records": records, "quantities": quantities, "gate": self.gate()}
        return json.dumps(document, indent=1)


def load_in_force(
    folder: Path,
    link: LinkConfig,
    *,
    max_age_s: float = MAX_AGE_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> CalibrationInForce:
    """Return the newest passed record of each routine of a link.

    Parameters
    ----------
    folder
        Of ``*.calibration.h5`` files; records of other links in it are passed over.
    link
        Whose calibration is wanted.
    max_age_s
        Greatest age of a record.
    now
        The time, replaceable in tests.

    Raises
    ------
    ConfigError
        There is no passed record of this link, or one is too old, or from the future.
    SchemaError
        A file of the folder is damaged or no calibration.
    """
    newest: dict[str, HeldRecord] = {}
    failed: dict[str, datetime] = {}
    for held in held_records(folder, link):
        name = held.record.routine
        if not held.record.is_passed:
            failed[name] = max(held.started, failed.get(name, held.started))
        elif name not in newest or held.started > newest[name].started:
            newest[name] = held
    if not newest:
        raise ConfigError(
            f"{folder} has no passed calibration of link {link.name}",
            hint=f"run `faintlink calibrate all LINK --out {folder}`, or name another folder",
        )
    for name, held in newest.items():
        _refuse_stale(held, max_age_s, now())
        if name in failed and failed[name] > held.started:
            _log.warning("calibration %s failed after the record in force was taken (%s)", name, held.path.name)
    return CalibrationInForce(newest, _quantities(newest))


def held_records(folder: Path, link: LinkConfig) -> Iterator[HeldRecord]:
    """Yield every record of a link in a folder, passed or not; raises SchemaError for a damaged file."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        held = HeldRecord(path, file_sha256(path), read_record(path))
        if held.record.link == link.name:
            yield held


def _refuse_stale(held: HeldRecord, max_age_s: float, now: datetime) -> None:
    age_s = (now - held.started).total_seconds()
    if age_s > max_age_s:
        raise ConfigError(
            f"calibration {held.record.routine} ({held.path.name}) is {age_s / 3600:.1f} h old, "
            f"{max_age_s / 3600:.1f} h are allowed",
            hint=f"run `faintlink calibrate {held.record.routine} LINK` again, or raise --calibration-max-age",
        )
    if age_s < -_AHEAD_S:
        raise ConfigError(
            f"calibration {held.record.routine} ({held.path.name}) is dated {-age_s / 3600:.1f} h in the future",
            hint="set this computer's clock, and calibrate again",
        )


def _quantities(records: Mapping[str, HeldRecord]) -> dict[str, Quantity]:
    """Return the figures that an analysis may need, from whichever routines passed."""
    found: dict[str, Quantity] = {}
    for routine, names in _WANTED.items():
        if routine not in records:
            continue
        record = records[routine].record
        results = record.decision.results
        for name, value in results.items():
            if not any(name.startswith(start) for start in names) or _is_doubt(name):
                continue
            doubt = next((results[other] for other in _doubts_of(name) if other in results), None)
            found[name] = Quantity(float(value), None if doubt is None else float(doubt), record.record_id)
    _derive_mean_photons(found, records)
    return found


_WANTED: Mapping[str, tuple[str, ...]] = {
    "dark_counts": ("dark_",),
    "attenuation": ("mu", "attenuation_db"),
    "photon_number": ("mu", "attenuation_db"),
    "arrival": ("gate_center_ps", "gate_half_width_ps", "width_"),
    "efficiency_ratio": ("ratio_",),
    "detector_gaps": ("detector_",),
    "visibility": ("visibility",),
    "heralding": ("efficiency_",),
    "pair_window": ("delay_ps", "peak_sigma_ps"),
    "pair_level": ("pair_rate_hz", "car", "coincidence_hz"),
}
"""Starts of the results' names that go into a run, by routine."""


def _doubts_of(name: str) -> tuple[str, ...]:
    stem, _, unit = name.rpartition("_")
    return (f"{name}_sigma", f"{stem}_sigma_{unit}", f"{stem}_uncertainty_{unit}")


def _is_doubt(name: str) -> bool:
    if name == "peak_sigma_ps":
        return False
    return name.endswith("_sigma") or "_sigma_" in name or "_uncertainty_" in name


def _derive_mean_photons(found: dict[str, Quantity], records: Mapping[str, HeldRecord]) -> None:
    """Give the mean photon number of the power meter the uncertainty of its attenuation."""
    if "mu" not in found or found["mu"].sigma is not None or "attenuation" not in records:
        return
    mu, db = found["mu"], found.get("attenuation_db")
    if db is not None and db.sigma is not None:
        found["mu"] = Quantity(mu.value, mu.value * _REACHED_DB * db.sigma, mu.record_id)


def with_gate(text: str, gate: Mapping[str, int]) -> str:
    """Return the text of a link file with another section ``gate``; comments and all else stay.

    Raises
    ------
    ConfigError
        The text is no mapping.
    """
    root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError("the link file is no mapping", hint="docs/reference/link-file.md describes it")
    new = f"{{center_ps: {gate['center_ps']}, half_width_ps: {gate['half_width_ps']}}}"
    for key, value in root.value:
        if key.value == "gate":
            old = text[value.start_mark.index : value.end_mark.index]
            rest = old[len(old.rstrip()) :]
            before = text[: value.start_mark.index].rstrip()
            return f"{before} {new}{rest}{text[value.end_mark.index :]}"
    return f"{text.rstrip()}\ngate: {new}\n"
