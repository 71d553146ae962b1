"""The public on-off pattern that starts a frame: one definition for the sender and for the receiver.

The sender opens each session with this pattern (bright pulse or vacuum, one bit a slot); the receiver looks for it
in its clicks to learn which slot is the first. The pattern is public and carries no key.

Sources: SHAKE-256, FIPS 202 (2015).
"""

import hashlib

import numpy as np

from faintlink.core.units import Bits

_LABEL = b"faintlink preamble 1:"


def preamble_pattern(seed: int, length: int) -> Bits:
    """Return the pattern of a public seed, (length,) uint8: 1 is a bright pulse, 0 is vacuum.

    Parameters
    ----------
    seed
        Any public integer of up to 128 bits, agreed on by both sides.
    length
        Number of slots; 2**18 to 2**20 is usual.

    Raises
    ------
    ValueError
        The length is not positive.
    """
    if length < 1:
        raise ValueError(f"a preamble needs at least one slot, got {length}")
    stream = hashlib.shake_256(_LABEL + seed.to_bytes(17, "big", signed=True)).digest((length + 7) // 8)
    return np.unpackbits(np.frombuffer(stream, np.uint8), count=length)
