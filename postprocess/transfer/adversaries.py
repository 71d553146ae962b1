"""Dishonest parties for rehearsals and tests of transfers; none of them is used in earnest.

Sources: own; what each is caught by is in `faintlink.postprocess.transfer.security`.
"""

import numpy as np

from faintlink.core.config.applications.transfer import TransferPolicy
from faintlink.core.entropy import Entropy
from faintlink.core.units import Bits
from faintlink.postprocess.transfer.messages import Kind, message, packed_size
from faintlink.postprocess.transfer.parties import TransferReceiver, TransferSender, syndrome_bits

ATTACKS = ("none", "delay-measurement", "lie-in-commitment", "spoil-syndrome")


def random_bits(count: int, entropy: Entropy) -> Bits:
    """Return (count,) uint8 random bits."""
    return np.unpackbits(np.frombuffer(entropy.draw((count + 7) // 8, "adversary"), np.uint8))[:count]


class DelayingReceiver(TransferReceiver):
    """Keeps a share of the pulses in a quantum memory until the bases are known, and commits to guesses for these.

    Its outcomes, given to the constructor, are those after measuring the kept ones, the first of the session, in the
    sender's bases. A guess of bit and basis is wrong in half of the tested positions where the basis happens to fit,
    so that the test finds half the share as errors.
    """

    def __init__(
        self, policy: TransferPolicy, bit: Bits, basis: Bits, choice: int, entropy: Entropy, *, share: float = 1.0
    ) -> None:
        super().__init__(policy, bit, basis, choice, entropy)
        kept = np.zeros(bit.size, np.bool_)
        kept[: round(share * bit.size)] = True
        self._claimed_bit = np.where(kept, random_bits(bit.size, entropy), bit).astype(np.uint8)
        self._claimed_basis = np.where(kept, random_bits(bit.size, entropy), basis).astype(np.uint8)

    def claimed(self) -> tuple[Bits, Bits]:
        """Return guesses for what was not measured yet."""
        return self._claimed_bit, self._claimed_basis


class LyingReceiver(TransferReceiver):
    """Opens some commitments to the other bit, as one would to hide errors."""

    lies = 1

    def openings(self, request: bytes) -> bytes:
        """Return openings of which the first ``lies`` are not those that were committed to."""
        honest = bytearray(super().openings(request))
        at = 1 + self._sizes.test * 16
        for position in range(self.lies):
            honest[at + position // 8] ^= 0x80 >> position % 8
        return bytes(honest)


class SpoilingSender(TransferSender):
    """Spoils the syndrome of the second string, to learn the choice from whether the receiver complains."""

    def syndromes(self, sets: bytes) -> bytes:
        """Return syndromes of which the second is noise."""
        honest = super().syndromes(sets)
        size = packed_size(syndrome_bits(self._policy))
        return honest[:-size] + bytes(byte ^ 0xA5 for byte in honest[-size:-1]) + honest[-1:]


def biased_sender_bits(count: int, share_z: float, entropy: Entropy) -> Bits:
    """Return bases (count,) uint8 of a sender that plays Z with a probability of ``share_z``."""
    labels = np.frombuffer(entropy.draw(8 * count, "adversary"), "<u8")
    return (labels >= np.uint64(min(2**64 - 1, int(share_z * 2**64)))).astype(np.uint8)


def short_commitments(commitments: bytes) -> bytes:
    """Return a message of commitments that lacks its last byte."""
    return message(Kind.COMMITMENTS, commitments[1:-1])
