"""Names, units and codes as they stand in the messages of the relay; for `faintlink.delivery.relay.packet` only."""

import itertools
import math
import re
import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import TypeVar

from faintlink.core.errors import RemoteProtocolError
from faintlink.delivery.keystore.model import UnitId
from faintlink.postprocess.conjugate.fields import Fields

MAX_NAME_BYTES = 64
_NAME = re.compile(rb"[!-~]{1,%d}" % MAX_NAME_BYTES)
_Code = TypeVar("_Code", bound=IntEnum)


def is_name(name: str) -> bool:
    """Return whether a name can travel: 1 to 64 visible ASCII characters."""
    return name.isascii() and _NAME.fullmatch(name.encode()) is not None


def encode_name(name: str) -> bytes:
    """Return a name as a byte of length and its characters."""
    return bytes((len(name),)) + name.encode("ascii")


def read_name(fields: Fields) -> str:
    """Return the next name."""
    name = fields.take(fields.take(1)[0])
    if not _NAME.fullmatch(name):
        raise RemoteProtocolError(f"a relay message holds a name of {len(name)} bytes that is not visible ASCII")
    return name.decode("ascii")


def encode_units(units: Iterable[UnitId]) -> bytes:
    """Return units in their order, neighbours of one block together."""
    runs = [(block, [unit.number for unit in run]) for block, run in itertools.groupby(units, lambda unit: unit.block)]
    return b"".join(
        encode_name(block) + struct.pack(f">H{len(numbers)}I", len(numbers), *numbers) for block, numbers in runs
    )


def read_units(fields: Fields, count: int) -> tuple[UnitId, ...]:
    """Return the next ``count`` units."""
    units: list[UnitId] = []
    while len(units) < count:
        block = read_name(fields)
        run = within("units of a run", int.from_bytes(fields.take(2), "big"), 1, count - len(units))
        if units and units[-1].block == block:
            raise RemoteProtocolError("two runs of units of a relay message should be one")
        units.extend(UnitId(block, number) for number in struct.unpack(f">{run}I", fields.take(4 * run)))
    return tuple(units)


def within(what: str, value: int, least: int, most: int) -> int:
    """Return a number that must lie in ``least`` … ``most``."""
    if not least <= value <= most:
        raise RemoteProtocolError(f"{what} of a relay message must lie in {least}..{most}, got {value}")
    return value


def probability(value: float) -> float:
    """Return a number that must lie in 0 … 1."""
    if not (math.isfinite(value) and 0.0 <= value <= 1.0):
        raise RemoteProtocolError(f"an epsilon lies within 0 and 1, got {value}")
    return value


def member(codes: type[_Code], value: int) -> _Code:
    """Return the code that a number stands for."""
    try:
        return codes(value)
    except ValueError:
        raise RemoteProtocolError(
            f"a relay message holds the unknown {codes.__name__.lower()} {value}", hint="run the same version"
        ) from None
