"""Finished results of a campaign, one file a run, named by what they were made from.

A file appears whole or not at all, and carries its own checksum: what a stop or a full disk left half written is
found and made again. A result is valid for the same bytes of the run, the same configuration and the same version
of the program.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from threading import get_ident
from typing import Any

_FORMAT = "faintlink-campaign-result/1"


def content_sha256(paths: Sequence[str]) -> str:
    """Return the SHA-256 of a run's files: of their names and checksums, in the order of the names.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    whole = hashlib.sha256()
    for path in sorted(paths, key=lambda text: Path(text).name):
        with Path(path).open("rb") as file:
            whole.update(f"{Path(path).name}|{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def result_key(*parts: str) -> str:
    """Return the name of a result: the SHA-256 of what it is made from."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def save(folder: Path, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Write a result so that it is there whole or not at all, and return it as `load` will."""
    text = _text(body)
    whole = json.dumps({"format": _FORMAT, "key": key, "sha256": _checksum(text), "body": body}, sort_keys=True)
    replace_file(folder / f"{key}.json", whole.encode())
    read_back: dict[str, Any] = json.loads(text)
    return read_back


def load(folder: Path, key: str) -> dict[str, Any] | None:
    """Return a result, or None if there is none that is whole."""
    try:
        data = json.loads((folder / f"{key}.json").read_text())
        body = data["body"]
        is_whole = data["format"] == _FORMAT and data["key"] == key and data["sha256"] == _checksum(_text(body))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return body if is_whole and isinstance(body, dict) else None


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in place of an older one, at once and on disk."""
    partial = path.with_name(f"{path.name}.{os.getpid()}-{get_ident()}.part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _text(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
