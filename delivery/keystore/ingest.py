"""Move the keys that a distillation node released from its folder into the key store: each once, through any crash.

The order is commit, then destroy: a key's file is overwritten and emptied only after the store has its bits. A crash in
between leaves both; the next pass finds that the store has had this block and only destroys the file. The empty file
stays: the node goes on knowing that the key was released, which the other node may still ask, and that its name is
taken.

Keys that may not protect anything (a simulation's, or made without the safety monitors' veto) are refused, as are
those whose files are damaged.
"""

import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faintlink.core.durable import fsync
from faintlink.core.errors import SchemaError, StoreError
from faintlink.core.private import write_private
from faintlink.delivery.keystore.model import Block, Cut
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.witness import Event, Fact, Witness
from faintlink.postprocess.keystore import FileKeyStore

_SPENT = ".spent"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a pass brought in."""

    blocks: int
    units: int
    refused: int
    """Keys that may not be used or are damaged, left where they are."""


class FolderIngest:
    """Brings a node's keys into a store. Call it again and again; one at a time for a folder.

    Parameters
    ----------
    folder
        The node's keys.
    store
        Where they go.
    peer
        The site of the link's other node.
    cut
        How both sites cut a block.
    witness
        Told of each block before it comes in.
    allow_simulated
        Take keys that are marked as not usable too: for demonstrations, where nothing depends on a key.
    provenance
        Facts to keep with each block beside the node's own, for example the run file's hash.
    """

    def __init__(
        self,
        folder: FileKeyStore,
        store: KeyStore,
        *,
        peer: str,
        cut: Cut,
        witness: Witness,
        allow_simulated: bool = False,
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._store = store
        self._peer = peer
        self._cut = cut
        self._witness = witness
        self._allow_simulated = allow_simulated
        self._provenance = dict(provenance or {})
        self._refused: set[str] = set()

    def __repr__(self) -> str:
        return f"FolderIngest({str(self._folder.folder)!r}, peer {self._peer!r})"

    def waiting(self) -> list[str]:
        """Return the names of released keys that are not in the store yet, the oldest first, refused ones included."""
        return sorted(self._folder.key_ids(), key=self._age)

    def is_welcome(self, key_id: str) -> bool:
        """Return whether a key may be used.

        Raises
        ------
        SchemaError
            Its description is damaged.
        """
        return self._allow_simulated or self._folder.about(key_id).get("usable") is True

    def run(self, only: Collection[str] | None = None) -> Ingested:
        """Bring in every key that the node has released since.

        Parameters
        ----------
        only
            Names; others wait. For sites that first agree on what both have.

        Raises
        ------
        StoreError
            The store takes no keys now, or a file cannot be destroyed.
        AuditError
            The witness cannot write; nothing more is brought in.
        """
        for spent in self._folder.folder.glob(f"*{_SPENT}"):
            self._destroy(spent.stem)
        blocks = units = refused = 0
        for key_id in self.waiting():
            if only is not None and key_id not in only:
                continue
            try:
                if not self.is_welcome(key_id):
                    raise SchemaError("it is marked as not usable", hint="only keys of a real link may be delivered")
                units += self._bring_in(key_id)
                blocks += 1
            except SchemaError as error:
                # One that is damaged or of no use must not keep the others out.
                refused += 1
                self._refuse(key_id, error.message)
        return Ingested(blocks, units, refused)

    def _age(self, key_id: str) -> tuple[int, str]:
        return self._path(key_id).stat().st_mtime_ns, key_id

    def _bring_in(self, key_id: str) -> int:
        key = self._folder.get(key_id)
        provenance = {**_provenance(self._folder.about(key_id)), **self._provenance}
        facts: dict[str, str | int | float | list[str]] = {"peer": self._peer, "bits": key.bits, "epsilon": key.epsilon}
        self._witness.note(Fact(Event.BLOCK_INGESTED, self._peer, {"block_id": key_id, **facts, **provenance}))
        # A byte that is not full holds no whole unit's end: cutting it off loses nothing.
        block = Block(key_id, key.data[: key.bits // 8], key.epsilon, provenance)
        units = self._store.ingest(self._peer, block, self._cut)
        self._destroy(key_id)
        _log.info("block %s: %d units shared with %s", key_id, units, self._peer)
        return units

    def _refuse(self, key_id: str, reason: str) -> None:
        if key_id in self._refused:
            return
        self._refused.add(key_id)
        _log.warning("key %s of %s stays where it is: %s", key_id, self._folder.folder, reason)

    def _destroy(self, key_id: str) -> None:
        """Put an empty file in the place of a key's and overwrite the key's; can be broken off anywhere and repeated.

        The file is not overwritten in its own place: what a crash leaves of that looks like a key.
        """
        path = self._path(key_id)
        spent, empty = path.with_suffix(_SPENT), path.with_suffix(".empty")
        try:
            if not spent.exists():
                spent.hardlink_to(path)
            empty.unlink(missing_ok=True)
            write_private(empty, b"").replace(path)
            fsync(path.parent)
            _overwrite(spent)
            spent.unlink()
            fsync(path.parent)
        except OSError as error:
            raise StoreError(
                f"{path} is in the key store, and its file cannot be destroyed: {error.strerror}",
                hint="the file's bits are keys: mend the disk, and bring in again to destroy it",
                path=str(path),
            ) from error

    def _path(self, key_id: str) -> Path:
        return self._folder.folder / f"{key_id}.key"


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())


def _provenance(about: Mapping[str, Any]) -> dict[str, str]:
    """Return what auditors are shown: every fact that is one word or number."""
    left_out = {"format", "key_id", "bits", "epsilon"}
    return {
        name: str(value)
        for name, value in about.items()
        if name not in left_out and isinstance(value, str | int | float | bool)
    }
