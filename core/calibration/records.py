"""What one calibration measured, fitted, required and decided, as frozen values.

Routines of `faintlink.instruments.calibration` and of the acquisition make them, `faintlink.core.calibration.file`
keeps them, and a replay compares them: two decisions made from the same scans are equal to the last bit. Nothing
here touches an instrument.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import SchemaError

Column = npt.NDArray[np.float64] | npt.NDArray[np.int64]


class Verdict(StrEnum):
    """How a calibration ended."""

    PASSED = "passed"
    """Every criterion held; the new settings are in force."""
    FAILED = "failed"
    """A criterion did not hold; every knob is back where it was."""
    ERROR = "error"
    """Something broke on the way; every knob is back where it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A table of set points, counts and live times, each column with its unit in its name."""

    name: str
    """What was scanned."""
    columns: Mapping[str, Column]
    """Columns (n,) of float64 or int64 by name."""

    def __post_init__(self) -> None:
        sizes = {name: column.shape for name, column in self.columns.items()}
        if len(set(sizes.values())) > 1 or any(len(shape) != 1 for shape in sizes.values()):
            raise ValueError(f"scan {self.name}: the columns differ in length: {sizes}")

    def __getitem__(self, column: str) -> npt.NDArray[np.float64]:
        """Return a column (n,) as float64.

        Raises
        ------
        SchemaError
            The scan has no such column.
        """
        if column not in self.columns:
            raise SchemaError(f"scan {self.name} has no column {column!r}; it has {', '.join(self.columns)}")
        return self.columns[column].astype(np.float64)

    def __len__(self) -> int:
        return next((int(column.size) for column in self.columns.values()), 0)


@dataclass(frozen=True, slots=True)
class Fit:
    """The parameters of a model with their covariance."""

    name: str
    """What was fitted."""
    model: str
    """The model as a formula."""
    parameters: tuple[str, ...]
    """Names, units as suffixes."""
    values: tuple[float, ...]
    """Best values."""
    covariance: tuple[tuple[float, ...], ...]
    """Covariance of the values; scaled by ``chi2 / dof`` where the scatter exceeds the counting statistics."""
    chi2: float
    """Weighted sum of squared residuals."""
    dof: int
    """Degrees of freedom."""

    def __getitem__(self, parameter: str) -> float:
        return self.values[self.parameters.index(parameter)]

    def sigma(self, parameter: str) -> float:
        """Return the standard deviation of a parameter."""
        at = self.parameters.index(parameter)
        return math.sqrt(max(self.covariance[at][at], 0.0))


@dataclass(frozen=True, slots=True)
class Criterion:
    """One requirement: the estimate must satisfy the limit with ``sigmas`` standard deviations to spare."""

    name: str
    """What is required, in words."""
    value: float
    """The estimate."""
    sigma: float
    """Its standard deviation."""
    limit: float
    """The limit."""
    relation: Literal["at most", "at least"]
    """Side of the limit on which the estimate must lie."""
    sigmas: float = 3.0
    """Standard deviations by which it must lie there."""

    @property
    def is_met(self) -> bool:
        """Whether the requirement holds; never for a value that is not a number."""
        margin = self.sigmas * self.sigma
        if self.relation == "at most":
            return self.value + margin <= self.limit
        return self.value - margin >= self.limit

    def __str__(self) -> str:
        sign = "+" if self.relation == "at most" else "-"
        seen = f"{self.value:.5g} ({sign}{self.sigmas:g} x {self.sigma:.2g})"
        return f"{self.name}: {seen}, required {self.relation} {self.limit:.5g}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the scans and from nothing else."""

    fits: tuple[Fit, ...] = ()
    """Fitted models."""
    criteria: tuple[Criterion, ...] = ()
    """Requirements with their statistics."""
    proposal: Mapping[str, Any] = field(default_factory=dict)
    """Values of knobs (``role.parameter``) that the scans call for."""
    results: Mapping[str, float] = field(default_factory=dict)
    """Further figures, units as suffixes."""
    advice: str = ""
    """What to look at when a criterion does not hold."""

    @property
    def is_passed(self) -> bool:
        """Whether every requirement holds."""
        return all(criterion.is_met for criterion in self.criteria)

    @property
    def reason(self) -> str:
        """Every requirement that does not hold; empty if all do."""
        missed = [str(criterion) for criterion in self.criteria if not criterion.is_met]
        return "; ".join(missed) + (f" ({self.advice})" if missed and self.advice else "")


@dataclass(frozen=True, slots=True, repr=False)
class CalibrationRecord:
    """One calibration from the first set point to the verdict."""

    record_id: str
    """Unique."""
    routine: str
    """Name of the routine."""
    routine_version: int
    """Version of its measurement and decision."""
    link: str
    """Name of the link."""
    started_utc: str
    """ISO 8601."""
    duration_s: float
    """How long it took."""
    software_version: str
    """Version of faintlink."""
    verdict: Verdict
    """How it ended."""
    reason: str
    """Why it did not pass; empty if it did."""
    options: Mapping[str, float]
    """Every number that the decision depends on besides the scans."""
    scans: Mapping[str, Scan]
    """What was measured, by name."""
    decision: Decision
    """What followed."""
    before: Mapping[str, Any]
    """Knobs that were touched, as they were."""
    after: Mapping[str, Any]
    """The same knobs at the end."""
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    """Settings of all instruments at the end."""
    instruments: Mapping[str, str] = field(default_factory=dict)
    """Instrument of each role."""

    @property
    def is_passed(self) -> bool:
        """Whether it passed."""
        return self.verdict is Verdict.PASSED

    def __repr__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"<CalibrationRecord {self.record_id} {self.routine} {self.verdict}{reason}>"

    @property
    def settings(self) -> dict[str, Any]:
        """The calibrated values by ``instrument.parameter``, as `faintlink run --set` takes them; empty if failed."""
        if not self.is_passed:
            return {}
        named = {}
        for knob, value in self.decision.proposal.items():
            role, _, parameter = knob.rpartition(".")
            named[f"{self.instruments.get(role, role)}.{parameter}"] = value
        return named
