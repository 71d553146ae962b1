"""Records of applications (tokens, money, payments, transfers, blind computing) as HDF5 files, sealed by their owner.

A record is a header and groups of columns; each group belongs to one party or is public, so that what is secret can
be split off before a file leaves. `h5py` alone reads it: the header are the file's attributes, the columns plain
datasets. The seal is a keyed BLAKE2b over everything in the file, under a key that only the owner has, kept apart
from the file. It tells the owner that a record is the one that was written. Against a party who may choose what its
own record says, the protocols have their own checks.

Layout: attributes ``format``, ``kind``, ``session``, ``run_id``, ``owner``, ``software``, ``created``, ``header``
(JSON), ``seal`` (hex); one group per entry of `Record.groups`, one dataset per column.

Sources: BLAKE2, RFC 7693 (keyed mode, personalisation).
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from faintlink.core import __version__
from faintlink.core.durable import fsync
from faintlink.core.errors import RecordMismatchError, RecordSealError, SchemaError
from faintlink.core.private import write_private
from faintlink.core.runfile.writer import publish

RECORD_FORMAT = "faintlink-record/1"
SEAL_KEY_BYTES = 32
SEAL_KEY_FILE = "seal.key"
_PERSON = b"faintlink record"
_TEXTS = ("format", "kind", "session", "run_id", "owner", "software", "created", "header")
Column: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record:
    """What one party keeps of one session of an application. The ``repr`` shows no columns."""

    kind: str
    """Of the record, for example ``token-issue``."""
    session: str
    """Name of the session, equal in all its records."""
    run_id: str
    """Run that the detections came from; empty when there was none."""
    owner: str
    """Party that wrote and sealed it."""
    header: Mapping[str, Any]
    """Parameters and results; anything that JSON holds."""
    groups: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    """Columns by group and name; numbers only."""

    def __repr__(self) -> str:
        return f"Record(kind={self.kind!r}, session={self.session!r}, owner={self.owner!r})"

    def column(self, group: str, name: str) -> Column:
        """Return a column.

        Raises
        ------
        SchemaError
            The record lacks it.
        """
        try:
            return self.groups[group][name]
        except KeyError:
            raise SchemaError(f"a record {self.kind} lacks the column {group}/{name}") from None


def fresh_seal_key(home: Path) -> bytes:
    """Return a fresh seal key and leave it in a party's folder, in a file that nobody else may read.

    Raises
    ------
    RunExistsError
        The folder holds one.
    """
    key = secrets.token_bytes(SEAL_KEY_BYTES)
    write_private(home / SEAL_KEY_FILE, key)
    return key


def write_record(path: Path, record: Record, key: bytes) -> None:
    """Write a record to a new file of mode 0600, sealed under ``key`` of `SEAL_KEY_BYTES`.

    Raises
    ------
    RunExistsError
        The file exists.
    """
    texts = {
        "format": RECORD_FORMAT,
        "kind": record.kind,
        "session": record.session,
        "run_id": record.run_id,
        "owner": record.owner,
        "software": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "header": json.dumps(record.header, sort_keys=True),
    }
    groups = {name: {key_: np.ascontiguousarray(data) for key_, data in g.items()} for name, g in record.groups.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with h5py.File(unfinished, "w") as file:
            for name, columns in groups.items():
                group = file.create_group(name)
                for label, data in columns.items():
                    group.create_dataset(label, data=data)
            for name, text in texts.items():
                file.attrs[name] = text
            file.attrs["seal"] = _seal(texts, groups, key).hex()
        fsync(unfinished)
        publish(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read_record(path: Path, key: bytes, *, kind: str, session: str = "", run_id: str = "", owner: str = "") -> Record:
    """Return a record after its seal was verified.

    Parameters
    ----------
    path, key
        The file, and the key that it was sealed under.
    kind
        The kind that is needed.
    session, run_id, owner
        What it must belong to; empty for any.

    Raises
    ------
    SchemaError
        It is no record, or of another version.
    RecordSealError
        It was changed or cut short, or sealed under another key.
    RecordMismatchError
        It is sound, but of another kind, session, run or party.
    """
    texts, groups, seal = _load(path)
    if not hmac.compare_digest(_seal(texts, groups, key), seal):
        raise RecordSealError(
            f"{path} does not carry the seal of its owner: it was changed, cut short, or sealed under another key",
            hint="use the owner's own copy and key",
            path=str(path),
        )
    for name, wanted in (("kind", kind), ("session", session), ("run_id", run_id), ("owner", owner)):
        if wanted and texts[name] != wanted:
            raise RecordMismatchError(
                f"{path} is a record with {name} {texts[name]!r}, needed is {wanted!r}",
                hint="name the record that belongs to this session",
                path=str(path),
            )
    header = json.loads(texts["header"])
    return Record(texts["kind"], texts["session"], texts["run_id"], texts["owner"], header, groups)


def _load(path: Path) -> tuple[dict[str, str], dict[str, dict[str, Column]], bytes]:
    try:
        with h5py.File(path, "r") as file:
            texts = {name: str(file.attrs[name]) for name in _TEXTS}
            if texts["format"] != RECORD_FORMAT:
                raise SchemaError(f"{path} has format {texts['format']!r}, this program reads {RECORD_FORMAT!r}")
            seal = bytes.fromhex(str(file.attrs["seal"]))
            groups = {name: {label: data[()] for label, data in group.items()} for name, group in file.items()}
    except (OSError, KeyError, ValueError, AttributeError, RuntimeError) as error:
        raise SchemaError(f"{path} is no record, or was cut short: {error}", hint="name a record file") from error
    return texts, groups, seal


def _seal(texts: Mapping[str, str], groups: Mapping[str, Mapping[str, Column]], key: bytes) -> bytes:
    """Return the seal; every part stands after its length, so that no two contents give one text."""
    if len(key) != SEAL_KEY_BYTES:
        raise ValueError(f"a seal key has {SEAL_KEY_BYTES} bytes, got {len(key)}")
    hash_ = hashlib.blake2b(key=key, person=_PERSON, digest_size=32)

    def part(data: bytes) -> None:
        hash_.update(len(data).to_bytes(8, "little"))
        hash_.update(data)

    for name in sorted(texts):
        part(name.encode())
        part(texts[name].encode())
    for name in sorted(groups):
        part(b"group " + name.encode())
        for label in sorted(groups[name]):
            data = groups[name][label]
            part(label.encode())
            part(f"{data.dtype.str} {data.shape}".encode())
            part(data.tobytes())
    return hash_.digest()
