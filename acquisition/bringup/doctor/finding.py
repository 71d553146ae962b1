"""What the doctor says: a finding with its figures, in an operator's words."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    name: str
    """Of the diagnosis, stable for programs."""
    what: str
    """What is wrong, in a sentence."""
    seen: float
    """The figure that was seen."""
    expected: float
    """What it should be."""
    unit: str
    """Of both; empty for shares and ratios."""
    relation: Literal["about", "at most", "at least"]
    """How the expected figure is meant."""
    cause: str
    """What mostly stands behind it."""
    remedy: str
    """What to do."""

    @property
    def ratio(self) -> float | None:
        """Seen over expected; None where nothing is expected."""
        return self.seen / self.expected if self.expected else None

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        ratio = "" if self.ratio is None else f" (x {self.ratio:.3g})"
        figures = f"{self.seen:.4g}{unit} seen, {self.relation} {self.expected:.4g}{unit} expected{ratio}"
        return f"{self.what}\n  figures: {figures}\n  cause:   {self.cause}\n  do:      {self.remedy}"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as data for JSON."""
        return {**asdict(self), "ratio": self.ratio}
