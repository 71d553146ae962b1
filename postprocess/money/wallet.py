"""What is known of a card beside the recordings of its run: number, challenge, and how it was kept.

The command that records a run draws it before, since the receiver is driven by the challenge; a laboratory draws the
challenge when the card is read. After the measurement none of it is secret.

Sources: own design.
"""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faintlink.core.basis_pattern import SEED_BYTES
from faintlink.core.runfile.folder import Run
from faintlink.postprocess.conjugate.beside import read_beside, write_beside
from faintlink.postprocess.money.card import SERIAL_BYTES
from faintlink.postprocess.money.messages import Challenge

FILE_NAME = "card.json"
_FORMAT = "faintlink-money-card/1"


@dataclass(frozen=True, slots=True)
class Wallet:
    """A card in a terminal."""

    serial: bytes
    seed: bytes = field(repr=False)
    """Of the challenge that the receiver was driven by."""
    storage_us: float
    """How long the card was kept."""

    @property
    def challenge(self) -> Challenge:
        """The challenge of the branch."""
        return Challenge(self.serial, self.seed)

    def write(self, folder: Path) -> None:
        """Write the file into the run's folder, which may not hold one."""
        data = {"serial": self.serial.hex(), "challenge_seed": self.seed.hex(), "storage_us": self.storage_us}
        write_beside(folder, FILE_NAME, _FORMAT, data)


def fresh_wallet(storage_us: float) -> Wallet:
    """Return a card with fresh random number and challenge of the operating system."""
    return Wallet(secrets.token_bytes(SERIAL_BYTES), secrets.token_bytes(SEED_BYTES), storage_us)


def wallet_of(run: Run) -> Wallet:
    """Return the card of a run, from beside the receiver's file.

    Raises
    ------
    SchemaError
        There is no such file, or it is damaged.
    """
    hint = "`faintlink money --mock` leaves it beside the run; a card cannot be verified without its challenge"
    return read_beside(run, FILE_NAME, _FORMAT, _wallet, what="card", hint=hint)


def _wallet(data: dict[str, Any]) -> Wallet:
    serial, seed = bytes.fromhex(data["serial"]), bytes.fromhex(data["challenge_seed"])
    storage_us = float(data["storage_us"])
    if (len(serial), len(seed)) != (SERIAL_BYTES, SEED_BYTES) or not storage_us >= 0.0:
        raise ValueError("number, challenge or storage time are none")
    return Wallet(serial, seed, storage_us)
