"""What a run says of itself: while it runs, and at its end."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faintlink.core.records import ErrorCount
from faintlink.postprocess.qkd.live import LiveSummary


@dataclass(frozen=True, slots=True, repr=False)
class RunStatus:
    """A run at one moment."""

    elapsed_s: float
    """Since the first tag, on the receiver's clock."""
    duration_s: float
    """Planned length."""
    wall_s: float
    """Since the start, on this computer's clock."""
    tags: int
    """Handed to the writer."""
    lost: int
    """Known to be missing."""
    waiting_blocks: int
    """Blocks that the live analysis has not seen yet."""
    live: LiveSummary
    """Figures of the live analysis."""

    def figures(self, rate_hz: float | None = None) -> str:
        """Return what a watcher wants to know in one line, with the rate of the last stretch where it is given."""
        live = self.live
        parts = [f"{self.tags / 1e6:.2f} Mtags"]
        if rate_hz is not None:
            parts.append(f"{rate_hz / 1e6:.3f} Mtags/s")
        parts += [
            f"QBER key {_percent(live.qber_key)} test {_percent(live.qber_test)}",
            f"lost {self.lost}",
            live.state,
        ]
        if self.waiting_blocks > 1:
            parts.append(f"analysis {self.waiting_blocks} blocks behind")
        return "  ".join(parts)

    def __str__(self) -> str:
        return f"{self.elapsed_s:.1f}/{self.duration_s:g} s  {self.figures()}"

    def __repr__(self) -> str:
        return f"<RunStatus {self}>"


@dataclass(frozen=True, slots=True, repr=False)
class RunReport:
    """A finished run."""

    run_id: str
    folder: Path
    tags: int
    """Tags in the sealed files."""
    lost: int
    """Tags known to be missing."""
    gaps: int
    """Gap records."""
    settings: int
    """Settings of the sender in the sealed files."""
    duration_s: float
    """From the first tag to the last, on the receiver's clock."""
    wall_s: float
    """Time of streaming on this computer's clock."""
    files: tuple[str, ...]
    """Sealed files, within the folder."""
    bytes: int
    """Size of all files."""
    interrupted: bool
    """Whether the operator ended it before its time."""
    warnings: tuple[str, ...]
    """What the operator should look at; also in the streams of events."""
    live: LiveSummary
    """Last figures of the live analysis."""

    def __repr__(self) -> str:
        seen = f"{self.tags} tags in {self.duration_s:.3f} s, {self.lost} lost, QBER {_percent(self.live.qber_key)}"
        how = ", interrupted" if self.interrupted else ""
        return f"<RunReport {self.run_id}: {seen}{how}, in {self.folder}>"

    def as_dict(self) -> dict[str, Any]:
        """Return the report as data for JSON, QBERs derived."""
        data = asdict(self)
        data["folder"] = str(self.folder)
        for name, count in (("qber_key", self.live.qber_key), ("qber_test", self.live.qber_test)):
            data["live"][name]["rate"] = count.rate if count.bits else None
        return data


def _percent(count: ErrorCount) -> str:
    return f"{100 * count.rate:.2f} %" if count.bits else "-"
