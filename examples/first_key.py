"""From a mock laboratory to a secret key: a run of a second, its key, and what both say of themselves.

Run as ``python examples/first_key.py [FOLDER]``; everything goes into the folder, ``first-key-out`` by default.
"""

import sys
from pathlib import Path

from faintlink.acquisition.scripting import Station
from faintlink.core.symbols import Party
from faintlink.postprocess.keystore import FileKeyStore


def main(folder: Path) -> None:
    """Record a polarization link of 80 km and make its key."""
    with Station("polarization_1ghz") as lab:
        print(lab)
        lab.fibre.length(80.0)
        with lab.run(out=folder / "run") as run:
            for status in run:
                print(status)
    print(run.report)
    analysis = run.process(folder / "key")
    for block in analysis.blocks:
        print(block, block.refusal or "")
    # Each party has a store of its own; the key itself is what nobody should print.
    stores = {party: FileKeyStore(folder / "key" / "keys" / party) for party in (Party.ALICE, Party.BOB)}
    keys = {party: [store.get(name) for name in store.key_ids()] for party, store in stores.items()}
    print("equal:", [key.data for key in keys[Party.ALICE]] == [key.data for key in keys[Party.BOB]])
    print(f"{analysis.key_bits} bits of a {run.report.duration_s:.2f} s run; see {folder / 'key' / 'report.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "first-key-out"))
