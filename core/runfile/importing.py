"""Turn a recording from elsewhere into the run file of one party, whole or not at all.

`faintlink import` uses this. The files are written into a hidden folder beside the run and moved when they are
complete, so that a failure leaves neither a half-made run nor a half-made party.
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faintlink.core.config.loader import parse_link
from faintlink.core.errors import ConfigError, FormatError, RunExistsError
from faintlink.core.formats.recording import Recording, RecordingInfo, open_recording
from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import MANIFEST, Manifest, file_sha256, read_manifest
from faintlink.core.runfile.party_writer import PartyWriter, create_run
from faintlink.core.runfile.schema import StreamSpec
from faintlink.core.runfile.writer import publish
from faintlink.core.symbols import Party

Progress = Callable[[int, int | None], None]
"""Called with the tags written so far and the records expected, if known."""

STREAM = "tags"
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What to import, and where to."""

    source: Path
    """The recording."""
    folder: Path
    """The run folder: absent, empty, or a run that lacks the party."""
    party: Party
    """Whose recording it is."""
    format: str | None = None
    """Name of the format; None to tell it from the content."""
    link: Path | None = None
    """Link file; None takes that of the run, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What was imported."""

    source: str
    """The recording."""
    format: str
    """Its format."""
    folder: str
    """The run folder."""
    run_id: str
    """The run."""
    files: list[str]
    """Files made."""
    tags: int
    """Tags imported."""
    parties: list[str]
    """Parties of the run now."""


def import_into_run(plan: ImportPlan, *, progress: Progress | None = None) -> ImportReport:
    """Write the recording of a plan into its run folder.

    Raises
    ------
    FormatError
        The recording cannot be read, or holds no tags.
    ConfigError
        The link file is wrong, does not know the party as a receiver, or is not that of the run.
    RunExistsError
        The folder holds something else than a run, or the party is there already.
    """
    existing = _existing(plan)
    context = _context(plan, existing)
    recording = _open(plan)
    context["source"] = _source(plan.source, recording.info)
    building = plan.folder.parent / f".{plan.folder.name}.importing.{os.getpid()}"
    plan.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = create_run(building, existing.run_id if existing else None)
        tags = _convert(recording, plan, PartyFolder(building, made, context), progress)
        made.status = "closed"
        made.write(building)
        if existing is None:
            # Replaces an empty folder, and fails on any other.
            building.rename(plan.folder)
        else:
            _add_party(plan, existing, made, building)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    files = [segment.file for segment in made.parties[plan.party]]
    return ImportReport(
        source=str(plan.source),
        format=str(recording.info.format),
        folder=str(plan.folder),
        run_id=made.run_id,
        files=files,
        tags=tags,
        parties=sorted({*(existing.parties if existing else ()), str(plan.party)}),
    )


@dataclass(frozen=True, slots=True)
class PartyFolder:
    """A folder in the making, with what goes into each file."""

    folder: Path
    """Where the files are written."""
    manifest: Manifest
    """Its manifest."""
    context: dict[str, str]
    """Texts for each file."""


def _existing(plan: ImportPlan) -> Manifest | None:
    folder = plan.folder
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    if not (folder / MANIFEST).is_file():
        raise RunExistsError(
            f"{folder} exists and is no run folder; nothing was overwritten", hint="choose another --out"
        )
    manifest = read_manifest(folder)
    if plan.party in manifest.parties or list(folder.glob(f"{plan.party}-*.h5")):
        raise RunExistsError(
            f"{folder} already has a recording of {plan.party}; nothing was overwritten",
            hint="choose another --out, or the other --party",
        )
    return manifest


def _context(plan: ImportPlan, existing: Manifest | None) -> dict[str, str]:
    stored = _stored_link(plan.folder) if existing else None
    text = stored
    if plan.link is not None:
        text, link = parse_link(plan.link)
        if plan.party not in link.receivers:
            raise ConfigError(
                f"{plan.link} does not know {plan.party} as a receiver; it has {sorted(link.receivers)}",
                hint="only receivers record time tags; is --party right?",
            )
    if stored is not None and text != stored:
        raise ConfigError(
            f"{plan.link} is not the link file that the run {plan.folder} was begun with",
            hint="leave --link out to use that of the run",
        )
    context = {"origin": "imported", "squash_seed": secrets.token_bytes(_SEED_BYTES).hex()}
    return context if text is None else {"link": text, **context}


def _stored_link(folder: Path) -> str | None:
    run = open_run([folder])
    return next((party.context["link"] for party in run.parties.values() if "link" in party.context), None)


def _open(plan: ImportPlan) -> Recording:
    if not plan.source.is_file():
        raise FormatError(f"{plan.source} is not a file", hint="name the recording to import")
    return open_recording(plan.source, format=plan.format)


def _source(path: Path, info: RecordingInfo) -> str:
    facts = {
        "file": path.name,
        "sha256": file_sha256(path),
        "format": str(info.format),
        "instrument": info.instrument,
        "resolution_ps": info.resolution_ps,
        "channel_names": {str(number): name for number, name in info.channel_names.items()},
        "sync_rate_hz": info.sync_rate_hz,
        "created": info.created.isoformat() if info.created else None,
        "comments": info.comments,
    }
    return json.dumps(facts, ensure_ascii=False)


def _convert(recording: Recording, plan: ImportPlan, target: PartyFolder, progress: Progress | None) -> int:
    info = recording.info
    spec = StreamSpec(STREAM, "tags", instrument=info.instrument, resolution_ps=info.resolution_ps)
    writer = PartyWriter(
        target.folder, target.manifest, plan.party, streams=[spec], context=target.context, rotate_s=float("inf")
    )
    tags = 0
    try:
        for block in recording.blocks():
            writer.append_tags(STREAM, block)
            writer.commit()
            tags += len(block)
            if progress is not None:
                progress(tags, info.records_expected)
        if not tags:
            raise FormatError(f"{plan.source} holds no tags", hint="was the recording started?")
        writer.seal()
    finally:
        writer.abandon()
    return tags


def _add_party(plan: ImportPlan, existing: Manifest, made: Manifest, building: Path) -> None:
    moved: list[Path] = []
    try:
        for segment in made.parties[plan.party]:
            publish(building / segment.file, plan.folder / segment.file)
            moved.append(plan.folder / segment.file)
        replace(existing, parties={**existing.parties, plan.party: made.parties[plan.party]}).write(plan.folder)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        raise
