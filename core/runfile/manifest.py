"""The table of contents of a run folder: ``run.json``.

It lists each party's sealed files in order, with rows, size and SHA-256. It is replaced atomically; a run whose
manifest is missing or older than its files can still be opened by its files.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from faintlink.core.errors import SchemaError

MANIFEST = "run.json"
MANIFEST_FORMAT = "faintlink-manifest/1"
_BY_ITS_FILES = "the run can still be opened by its *.h5 files"


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file of a party."""

    file: str
    """Name within the run folder."""
    rows: dict[str, int]
    """Rows by stream."""
    lost: int
    """Tags known to be missing."""
    bytes: int
    """Size."""
    sha256: str
    """Of the whole file."""


@dataclass(slots=True)
class Manifest:
    """The table of contents of a run folder."""

    run_id: str
    created_utc: str
    software_version: str
    status: str = "recording"
    parties: dict[str, list[Segment]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Replace the manifest in ``folder`` atomically."""
        text = json.dumps({"format": MANIFEST_FORMAT, **asdict(self)}, indent=1)
        temporary = folder / f".{MANIFEST}.{os.getpid()}"
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a run folder.

    Raises
    ------
    SchemaError
        There is none, or it is not one this program can read.
    """
    path = folder / MANIFEST
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{folder} has no {MANIFEST}", hint="name a run folder", path=str(path)) from None
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path} cannot be read: {error}", hint=_BY_ITS_FILES, path=str(path)) from error
    claimed = entries.pop("format", None) if isinstance(entries, dict) else None
    if claimed != MANIFEST_FORMAT:
        raise SchemaError(f"{path} has format {claimed!r}, expected {MANIFEST_FORMAT!r}", hint=_BY_ITS_FILES)
    try:
        parties = {name: [Segment(**entry) for entry in rows] for name, rows in entries.pop("parties").items()}
        return Manifest(**entries, parties=parties)
    except (KeyError, TypeError, AttributeError) as error:
        raise SchemaError(f"{path} lacks an entry or has a strange one: {error}", hint=_BY_ITS_FILES) from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
