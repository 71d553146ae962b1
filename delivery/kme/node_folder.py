"""Blocks that this site's node of a link has distilled: taken into the store when both sites have them, not before."""

from collections.abc import Sequence
from pathlib import Path

from faintlink.core.errors import FaintlinkError
from faintlink.delivery.keystore.ingest import FolderIngest
from faintlink.delivery.keystore.model import Cut
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.ledger.answering import AtHand
from faintlink.delivery.witness import Witness
from faintlink.postprocess.keystore import FileKeyStore


class NodeFolder(AtHand):
    """The folder into which a node puts its keys.

    Parameters
    ----------
    folder
        It may not be there yet.
    store, peer, cut, witness, allow_simulated
        As for `FolderIngest`.
    """

    def __init__(
        self, folder: Path, store: KeyStore, peer: str, cut: Cut, witness: Witness, *, allow_simulated: bool = False
    ) -> None:
        self._ingest = FolderIngest(
            FileKeyStore(folder), store, peer=peer, cut=cut, witness=witness, allow_simulated=allow_simulated
        )

    def blocks(self) -> list[str]:
        """Return the names of keys that may be used and are not in the store yet."""
        return sorted(filter(self._is_welcome, self._ingest.waiting()))

    def take_in(self, blocks: Sequence[str]) -> None:
        """Put those of ``blocks`` that are here into the store and destroy their files."""
        self._ingest.run(only=blocks)

    def _is_welcome(self, name: str) -> bool:
        try:
            return self._ingest.is_welcome(name)
        except FaintlinkError:
            # The one damaged description must not keep the others out; taking it in would say so.
            return False
