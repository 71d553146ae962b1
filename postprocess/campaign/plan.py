"""What a campaign is to do: its configuration, and the runs that paths and patterns name.

Sources: none; the file's format is this project's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from faintlink.core.config.loader import parse_yaml
from faintlink.core.config.models import StrictModel
from faintlink.core.errors import FaintlinkError, SchemaError
from faintlink.core.runfile.folder import run_files
from faintlink.core.runfile.reader import RunFileReader


class CampaignConfig(StrictModel):
    """A campaign file: how all runs of a campaign are analysed."""

    described_in: ClassVar[str] = "docs/howto/reanalyse.md"

    format: Literal["faintlink.campaign/1"] = "faintlink.campaign/1"
    """Format of this file."""
    link: str = ""
    """Link file for all runs, relative to the campaign file; empty takes the one in each run."""
    set: dict[str, Any] = Field(default_factory=dict)
    """New values of link parameters by dotted name."""
    intensity_uncertainty: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Relative uncertainty of the mean photon numbers; the least key within it counts."""
    clock_phase: bool = False
    """Also follow the sender's clock, for its Allan deviation; pulsed links only, and about half as much work again."""


@dataclass(frozen=True, slots=True)
class Task:
    """One run to analyse; it crosses to a worker process as it is."""

    paths: tuple[str, ...]
    """The run's files."""
    name: str
    """How the run is called until its files are open."""
    config: CampaignConfig
    """How to analyse it."""
    link_text: str
    """Link file for all runs; empty takes the one in the run."""
    store: str
    """Folder of finished results."""


def load_campaign(path: Path) -> tuple[CampaignConfig, str]:
    """Return a campaign file and the text of the link file that it names, empty if it names none.

    Raises
    ------
    ConfigError
        With every fault in ``faults``.
    """
    config = parse_yaml(path.read_text(encoding="utf-8"), CampaignConfig, str(path))
    return config, (path.parent / config.link).read_text(encoding="utf-8") if config.link else ""


def find_runs(patterns: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the runs that paths and patterns name, each as (name, files), in the order of their names.

    Parameters
    ----------
    patterns
        Run folders, folders of run folders, files, or patterns of these. All files of a folder are one run. Files
        that are named themselves are one run for each folder and run id.

    Raises
    ------
    SchemaError
        A pattern matches nothing.
    """
    found: dict[str, set[str]] = {}
    for pattern in patterns:
        paths = [Path(name) for name in sorted(glob(pattern))]  # noqa: PTH207 - the pattern may be absolute
        runs = [run for path in paths for run in (_of_folder(path) if path.is_dir() else [_of_file(path)])]
        if not runs:
            raise SchemaError(f"{pattern} names no run", hint="name run folders, *.h5 files or folders of run folders")
        for name, files in runs:
            found.setdefault(name, set()).update(files)
    return [(name, tuple(sorted(found[name]))) for name in sorted(found)]


def _of_folder(folder: Path) -> list[tuple[str, Sequence[str]]]:
    """Return a folder's own files as one run, and the runs of the folders in it."""
    folders = [folder, *(below for below in sorted(folder.iterdir()) if below.is_dir())]
    return [
        (str(one.resolve()), [str(file.resolve()) for file in files]) for one in folders if (files := run_files(one))
    ]


def _of_file(path: Path) -> tuple[str, Sequence[str]]:
    try:
        with RunFileReader(path) as reader:
            name = f"{path.parent.resolve()}#{reader.header.run_id}"
    except (FaintlinkError, OSError):
        # What is wrong with it is told when it is analysed: one bad file must not stop the others.
        name = str(path.resolve())
    return name, [str(path.resolve())]
