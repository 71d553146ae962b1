"""What the parties of a Cascade run agree on in public: block sizes, permutations, random subsets.

Both derive them from the QBER estimate, the frame length and one public seed. The seed needs no secrecy and must
only be chosen after sifting, so that no error pattern can have been fitted to it.

Sources: Martinez-Mateo et al., Quantum Inf. Comput. 15 (2015) 453 (powers of two, long later blocks, random subsets);
the factors are tuned with this implementation, see tests/benchmarks/bench_distillation.py.
"""

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError
from faintlink.postprocess.kernels.cascade import PASSES, SUBSET_COUNT, Layout
from faintlink.postprocess.kernels.parity import WORD_BITS, Words, shuffled

MAX_FRAME_BITS = 65_536
THIRD_BLOCK = 8_192
WIDE_SECOND_BELOW = 0.78
"""Below this product of first block and QBER, pass 1 takes blocks eight times as long, otherwise four times. A larger
value leaks up to 0.01 n h less between it and 0.9, for twice the messages and a tenth of the time more."""
_COARSE_ABOVE = 0.051


@dataclass(frozen=True, slots=True)
class CascadeParameters:
    """Public parameters of a Cascade run; equal at both parties."""

    frame_bits: int
    """Longest frame, 1 … 65,536 bits; a run is cut into frames of equal length."""
    first_block: int
    """Block size of pass 0, about 1 / QBER."""
    second_block: int
    """Block size of pass 1."""
    third_block: int
    """Block size of pass 2."""

    def __post_init__(self) -> None:
        if not 1 <= self.frame_bits <= MAX_FRAME_BITS:
            raise LocalProtocolError(f"frames must hold 1 to {MAX_FRAME_BITS} bits, asked for {self.frame_bits}")
        if min(self.first_block, self.second_block, self.third_block) < 1:
            raise LocalProtocolError(f"blocks must hold at least 1 bit, got {self}")

    @classmethod
    def for_qber(cls, qber: float, frame_bits: int = MAX_FRAME_BITS) -> "CascadeParameters":
        """Return the parameters for an estimated error rate (fraction, 0 to 0.5)."""
        if not 0.0 <= qber <= 0.5:
            raise LocalProtocolError(f"the QBER hint must lie in 0 to 0.5, got {qber}")
        first = first_block(qber)
        factor = 8 if first * qber < WIDE_SECOND_BELOW else 4
        return cls(frame_bits, first, min(factor * first, THIRD_BLOCK), THIRD_BLOCK)

    @classmethod
    def low_message(cls, qber: float, frame_bits: int = MAX_FRAME_BITS) -> "CascadeParameters":
        """Return parameters for links where each round trip is dear.

        At 1 to 11 % a run of 64 frames of 65,536 bits takes at most about 200 messages, a half to a quarter of
        `for_qber`'s, at an efficiency f of about 1.06 at most. A message is a request with its answer, one round trip.

        Parameters
        ----------
        qber
            Estimated error rate (fraction, 0 to 0.5).
        frame_bits
            Longest frame.

        Notes
        -----
        Short second blocks leave few errors to the third pass, whose long ranges take a message a halving. The
        factors are scanned; see tests/benchmarks/bench_distillation.py.
        """
        usual = cls.for_qber(qber, frame_bits)
        if qber * THIRD_BLOCK <= 1.0:
            return usual
        if qber > _COARSE_ABOVE:  # there the powers of two lie too far from the best size
            first = max(2, round(0.85 / qber))
            return cls(frame_bits, first, 3 * first, THIRD_BLOCK)
        first = 1 << round(math.log2(0.8 / qber))
        return cls(frame_bits, first, min(first * max(2, round(2.3 / (qber * first))), THIRD_BLOCK), THIRD_BLOCK)


def first_block(qber: float) -> int:
    """Return the block size of pass 0: the power of two nearest to 1 / QBER on a logarithmic scale.

    Notes
    -----
    Powers of two need no uneven halves, and scans at 1 to 11 % found none better.
    """
    if qber * THIRD_BLOCK <= 1.0:
        return THIRD_BLOCK
    return 1 << max(1, round(-math.log2(qber)))


def frame_length(bits: int, frame_bits: int) -> tuple[int, int]:
    """Return (frames, bits a frame) of ``bits`` >= 1 bits in the fewest equal frames; the last is zero-padded."""
    frames = math.ceil(bits / frame_bits)
    return frames, math.ceil(bits / frames)


def _raw_words(seed: bytes, label: str, count: int) -> Words:
    # The raw words of Philox4x64-10 are fixed by its definition, unlike those of numpy's Generator methods.
    key = hashlib.shake_256(b"cascade|" + label.encode() + b"|" + seed).digest(16)
    generator = np.random.Philox(key=int.from_bytes(key, "little"))
    return np.asarray(generator.random_raw(count), dtype=np.uint64)


@lru_cache(maxsize=4)
def public_layout(parameters: CascadeParameters, length: int, seed: bytes) -> tuple[Layout, npt.NDArray[np.uint16]]:
    """Return the cuts of frames of ``length`` bits.

    Returns
    -------
    tuple
        The layout, and the position in the frame of the bit at each place of each pass, (3, n) uint16.
    """
    interleaver = shuffled(_raw_words(seed, "interleave", length))
    forward = np.empty((PASSES, length), np.uint16)
    inverse = np.empty((PASSES, length), np.uint16)
    places = np.arange(length, dtype=np.uint16)
    forward[0] = places
    for chosen in range(1, PASSES):
        forward[chosen] = shuffled(_raw_words(seed, f"pass {chosen}", length))
    for chosen in range(PASSES):
        inverse[chosen, forward[chosen]] = places
    width = math.ceil(length / WORD_BITS)
    masks = _raw_words(seed, "subsets", SUBSET_COUNT * width + 1)
    blocks = np.array([parameters.first_block, parameters.second_block, parameters.third_block], np.int64)
    maps = np.concatenate((forward.reshape(-1), inverse.reshape(-1)))
    layout = Layout(maps, interleaver, masks, np.minimum(blocks, length))
    order = interleaver[forward]
    for shared in (*layout, order):
        shared.flags.writeable = False
    return layout, order
