"""Mock links, recorded and distilled for real by the programs that do it in a laboratory, each in its own process.

Key delivery imports nothing of acquisition: the folder that a link's parties leave is all that passes from one to the
other, here as there.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.errors import DeliveryError, NotEnoughSignalsError
from faintlink.core.symbols import Party
from faintlink.postprocess.keystore import FileKeyStore

_COMMAND = [sys.executable, "-c", "import sys; from faintlink.core.cli import main; sys.exit(main())", "demo"]
_ATTEMPTS = 2
_TIMEOUT_S = 300.0
_LAST_WORDS = 600


@dataclass(frozen=True, slots=True)
class DistilledLink:
    """A link that was recorded, and the keys that its parties have of it."""

    between: tuple[str, str]
    """Sites of Alice and Bob."""
    protocol: str
    duration_s: float
    qber: float
    """Of the key basis."""
    key_bits: int
    folder: Path
    """Holds ``keys/alice`` and ``keys/bob``."""

    @property
    def rate_bps(self) -> float:
        """Secret bits for a second of recording."""
        return self.key_bits / self.duration_s

    def keys_of(self, site: str) -> FileKeyStore:
        """Return the folder of a site's keys."""
        party = Party.ALICE if site == self.between[0] else Party.BOB
        return FileKeyStore(self.folder / "keys" / party.value)


def distil(link: str, between: tuple[str, str], folder: Path, *, say: Callable[[str], None]) -> DistilledLink:
    """Record a mock link of ``faintlink demo`` and distil it into ``folder``, which is made.

    Parameters
    ----------
    link
        Its name there.
    between
        Sites of Alice and Bob.
    folder
        For runs, keys and report.
    say
        Is told what is being done.

    Raises
    ------
    NotEnoughSignalsError
        It gave no key.
    DeliveryError
        The program failed.
    """
    said = ""
    for attempt in range(1, _ATTEMPTS + 1):
        target = folder / str(attempt)
        say(f"{between[0]} - {between[1]}: recording and distilling the mock link {link} …")
        code, said = _run([*_COMMAND, "--link", link, "--out", str(target)])
        if code == 0:
            return _read(target, between)
        if code != 4:
            raise DeliveryError(f"the mock link {link} failed with code {code}: {said}", hint="run `faintlink demo`")
        # Where programs are compiled for the first time on a busy machine, the first recording may starve.
        say(f"{between[0]} - {between[1]}: no key this time")
    raise NotEnoughSignalsError(f"the mock link {link} gave no key: {said}", hint="is the machine busy? try again")


def _run(command: list[str]) -> tuple[int, str]:
    try:
        # Our own interpreter with our own arguments.
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return -1, f"it did not end within {_TIMEOUT_S:.0f} s"
    return done.returncode, done.stderr[-_LAST_WORDS:].strip()


def _read(folder: Path, between: tuple[str, str]) -> DistilledLink:
    analysis = json.loads((folder / "analysis.json").read_text(encoding="utf-8"))
    summary = analysis["summary"]
    rates = [block["qber_key"]["rate"] for block in analysis["blocks"] if block["key_bits"]]
    return DistilledLink(
        between,
        protocol=summary["protocol"],
        duration_s=summary["duration_s"],
        qber=max(rates),
        key_bits=summary["key_bits"],
        folder=folder,
    )
