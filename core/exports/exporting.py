"""Write one stream of a run in another program's format.

`faintlink export` uses this. It streams block by block, keeps every gap, and never overwrites.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from faintlink.core.errors import ConfigError
from faintlink.core.exports.source import ExportSource, Progress, Tally, open_source
from faintlink.core.exports.targets import gap_table_path, new_files, with_gap_table
from faintlink.core.runfile.reader import RowBlock


class ExportFormat(StrEnum):
    """A format to write."""

    PHOTON_HDF5 = "photon-hdf5"
    NEXUS = "nexus"
    CSV = "csv"
    PARQUET = "parquet"
    PTU = "ptu"


_WITH_GAP_TABLE = (ExportFormat.CSV, ExportFormat.PARQUET, ExportFormat.PTU)
_FOR_SETTINGS = (ExportFormat.CSV, ExportFormat.PARQUET)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What to export, and where to."""

    source: Path
    """Run folder or run file."""
    target: Path
    """File that does not exist yet."""
    format: ExportFormat
    """Format of the file."""
    party: str | None = None
    """Whose stream; None where the run has one party."""
    stream: str | None = None
    """Which stream; None where there is one."""
    start_s: str | float | None = None
    """First moment wanted, in seconds after the first tag."""
    stop_s: str | float | None = None
    """First moment no longer wanted, in seconds after the first tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was exported."""

    run_id: str
    """The run."""
    party: str
    """Whose stream."""
    stream: str
    """Which stream."""
    format: str
    """Format of the file."""
    files: list[str]
    """Files made; the gap table, where there is one, is the second."""
    rows: int
    """Tags, or settings."""
    gaps: int
    """Gap records."""
    lost: int
    """Tags known to be missing."""


def export(plan: ExportPlan, *, progress: Progress | None = None) -> ExportReport:
    """Write the stream of a plan into a new file.

    Raises
    ------
    SchemaError, ConfigError
        The stream cannot be chosen, or not be put into this format; or a library is missing.
    RunExistsError
        The file, or its gap table, exists.
    CorruptBlockError
        A block is damaged. Nothing is left behind.
    """
    source = open_source(plan.source, party=plan.party, stream=plan.stream, start_s=plan.start_s, stop_s=plan.stop_s)
    if source.spec.kind != "tags" and plan.format not in _FOR_SETTINGS:
        raise ConfigError(
            f"{plan.format} holds time tags; stream {source.spec.name} holds {source.spec.kind}",
            hint=f"settings go into {' or '.join(_FOR_SETTINGS)}",
        )
    write = _writer(plan.format)
    tally = Tally()
    has_table = plan.format in _WITH_GAP_TABLE
    targets = [plan.target, gap_table_path(plan.target)] if has_table else [plan.target]
    with new_files(targets) as unfinished:
        blocks: Iterable[RowBlock] = source.blocks(tally, progress)
        write(unfinished[0], source, with_gap_table(blocks, unfinished[1]) if has_table else blocks)
    return ExportReport(
        run_id=source.run_id,
        party=str(source.recording.party),
        stream=source.spec.name,
        format=str(plan.format),
        files=[str(path) for path in targets],
        rows=tally.rows,
        gaps=tally.gaps,
        lost=tally.lost,
    )


def _writer(format_: ExportFormat) -> Callable[[Path, ExportSource, Iterable[RowBlock]], None]:
    # Loaded one by one: the PTU writer brings compiled kernels with it, the others do not need them.
    if format_ is ExportFormat.PTU:
        from faintlink.core.exports.ptu import write_ptu

        return write_ptu
    from faintlink.core.exports.nexus import write_nexus
    from faintlink.core.exports.parquet import write_parquet
    from faintlink.core.exports.photon_hdf5 import write_photon_hdf5
    from faintlink.core.exports.text import write_csv

    return {
        ExportFormat.PHOTON_HDF5: write_photon_hdf5,
        ExportFormat.NEXUS: write_nexus,
        ExportFormat.CSV: write_csv,
        ExportFormat.PARQUET: write_parquet,
    }[format_]
