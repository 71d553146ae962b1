"""What the parties of an LDPC run agree on in public: frame size, code, channel estimate, interleaver.

Both derive them from the QBER estimate, the frame length and one public seed. The seed needs no secrecy and must
only be chosen after sifting, so that no error pattern can have been fitted to it.

Sources: Elkouss et al., arXiv:0901.2140 and 1006.2660 (choice of the code, shortening).
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError
from faintlink.postprocess.kernels.polynomial import PRIME
from faintlink.postprocess.qkd.ldpc.codes import COLUMNS, LIFT, table_rows

MAX_FRAME_BITS = COLUMNS * LIFT
MAX_FRAMES = 4_096
LIFT_STEP = 16
CHECK_BITS = 40
"""Bits of a frame's check value: words of few ones meet all parities, and would else pass unseen now and then."""
DEFAULT_EFFICIENCY = 1.10
"""Leak of the syndrome over the Shannon limit that the code is chosen for, before the allowance for short frames."""
SPREAD = 1.5
"""Standard deviations of a frame's error count that the code allows for, beyond the expected errors."""


@dataclass(frozen=True, slots=True)
class LdpcParameters:
    """Public parameters of an LDPC run; equal at both parties."""

    frame_bits: int
    """Key bits of a frame, 1 … 819,200; a frame is filled up to 800 ``lift`` with zeros known to both."""
    lift: int
    """Size of a circulant, a multiple of 16 up to 1,024."""
    row_count: int
    """Rows of the base matrix; a frame's syndrome has ``row_count`` x ``lift`` bits."""
    qber: float
    """Error rate that the decoder assumes, above 0 and below 0.5."""

    def __post_init__(self) -> None:
        if not (LIFT_STEP <= self.lift <= LIFT and self.lift % LIFT_STEP == 0):
            raise LocalProtocolError(f"the lift must be a multiple of {LIFT_STEP} up to {LIFT}, got {self.lift}")
        if not 1 <= self.frame_bits <= COLUMNS * self.lift:
            raise LocalProtocolError(f"frames must hold 1 to {COLUMNS * self.lift} bits, asked for {self.frame_bits}")
        if not table_rows()[0] <= self.row_count <= 2 * table_rows()[-1]:
            raise LocalProtocolError(f"there is no code of {self.row_count} rows")
        if not 0.0 < self.qber < 0.5:
            raise LocalProtocolError(f"the decoder needs a QBER between 0 and 0.5, got {self.qber}")

    @classmethod
    def for_qber(
        cls, qber: float, frame_bits: int = MAX_FRAME_BITS, efficiency: float = DEFAULT_EFFICIENCY
    ) -> "LdpcParameters":
        """Return the parameters for an estimated error rate (fraction, 0 to 0.5) and a wanted f >= 1."""
        if not 0.0 <= qber <= 0.5:
            raise LocalProtocolError(f"the QBER hint must lie in 0 to 0.5, got {qber}")
        if not efficiency >= 1.0:
            raise LocalProtocolError(f"no code works below the Shannon limit, asked for f = {efficiency}")
        if not 1 <= frame_bits <= MAX_FRAME_BITS:
            raise LocalProtocolError(f"frames must hold 1 to {MAX_FRAME_BITS} bits, asked for {frame_bits}")
        assumed = min(max(qber, 1e-4), 0.25)
        lift = LIFT_STEP * math.ceil(frame_bits / (COLUMNS * LIFT_STEP))
        spread = math.sqrt(frame_bits * assumed * (1.0 - assumed)) * math.log2((1.0 - assumed) / assumed)
        wanted = math.ceil((efficiency * frame_bits * binary_entropy(assumed) + SPREAD * spread) / lift)
        return cls(frame_bits, lift, min(max(wanted, table_rows()[0]), 2 * table_rows()[-1]), assumed)

    @property
    def syndrome_bits(self) -> int:
        """Bits that a frame's syndrome discloses."""
        return self.row_count * self.lift

    @property
    def opening_bits(self) -> int:
        """Bits that a frame discloses at first: its syndrome and its check value."""
        return self.syndrome_bits + CHECK_BITS

    @property
    def code_bits(self) -> int:
        """Bits of a frame with its padding."""
        return COLUMNS * self.lift

    @property
    def disclosure_limit(self) -> int:
        """Most bits that a frame may disclose, all included; beyond, no key is left in it."""
        return max(self.frame_bits, self.opening_bits)


def binary_entropy(rate: float) -> float:
    """Return h(``rate``) in bits, for 0 < ``rate`` < 1."""
    return -rate * math.log2(rate) - (1.0 - rate) * math.log2(1.0 - rate)


def frame_length(bits: int, frame_bits: int) -> tuple[int, int]:
    """Return (frames, bits a frame) of ``bits`` >= 1 bits in the fewest equal frames; the last is zero-padded."""
    frames = math.ceil(bits / frame_bits)
    return frames, math.ceil(bits / frames)


def public_point(seed: bytes) -> np.uint64:
    """Return the point of the check polynomial, from the public seed."""
    drawn = int.from_bytes(hashlib.shake_256(b"ldpc check|" + seed).digest(16), "little")
    return np.uint64(1 + drawn % (PRIME - 1))


@lru_cache(maxsize=4)
def public_order(code_bits: int, seed: bytes) -> npt.NDArray[np.int32]:
    """Return which bit of the padded frame stands at each place of the code, (code_bits,) int32.

    Notes
    -----
    Sorting fixed raw words gives the same permutation with every version of numpy; bursts of errors meet variables
    of all degrees, and so does the padding.
    """
    key = hashlib.shake_256(b"ldpc|" + seed).digest(16)
    draws = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(code_bits)
    order = np.argsort(draws, kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order
