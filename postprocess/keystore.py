"""Finished keys as files, for the party that owns them and nobody else.

A store is a folder of mode 0700. Each key is two files of mode 0600: ``<key_id>.key`` with the bits and
``<key_id>.json`` with everything about the key except its bits. A key that the other side does not have for sure yet
is ``<key_id>.prepared`` and may not be used. Nothing is overwritten, and nothing of the bits is logged. Delivery to
applications reads from here.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faintlink.core.durable import fsync
from faintlink.core.errors import KeyUnknownError, RunExistsError, SchemaError
from faintlink.core.private import write_private
from faintlink.core.records import SecretKey

_FORMAT = "faintlink-key/1"
_PREPARED = ".prepared"
_NEVER_AGAIN = "key names are never reused"


@dataclass(frozen=True, slots=True)
class FileKeyStore:
    """A folder of keys of one party."""

    folder: Path
    """Created when the first key is put in."""

    def put(self, key: SecretKey, about: Mapping[str, Any]) -> Path:
        """Store a key with what is known about it and return the file of its bits.

        Raises
        ------
        RunExistsError
            A key of that name is there; nothing was overwritten.
        """
        self.prepare(key, about)
        self.release(key.key_id)
        return self.folder / f"{key.key_id}.key"

    def prepare(self, key: SecretKey, about: Mapping[str, Any]) -> None:
        """Store a key that may not be used before `release`; it survives a crash.

        Raises
        ------
        RunExistsError
            A key of that name is there; nothing was overwritten.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / f"{key.key_id}.key"
        if path.exists():
            raise RunExistsError(f"{path} exists; nothing was overwritten", hint=_NEVER_AGAIN)
        text = json.dumps(
            {"format": _FORMAT, "key_id": key.key_id, "bits": key.bits, "epsilon": key.epsilon, **about}, indent=1
        )
        write_private(path.with_suffix(".json"), text.encode(), hint=_NEVER_AGAIN)
        write_private(path.with_suffix(_PREPARED), key.data, hint=_NEVER_AGAIN)

    def release(self, key_id: str) -> None:
        """Let a prepared key be used; twice does no harm.

        Raises
        ------
        KeyUnknownError
            No such key.
        """
        path = self.folder / f"{key_id}.key"
        if not path.exists():
            if not self._is_prepared(key_id):
                raise KeyUnknownError(f"no key {key_id!r} is prepared in {self.folder}", hint="was it discarded?")
            path.with_suffix(_PREPARED).rename(path)
            fsync(self.folder)

    def discard(self, key_id: str) -> None:
        """Destroy a prepared key: overwrite its bits and remove its files; one that is not there does no harm."""
        path = self.folder / f"{key_id}{_PREPARED}"
        if self._is_prepared(key_id):
            with path.open("r+b") as file:
                file.write(bytes(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)
            fsync(self.folder)

    def prepared(self) -> list[str]:
        """Return the names of keys that are prepared and not released, sorted."""
        return sorted(path.stem for path in self.folder.glob(f"*{_PREPARED}"))

    def is_released(self, key_id: str) -> bool:
        """Return whether a key is there and may be used."""
        return "/" not in key_id and (self.folder / f"{key_id}.key").is_file()

    def key_ids(self) -> list[str]:
        """Return the names of all keys that have their bits, sorted; one that a key store took in is an empty file."""
        return sorted(path.stem for path in self.folder.glob("*.key") if path.stat().st_size)

    def about(self, key_id: str) -> dict[str, Any]:
        """Return what is known about a key.

        Raises
        ------
        KeyUnknownError
            No such key.
        SchemaError
            Its description is damaged.
        """
        path = self._existing(key_id).with_suffix(".json")
        try:
            about: dict[str, Any] = json.loads(path.read_text())
            if about["format"] != _FORMAT or about["key_id"] != key_id:
                raise ValueError("format or key_id is wrong")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SchemaError(f"{path} is no description of a key: {error}", hint="restore it from backup") from error
        return about

    def get(self, key_id: str) -> SecretKey:
        """Return a key.

        Raises
        ------
        KeyUnknownError
            No such key, or a key store took it in.
        SchemaError
            Its files are damaged.
        """
        about = self.about(key_id)
        if not self._existing(key_id).stat().st_size:
            raise KeyUnknownError(f"the bits of key {key_id!r} moved into a key store", hint="ask the site's KME")
        try:
            return SecretKey(key_id, int(about["bits"]), self._existing(key_id).read_bytes(), about["epsilon"])
        except (KeyError, ValueError) as error:
            raise SchemaError(f"the files of key {key_id} do not fit together", hint="restore from backup") from error

    def _is_prepared(self, key_id: str) -> bool:
        return "/" not in key_id and (self.folder / f"{key_id}{_PREPARED}").is_file()

    def _existing(self, key_id: str) -> Path:
        path = self.folder / f"{key_id}.key"
        if "/" in key_id or not path.is_file():
            raise KeyUnknownError(f"no key {key_id!r} in {self.folder}", hint="list the store's *.key files")
        return path
