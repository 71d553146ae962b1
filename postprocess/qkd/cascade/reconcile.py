"""Both parties of Cascade in one process, for analysis and simulation; they still exchange bytes and nothing else.

Sources: as `faintlink.postprocess.kernels.cascade`.
"""

import logging
import math
from dataclasses import dataclass, field

import numpy as np

from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.cascade.parameters import MAX_FRAME_BITS, CascadeParameters, frame_length
from faintlink.postprocess.qkd.cascade.parties import CascadeAlice, CascadeBob, checked_bits

log = logging.getLogger(__name__)

FRAMES_A_RUN = 160
"""Frames that go forward together: one message serves all, and 64 share the cost of a permutation."""
SEED_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class ReconcileReport:
    """What reconciliation did to a block."""

    bits: Bits = field(repr=False)
    """Bob's corrected bits, (n,) uint8; equal to Alice's only if the verification says so."""
    leaked_bits: int
    """Parity bits that crossed from Alice to Bob."""
    messages: int
    """Requests of all runs; a request with its answer is one message, one round trip."""
    frames: int
    """Frames of the block."""
    corrected_errors: int
    """Bits flipped."""
    exhausted_frames: int
    """Frames given up; they still hold errors."""

    @property
    def error_rate(self) -> float:
        """Corrected errors over all bits: the QBER of the block if it verifies."""
        return self.corrected_errors / self.bits.size

    @property
    def efficiency(self) -> float:
        """Leak over the Shannon limit n h(`error_rate`), the field's f; nan without errors."""
        return efficiency(self.leaked_bits, self.corrected_errors, self.bits.size)


def efficiency(leaked: int, errors: int, bits: int) -> float:
    """Return the leak over the Shannon limit of ``errors`` in ``bits``, the field's f; nan without errors."""
    rate = errors / bits
    if not 0.0 < rate < 1.0:
        return math.nan
    entropy = -rate * math.log2(rate) - (1.0 - rate) * math.log2(1.0 - rate)
    return leaked / (bits * entropy)


def reconcile(
    alice_bits: Bits,
    bob_bits: Bits,
    qber_hint: float,
    entropy: Entropy,
    frame_bits: int = MAX_FRAME_BITS,
    *,
    low_message: bool = False,
) -> ReconcileReport:
    """Correct Bob's bits of a block against Alice's with Cascade.

    Parameters
    ----------
    alice_bits, bob_bits
        The sifted keys, (n,) uint8, n >= 1.
    qber_hint
        Estimated error rate (fraction, 0 to 0.5). A wrong one costs leak, or leaves errors to the verification.
    entropy
        Where the public seed of permutations and subsets comes from.
    frame_bits
        Longest frame in bits; the block is cut into the fewest consecutive frames of equal length.
    low_message
        Take `CascadeParameters.low_message`: fewer round trips for more leak.

    Returns
    -------
    ReconcileReport
        Corrected bits and counted costs.

    Raises
    ------
    LocalProtocolError
        The keys differ in length, are empty, or the hint is out of range.
    """
    if checked_bits(alice_bits).shape != checked_bits(bob_bits).shape:
        raise LocalProtocolError(f"the keys must have one length, got {alice_bits.size} and {bob_bits.size} bits")
    frames, length = frame_length(bob_bits.size, frame_bits)
    choose = CascadeParameters.low_message if low_message else CascadeParameters.for_qber
    parameters = choose(qber_hint, length)
    seed = entropy.draw(SEED_BYTES, "cascade")
    corrected = np.empty_like(bob_bits)
    leaked = messages = errors = exhausted = 0
    for start in range(0, bob_bits.size, length * FRAMES_A_RUN):
        run = slice(start, start + length * FRAMES_A_RUN)
        alice = CascadeAlice(alice_bits[run], parameters, seed)
        bob = CascadeBob(bob_bits[run], parameters, seed)
        while (request := bob.next_request()) is not None:
            bob.receive(alice.answer(request))
            messages += 1
        corrected[run] = bob.corrected()
        leaked += alice.leaked_bits
        errors += bob.corrected_errors
        exhausted += bob.exhausted_frames
    log.debug("cascade: %d frames, %d errors, %d bits leaked, %d messages", frames, errors, leaked, messages)
    return ReconcileReport(corrected, leaked, messages, frames, errors, exhausted)
