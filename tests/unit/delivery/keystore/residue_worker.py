"""Hand keys out, go on for a while, and wait to be looked into.

``python -m tests.unit.delivery.keystore.residue_worker FOLDER KEYS``, with the names of ready keys on standard input.
"""

import sys
from pathlib import Path

from faintlink.delivery.keystore.conformance_stock import HERE, MASTER
from faintlink.delivery.keystore.model import Role
from faintlink.delivery.keystore.sealing import wipe
from tests.unit.delivery.keystore.stores import open_sqlite


def main(folder: Path) -> None:
    """Fetch each key by itself, as a server does."""
    store = open_sqlite(folder, HERE)
    for line in sys.stdin:
        if line == "\n":
            break
        (key,) = store.deliver([line.strip()], role=Role.MASTER, sae=MASTER)
        wipe(key.material)
    store.forget_epochs()
    print("ready", flush=True)
    sys.stdin.readline()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
