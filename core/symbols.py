"""The alphabet of the protocols and its one-byte code for a pulse's settings.

A *setting* says what the sender prepared in one slot. In files and arrays it is one ``uint8``::

    bit 0      the key bit
    bit 1      the basis: 0 = Z, the key basis; 1 = X, the test basis
    bits 2-3   the intensity: index into the link's list, brightest first (0 = signal)
    bit 7      the slot belongs to the public synchronisation pattern and carries no key

A *channel* of a receiver's tagger stands for one (basis, bit); the link's channel map says which.
"""

from enum import IntEnum, StrEnum

import numpy as np
import numpy.typing as npt

from faintlink.core.units import Bits

BIT_MASK = 0x01
BASIS_SHIFT = 1
INTENSITY_SHIFT = 2
SYNC_FLAG = 0x80
SETTING_CODES = 16
"""Number of setting codes without the synchronisation flag."""
MAX_INTENSITIES = 4


class Basis(IntEnum):
    """The measurement basis. Key is made from one of the two, errors are tested in the other."""

    Z = 0
    X = 1


class Party(StrEnum):
    """Who owns a run file."""

    ALICE = "alice"
    BOB = "bob"
    CHARLIE = "charlie"


class Protocol(StrEnum):
    """What is played over the link."""

    BB84_DECOY = "bb84-decoy"
    """Prepare and measure, phase-randomised weak coherent pulses, one or two decoy intensities."""
    BBM92 = "bbm92"
    """A source of entangled pairs between two receivers."""
    S_MONEY = "token"
    """Quantum tokens that need no quantum memory."""
    MONEY = "money"
    """Quantum money: a card of qubit pairs, stored and challenged."""
    PAYMENT = "payment"
    """Quantum-digital payments: cryptograms bound to a merchant."""
    TRANSFER = "ot"
    """1-out-of-2 oblivious transfer."""
    BQC = "bqc"
    """Blind and verifiable quantum computing on a Qline."""

    @property
    def makes_keys(self) -> bool:
        """Whether a run of this protocol becomes secret keys; the others become records of an application."""
        return self in (Protocol.BB84_DECOY, Protocol.BBM92)


def pack_settings(
    *, bit: npt.NDArray[np.integer], basis: npt.NDArray[np.integer], intensity: npt.NDArray[np.integer]
) -> npt.NDArray[np.uint8]:
    """Return the setting codes (n,) uint8 of n pulses given as three integer arrays (n,).

    Raises
    ------
    ValueError
        A bit or basis is not 0 or 1, or an intensity index exceeds 3.
    """
    for name, array, top in (("bit", bit, 1), ("basis", basis, 1), ("intensity", intensity, MAX_INTENSITIES - 1)):
        if array.size and (array.min() < 0 or array.max() > top):
            raise ValueError(f"{name} must lie in 0..{top}, got {array.min()}..{array.max()}")
    code = bit.astype(np.uint8)
    code |= (basis.astype(np.uint8) << BASIS_SHIFT).astype(np.uint8)
    code |= (intensity.astype(np.uint8) << INTENSITY_SHIFT).astype(np.uint8)
    return code


def setting_bit(code: npt.NDArray[np.uint8]) -> Bits:
    """Return the key bit of each setting code, (n,) uint8."""
    return code & np.uint8(BIT_MASK)


def setting_basis(code: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the basis of each setting code, (n,) uint8 of `Basis` values."""
    return (code >> np.uint8(BASIS_SHIFT)) & np.uint8(1)


def setting_intensity(code: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the intensity index of each setting code, (n,) uint8."""
    return (code >> np.uint8(INTENSITY_SHIFT)) & np.uint8(3)


def is_sync(code: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return whether each setting code belongs to the public synchronisation pattern."""
    flagged: npt.NDArray[np.bool_] = (code & np.uint8(SYNC_FLAG)) != 0
    return flagged
