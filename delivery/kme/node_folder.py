"""Blocks that this site's node of a link has distilled: taken into the store when both sites have them, not before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.errors import FaintlinkError
from faintlink.delivery.keystore.ingest import FolderIngest
from faintlink.delivery.keystore.model import Cut
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.ledger.answering import AtHand
from faintlink.delivery.witness import Witness
from faintlink.postprocess.keystore import FileKeyStore


@dataclass(frozen=True, slots=True)
class _Chosen(FileKeyStore):
    """A folder of keys of which only some are seen."""

    names: frozenset[str] = frozenset()

    def key_ids(self) -> list[str]:
        return sorted(name for name in self.names if self.is_released(name))


@dataclass(frozen=True, slots=True)
class NodeFolder(AtHand):
    """The folder into which a node puts its keys."""

    folder: Path
    store: KeyStore
    peer: str
    cut: Cut
    witness: Witness
    allow_simulated: bool = False

    def blocks(self) -> list[str]:
        """Return the names of keys that may be used and are not in the store yet."""
        keys = FileKeyStore(self.folder)
        return [name for name in keys.key_ids() if self._is_full(name) and self._is_usable(keys, name)]

    def take_in(self, blocks: Sequence[str]) -> None:
        """Put those of ``blocks`` that are here into the store and destroy their files."""
        chosen = _Chosen(self.folder, frozenset(blocks))
        if chosen.key_ids():
            FolderIngest(
                chosen,
                self.store,
                peer=self.peer,
                cut=self.cut,
                witness=self.witness,
                allow_simulated=self.allow_simulated,
            ).run()

    def _is_full(self, name: str) -> bool:
        # What was taken in leaves an empty file, so that the node goes on knowing the name.
        return (self.folder / f"{name}.key").stat().st_size > 0

    def _is_usable(self, keys: FileKeyStore, name: str) -> bool:
        try:
            return self.allow_simulated or keys.about(name).get("usable") is True
        except FaintlinkError:
            # The one damaged description must not keep the others out; taking it in would say so.
            return False
