"""The bases that a receiver measures in, slot by slot, where a protocol prescribes them.

One definition for whoever drives the modulator and for whoever verifies. A seed of 32 bytes stands for the whole
pattern; it is as secret as the bases have to be.

Sources: SHAKE-256, FIPS 202 (2015).
"""

import hashlib

import numpy as np

from faintlink.core.units import Bits

SEED_BYTES = 32
_LABEL = b"faintlink bases 1:"


def basis_pattern(seed: bytes, slots: int, hold: int = 1) -> Bits:
    """Return the basis of each slot from slot 0 of the sender's pattern on, (slots,) uint8 of `Basis`.

    Each drawn basis stays for ``hold`` slots: 1 draws one for every slot, 2 one for every pair of slots.

    Raises
    ------
    ValueError
        The seed is not `SEED_BYTES` long, or the number of slots or ``hold`` is not positive.
    """
    if len(seed) != SEED_BYTES or slots < 1 or hold < 1:
        raise ValueError(f"need a seed of {SEED_BYTES} bytes and slots, got {len(seed)} bytes and {slots} slots")
    drawn = -(-slots // hold)
    stream = hashlib.shake_256(_LABEL + seed).digest((drawn + 7) // 8)
    return np.repeat(np.unpackbits(np.frombuffer(stream, np.uint8), count=drawn), hold)[:slots]
