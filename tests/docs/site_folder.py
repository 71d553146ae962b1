"""Leave the folder of a small site, and an auditor's copies: ``python -m tests.docs.site_folder SITE COPIES``."""

import shutil
import sys
from pathlib import Path

from faintlink.delivery.audit.signing import AuditKey
from faintlink.delivery.audit.site import ANCHORS_FILE, KEY_FILE, LOG_FOLDER
from faintlink.delivery.keystore.sealing import FileMasterKey
from faintlink.delivery.keystore.sqlite import SqliteKeyStore
from faintlink.delivery.witness import Event, Fact
from tests.unit.delivery.audit.logs import BLOCK, Home


def make_site(folder: Path, copies: Path) -> None:
    """Make a site that has handed out two keys, with store and audit log, and copies of anchors and public key."""
    audit = folder / "audit"
    audit.mkdir(parents=True)
    (folder / "kme.yaml").write_text(f"site: {folder.name}\n")
    with SqliteKeyStore.open(folder / "keys.db", folder.name, FileMasterKey.create(folder / "master.key")):
        pass
    log = Home(audit / LOG_FOLDER, AuditKey.create(audit / KEY_FILE), audit / ANCHORS_FILE).open()
    log.note(Fact(Event.BLOCK_INGESTED, "node", BLOCK))
    log.note(Fact(Event.KEYS_DELIVERED, "app-a", {"role": "master", "key_ids": ["key-1", "key-2"]}))
    log.close()
    copies.mkdir()
    for name in (ANCHORS_FILE, f"{KEY_FILE}.pub"):
        shutil.copy(audit / name, copies / name)


if __name__ == "__main__":
    make_site(Path(sys.argv[1]), Path(sys.argv[2]))
