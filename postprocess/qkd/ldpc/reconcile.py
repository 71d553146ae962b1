"""Both parties of LDPC reconciliation in one process; they still exchange bytes and nothing else.

Sources: as `faintlink.postprocess.qkd.ldpc.parties`.
"""

import logging

import numpy as np

from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.cascade.parties import checked_bits
from faintlink.postprocess.qkd.cascade.reconcile import SEED_BYTES, ReconcileReport
from faintlink.postprocess.qkd.ldpc.parameters import (
    DEFAULT_EFFICIENCY,
    MAX_FRAME_BITS,
    MAX_FRAMES,
    LdpcParameters,
    frame_length,
)
from faintlink.postprocess.qkd.ldpc.parties import LdpcAlice, LdpcBob

log = logging.getLogger(__name__)

RUN_BITS = 4 * MAX_FRAME_BITS
"""Bits that go forward together."""


def reconcile_ldpc(
    alice_bits: Bits,
    bob_bits: Bits,
    qber_hint: float,
    entropy: Entropy,
    frame_bits: int = MAX_FRAME_BITS,
    *,
    efficiency: float = DEFAULT_EFFICIENCY,
) -> ReconcileReport:
    """Correct Bob's bits of a block against Alice's with LDPC syndromes.

    Parameters
    ----------
    alice_bits, bob_bits
        The sifted keys, (n,) uint8, n >= 1.
    qber_hint
        Estimated error rate (fraction, 0 to 0.5). One too high costs leak, one too low costs rounds or frames.
    entropy
        Where the public seed of the interleaver comes from.
    frame_bits
        Longest frame in bits; the block is cut into the fewest consecutive frames of equal length.
    efficiency
        Wanted f of the syndrome, >= 1; smaller is slower, and frames that fail cost positions on top.

    Returns
    -------
    ReconcileReport
        Corrected bits and counted costs. Frames given up keep Bob's bits and are counted as ``exhausted_frames``.

    Raises
    ------
    LocalProtocolError
        The keys differ in length, are empty, or the hint is out of range.
    """
    if checked_bits(alice_bits).shape != checked_bits(bob_bits).shape:
        raise LocalProtocolError(f"the keys must have one length, got {alice_bits.size} and {bob_bits.size} bits")
    if not 1 <= frame_bits <= MAX_FRAME_BITS:
        raise LocalProtocolError(f"frames must hold 1 to {MAX_FRAME_BITS} bits, asked for {frame_bits}")
    frames, length = frame_length(bob_bits.size, frame_bits)
    seed = entropy.draw(SEED_BYTES, "ldpc")
    corrected = np.empty_like(bob_bits)
    leaked = messages = errors = exhausted = 0
    step = length * min(MAX_FRAMES, max(1, RUN_BITS // length))
    for start in range(0, bob_bits.size, step):
        run = slice(start, start + step)
        own = frame_length(bob_bits[run].size, length)[1]
        parameters = LdpcParameters.for_qber(qber_hint, own, efficiency)
        alice = LdpcAlice(alice_bits[run], parameters, seed)
        bob = LdpcBob(bob_bits[run], parameters, seed)
        while (request := bob.next_request()) is not None:
            bob.receive(alice.answer(request))
            messages += 1
        corrected[run] = bob.corrected()
        leaked += alice.leaked_bits
        errors += int(np.count_nonzero(corrected[run] != bob_bits[run]))
        exhausted += bob.exhausted_frames
    log.debug("ldpc: %d frames, %d errors, %d bits leaked, %d messages", frames, errors, leaked, messages)
    return ReconcileReport(corrected, leaked, messages, frames, errors, exhausted)
