"""Run an analysis and leave its results in a folder: what `faintlink process` and `faintlink demo` share.

A folder holds ``analysis.json``, ``configuration.json`` (with all defaults, and what was changed for this analysis),
``report.html``, ``report.png``, ``public-bits.json`` (the random bits that both parties learn, for a replay) and
``keys/<party>/``. Nothing is overwritten.
"""

import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from faintlink.core import __version__
from faintlink.core.config.link import LinkConfig, config_sha256
from faintlink.core.config.loader import parse_yaml
from faintlink.core.entropy import Entropy, OsEntropy, RecordingEntropy, ReplayEntropy
from faintlink.core.errors import ConfigError, RunExistsError, SchemaError
from faintlink.core.runfile.folder import Run
from faintlink.postprocess.campaign.changes import Change
from faintlink.postprocess.campaign.entropy import Rehearsal
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.distil import PUBLIC_PURPOSES, BlockResult
from faintlink.postprocess.pipeline import Analysis, process
from faintlink.postprocess.report.document import analysis_document
from faintlink.postprocess.report.figures import write_png
from faintlink.postprocess.report.html import write_html

_log = logging.getLogger(__name__)
_CONFIGURATION_FORMAT = "faintlink-configuration/1"
_REPLAY_FORMAT = "faintlink-public-bits/1"


def link_of(run: Run) -> LinkConfig:
    """Return the link configuration that the run's files carry.

    Raises
    ------
    ConfigError
        They carry none, or different ones.
    """
    texts = {text for recording in run.parties.values() if (text := recording.context.get("link", ""))}
    if len(texts) != 1:
        what = "different link configurations" if texts else "no link configuration"
        raise ConfigError(f"the files of run {run.run_id} carry {what}", hint="name the one to use with --link")
    return parse_yaml(texts.pop(), LinkConfig, f"link configuration of run {run.run_id}")


def new_folder(out: Path | None, run: Path) -> Path:
    """Make and return a new folder for results: ``out``, or one below the run named by the time.

    Raises
    ------
    RunExistsError
        It exists.
    """
    base = run if run.is_dir() else run.parent
    folder = out or base / "analyses" / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise RunExistsError(f"{folder} exists; nothing was overwritten", hint="choose another --out") from None
    return folder


def analyse(
    run: Run, link: LinkConfig, folder: Path, *, entropy: Entropy | None = None, changes: Sequence[Change] = ()
) -> Analysis:
    """Process a run and leave the results in ``folder``; each key is stored as soon as its block is finished.

    Parameters
    ----------
    run, link
        What to process and how.
    folder
        New folder, see `new_folder`.
    entropy
        Random bits; None takes the operating system's.
    changes
        What of ``link`` is not as it was fixed before the run; with any, no key is marked usable.
    """
    given = entropy or OsEntropy()
    source = RecordingEntropy(Rehearsal(given) if changes else given, PUBLIC_PURPOSES)
    try:
        analysis = process(run, link, source, on_block=lambda block: _store(block, run, folder))
    except BaseException:
        # Keys that are already stored stay; a folder without any leaves no trace.
        with suppress(OSError):
            folder.rmdir()
        raise
    write_configuration(folder, link, changes)
    _write(folder / "analysis.json", json.dumps(analysis_document(analysis), indent=1))
    _write(folder / "public-bits.json", json.dumps(_public_bits(source)))
    if find_spec("matplotlib"):
        write_html(analysis, folder / "report.html")
        write_png(analysis, folder / "report.png")
    else:
        _log.warning("no report.html and report.png: matplotlib is missing (pip install 'faintlink[report]')")
    return analysis


def write_configuration(folder: Path, link: LinkConfig, changes: Sequence[Change] = ()) -> None:
    """Write what an analysis was made with into its folder, all defaults filled in, and what was changed for it."""
    document = {
        "format": _CONFIGURATION_FORMAT,
        "software_version": __version__,
        "config_sha256": config_sha256(link),
        "changed": [change.to_dict() for change in changes],
        "link": link.model_dump(mode="json"),
    }
    _write(folder / "configuration.json", json.dumps(document, indent=1))


def load_replay(folder: Path) -> ReplayEntropy:
    """Return the recorded public bits of an analysis.

    Raises
    ------
    SchemaError
        The folder holds none.
    """
    path = folder / "public-bits.json" if folder.is_dir() else folder
    try:
        data = json.loads(path.read_text())
        if data["format"] != _REPLAY_FORMAT:
            raise ValueError(f"format is {data['format']!r}")
        return ReplayEntropy([(purpose, bytes.fromhex(text)) for purpose, text in data["draws"]])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaError(f"{path} holds no recorded bits: {error}", hint="name the folder of an analysis") from error


def _public_bits(source: RecordingEntropy) -> dict[str, object]:
    return {"format": _REPLAY_FORMAT, "draws": [[purpose, data.hex()] for purpose, data in source.recorded]}


def _store(block: BlockResult, run: Run, folder: Path) -> None:
    for party, key in block.keys.items():
        about = {
            "run_id": run.run_id,
            "block": block.number,
            "origin": run.origin,
            "usable": block.is_usable,
            "bound": block.bound.bound if block.bound else "",
            "ledger": [
                {"name": part.name, "kind": part.kind, "value": part.value, "source": part.source}
                for part in block.ledger.parts
            ],
        }
        FileKeyStore(folder / "keys" / party).put(key, about)


def _write(path: Path, text: str) -> None:
    with path.open("x") as file:
        file.write(text)
