"""A card, its minting from what a sender played, and the bank's database of cards with its list of spent ones.

The bank keeps the states of each card as a sealed record under its serial. A branch notes a card as spent before it
looks at an answer, by creating a file that may not exist: a crash spends a card, it never frees one.

Sources: own design.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import NotEnoughSignalsError, RecordMismatchError, RecordReplayedError
from faintlink.core.recordfile import Column, Record, read_record, write_record
from faintlink.core.symbols import setting_basis, setting_bit
from faintlink.core.units import Bits, Slots

CARD = "money-card"
BANK = "bank"
SERIAL_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """A card as the bank knows it. The ``repr`` shows no states."""

    serial: bytes
    """`SERIAL_BYTES`, public."""
    first_slot: int
    """Of the card's pulses."""
    pulses: int
    """Of the card; pairs are the pulses 2j and 2j + 1 counted from ``first_slot``."""
    pair: npt.NDArray[np.int64] = field(repr=False)
    """(k,) int64, the numbers j of the pairs that count, rising; the bank's secret."""
    order: Bits = field(repr=False)
    """(k,) uint8: basis of the first pulse; the second has the other one."""
    z_bit: Bits = field(repr=False)
    """(k,) uint8: bit of the pulse in Z."""
    x_bit: Bits = field(repr=False)
    """(k,) uint8: bit of the pulse in X."""

    def checked(self, question: Bits) -> tuple[Slots, Bits]:
        """Return the slots (k,) that a question (k,) checks, and the bits (k,) that were sent there."""
        second = (self.order != question).astype(np.int64)
        bits = np.where(question == 0, self.z_bit, self.x_bit).astype(np.uint8)
        return self.first_slot + 2 * self.pair + second, bits


def mint(settings: npt.NDArray[np.uint8], *, serial: bytes, first_slot: int, pairs: int) -> Card:
    """Return the card of a stretch of pulses: its first ``pairs`` pairs that were sent in different bases.

    Parameters
    ----------
    settings
        (pulses,) uint8 setting codes as played, of one intensity.
    serial, first_slot
        Its number, and the slot of the first pulse.
    pairs
        How many count.

    Raises
    ------
    NotEnoughSignalsError
        There are fewer.

    Notes
    -----
    The sender draws basis and bit of each pulse independently. Of two such pulses with different bases, both orders
    have the same probability whatever the bias of the bases is, and the pair is in one of the eight states. Pairs with
    equal bases are sent and measured like all others and never looked at.
    """
    codes = settings[: settings.size // 2 * 2].reshape(-1, 2)
    basis, bit = setting_basis(codes), setting_bit(codes)
    usable = np.flatnonzero(basis[:, 0] != basis[:, 1])
    if usable.size < pairs:
        raise NotEnoughSignalsError(
            f"{usable.size} pairs were sent in different bases, a card needs {pairs}",
            hint="send more pulses: half of the pairs count on average",
        )
    pair = usable[:pairs].astype(np.int64)
    order = basis[pair, 0].astype(np.uint8)
    z_bit, x_bit = bit[pair, order], bit[pair, 1 - order]
    return Card(serial, first_slot, int(settings.size), pair, order, z_bit, x_bit)


class CardDatabase:
    """The bank's cards and, by branch, which are spent.

    Parameters
    ----------
    folder
        The bank's own folder.
    key
        Of the seals.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self._cards, self._spent, self._key = folder / "cards", folder / "spent", key
        for part in (self._cards, self._spent):
            part.mkdir(mode=0o700, exist_ok=True)

    def issue(self, card: Card, run_id: str = "") -> Path:
        """Keep a new card and return the path of its record."""
        path = self._path(card.serial)
        secret: dict[str, Column] = {"pair": card.pair, "order": card.order, "z_bit": card.z_bit, "x_bit": card.x_bit}
        header = {"first_slot": card.first_slot, "pulses": card.pulses, "pairs": int(card.pair.size)}
        write_record(path, Record(CARD, card.serial.hex(), run_id, BANK, header, {"bank_secret": secret}), self._key)
        return path

    def card(self, serial: bytes) -> Card:
        """Return a card by its number.

        Raises
        ------
        RecordMismatchError
            The bank has issued none with this number, or the record holds another one.
        SchemaError, RecordSealError
            The record was damaged or changed.
        """
        path = self._path(serial)
        if not path.exists():
            raise RecordMismatchError(f"no card has the number {serial.hex()}", hint="present a card of this bank")
        record = read_record(path, self._key, kind=CARD, session=serial.hex(), owner=BANK)
        columns = (record.column("bank_secret", name) for name in ("pair", "order", "z_bit", "x_bit"))
        return Card(serial, int(record.header["first_slot"]), int(record.header["pulses"]), *columns)

    def is_spent(self, serial: bytes, branch: str) -> bool:
        """Return whether a branch has taken a card."""
        return self._mark(serial, branch).exists()

    def spend(self, serial: bytes, branch: str) -> None:
        """Note that a branch takes a card.

        Raises
        ------
        RecordReplayedError
            It has taken it before.
        """
        try:
            os.close(os.open(self._mark(serial, branch), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise replayed(serial, branch) from None

    def _path(self, serial: bytes) -> Path:
        if len(serial) != SERIAL_BYTES:
            raise RecordMismatchError(f"a card's number has {SERIAL_BYTES} bytes, got {len(serial)}")
        return self._cards / f"{serial.hex()}.h5"

    def _mark(self, serial: bytes, branch: str) -> Path:
        return self._spent / f"{branch.encode().hex()}.{serial.hex()}"


def replayed(serial: bytes, branch: str) -> RecordReplayedError:
    """Return the error for a card that a branch has taken before."""
    return RecordReplayedError(
        f"branch {branch} has taken card {serial.hex()} before; a card is good once", hint="ask the bank for a new card"
    )
