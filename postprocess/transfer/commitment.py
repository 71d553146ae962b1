"""Commitments to basis and bit of each detection: statistically binding, computationally hiding.

The receiver of a transfer commits, the sender opens a sample. A commitment to (bit, basis) under a 128-bit seed s is
G(s) + bit R_0 + basis R_1, with G BLAKE2b of 320 bits and R_0, R_1 random from the sender.

Notes
-----
Binding, own derivation after Naor: two openings of one commitment need G(s) + G(s') to be one of the three non-zero
sums of R_0 and R_1. There are fewer than 2**256 pairs of seeds, and each sum is uniform over 2**320 values, drawn
after G was fixed; so the probability that any commitment of any session under these R can be opened in two ways is
at most 3 * 2**(256 - 320) < 2**-62. Hiding holds as long as BLAKE2b of a random seed cannot be told from random bits:
a computational assumption, for ever after.

Sources: M. Naor, J. Cryptol. 4, 151 (1991); BLAKE2, RFC 7693; M. Lemus et al., arXiv:2501.03973 (use in transfers).
"""

import hashlib
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RemoteProtocolError
from faintlink.core.units import Bits

SEED_BYTES = 16
COMMITMENT_BYTES = 40
EPS_BIND = Fraction(3, 2**64)
"""Probability that some commitment can be opened in two ways."""
Rows = npt.NDArray[np.uint8]


def commit(bit: Bits, basis: Bits, seeds: Rows, challenge: Rows) -> Rows:
    """Return the commitments to n pairs.

    Parameters
    ----------
    bit, basis
        (n,) uint8 of 0 and 1.
    seeds
        (n, 16) uint8, secret and fresh.
    challenge
        (2, 40) uint8, the sender's R_0 and R_1.

    Returns
    -------
    numpy.ndarray
        (n, 40) uint8.
    """
    raw = seeds.tobytes()
    digests = b"".join(
        hashlib.blake2b(raw[at : at + SEED_BYTES], digest_size=COMMITMENT_BYTES, person=b"faintlink ot").digest()
        for at in range(0, len(raw), SEED_BYTES)
    )
    out = np.frombuffer(digests, np.uint8).reshape(-1, COMMITMENT_BYTES).copy()
    out[bit == 1] ^= challenge[0]
    out[basis == 1] ^= challenge[1]
    return out


def check_openings(commitments: Rows, bit: Bits, basis: Bits, seeds: Rows, challenge: Rows) -> None:
    """Refuse openings that do not fit.

    Raises
    ------
    RemoteProtocolError
        One does not.
    """
    wrong = int(np.count_nonzero((commit(bit, basis, seeds, challenge) != commitments).any(axis=1)))
    if wrong:
        raise RemoteProtocolError(
            f"{wrong} of {bit.size} commitments were opened to something else than was committed to",
            hint="the receiver lies or the channel is not authenticated: end the session",
        )
