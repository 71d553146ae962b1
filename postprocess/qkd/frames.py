"""Verification frame by frame: a frame that stayed wrong costs its leak and loses only itself.

Used after reconciliation where a block consists of many frames; a block of one frame, or a policy without frames,
is the special case m = 1. Nothing here corrects anything: the programs of the two sides try failed frames once
more, and *open* what fails again. Alice tells all bits of such a frame and Bob takes them over.

Accounting, for m frames and a promise eps_cor for everything kept. Each frame is compared with eps_cor / m, so by
the union bound the chance that any kept frame differs is at most eps_cor. All frames share one seed: each frame's
bound holds over the choice of the seed alone, which is drawn after the last correction, and the union bound asks
for no independence. `FrameVerdicts.disclosed_bits` are all tags, m ceil(log2(2 m / eps_cor)) bits: they count as
leaked, and the m verdicts with them, since which frames failed is public and depends on the keys.

Why a lost frame is opened and not dropped. Dropping it, and taking its detections off the counts, looks as if it
cost less, and is not covered by the proofs. They bound the phase errors of the key basis by those of the test
basis because the key basis is a random sample of all detections. The frames that verified are none: they were
chosen by their errors. An eavesdropper who disturbs some stretches in the key basis only, and all others in the
test basis only, has the first dropped and the second kept, with more phase errors among the kept than the test
basis shows. One could charge all phase errors to the kept bits, n' h(E / n') for E errors among n' bits, but
published bounds for decoy states do not come in that form.

An opened frame needs no new argument. The counts stay those of the whole key basis, which nobody chose by its
errors; the phase error estimate and the decoy bounds are untouched. Opening is a further public message of error
correction: a function of Alice's bits with at most 2**k values for a frame of k bits, so by the chain rule it takes
at most that many bits off the min-entropy, like the leak of any parity. The key is hashed from all bits, opened
ones included, for which the leftover hash lemma only asks for the min-entropy of the whole. The parities and tags
of an opened frame follow from its bits and are counted all the same: more than needed is safe. Errors found in
opened frames count in the error rate of the key basis.

What remains open is what is open of interactive reconciliation as such: that the leak is known only afterwards (a
proof for fixed lengths wants the policy's ``leak_max``, which opened bits count towards), and that Bob's words
depend on where the errors are. Tupkary and Lütkenhaus treat the latter for Cascade; whether their treatment covers
verdicts has not been checked, so each verdict counts as a bit.

Sources: as `faintlink.postprocess.qkd.verify`; D. Tupkary, N. Lütkenhaus, arXiv:2307.00576 (Cascade in proofs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.entropy import Entropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.verify import VerificationCost, tags_agree, verification_tag


@dataclass(frozen=True, slots=True, eq=False)
class FrameVerdicts:
    """Which frames agree, and what it cost to know."""

    agreeing: npt.NDArray[np.bool_]
    """(m,): whether the parties' frames are equal, up to ``collision_bound``."""
    disclosed_bits: int
    """Bits of all tags."""
    collision_bound: float
    """Chance that any frame called equal is not, at most."""

    @property
    def failed(self) -> list[int]:
        """Numbers of the frames that differ."""
        return [int(number) for number in np.flatnonzero(~self.agreeing)]

    def kept(self, frame_slices: Sequence[slice], n: int) -> npt.NDArray[np.bool_]:
        """Return which of ``n`` bits lie in frames that agree, (n,) bool."""
        mask = np.zeros(n, np.bool_)
        for frame, agrees in zip(frame_slices, self.agreeing, strict=True):
            mask[frame] = agrees
        return mask


def slices_of(n: int, length: int) -> list[slice]:
    """Return the consecutive frames of ``length`` >= 1 bits that ``n`` bits are cut into; the last may be shorter."""
    if length < 1:
        raise LocalProtocolError(f"a frame must hold at least 1 bit, got {length}")
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def frame_costs(frame_slices: Sequence[slice], *, eps_cor: float) -> list[VerificationCost]:
    """Return what verifying each frame costs so that all together keep ``eps_cor``.

    Raises
    ------
    LocalProtocolError
        There is no frame, frames overlap or are not in order, or ``eps_cor`` is not in (0, 1).
    """
    if not frame_slices:
        raise LocalProtocolError("there is no frame to verify", hint="cut the block with slices_of()")
    stop = 0
    for number, frame in enumerate(frame_slices):
        first = frame.start if isinstance(frame.start, int) else -1
        last = frame.stop if isinstance(frame.stop, int) else -1
        if not stop <= first < last or frame.step not in (None, 1):
            raise LocalProtocolError(
                f"frame {number} must be a non-empty ascending slice from {stop} on, got {frame}",
                hint="frames may neither overlap nor be empty: each bit is judged once",
            )
        stop = last
    share = eps_cor / len(frame_slices)
    return [VerificationCost.for_key(share, frame.stop - frame.start) for frame in frame_slices]


def frame_seed_bytes(frame_slices: Sequence[slice], *, eps_cor: float) -> int:
    """Return the bytes of the seed that all frames share: what the most demanding frame takes."""
    return max(cost.seed_bytes for cost in frame_costs(frame_slices, eps_cor=eps_cor))


def frame_tags(bits: Bits, frame_slices: Sequence[slice], seed: bytes, *, eps_cor: float) -> list[bytes]:
    """Return one party's tag of each frame.

    Parameters
    ----------
    bits
        The corrected key, (n,) uint8.
    frame_slices
        Its frames in order, without overlap; equal at both parties.
    seed
        ``frame_seed_bytes(frame_slices, eps_cor=eps_cor)`` bytes, drawn after the last correction.
    eps_cor
        Chance that any frame that differs may pass.
    """
    costs = frame_costs(frame_slices, eps_cor=eps_cor)
    if frame_slices[-1].stop > bits.size:
        raise LocalProtocolError(f"the last frame ends at {frame_slices[-1].stop}, the key at {bits.size}")
    needed = max(cost.seed_bytes for cost in costs)
    if len(seed) != needed:
        raise LocalProtocolError(f"the seed for these frames has {needed} bytes, got {len(seed)}")
    share = eps_cor / len(costs)
    return [
        verification_tag(bits[frame], seed[: cost.seed_bytes], eps_cor=share)
        for frame, cost in zip(frame_slices, costs, strict=True)
    ]


def compare_frames(
    ours: Sequence[bytes], theirs: Sequence[bytes], frame_slices: Sequence[slice], *, eps_cor: float
) -> FrameVerdicts:
    """Return which frames agree by both parties' tags.

    Raises
    ------
    RemoteProtocolError
        The numbers of tags differ from the number of frames.
    """
    costs = frame_costs(frame_slices, eps_cor=eps_cor)
    if not len(ours) == len(theirs) == len(costs):
        raise RemoteProtocolError(f"expected {len(costs)} tags of frames, got {len(ours)} and {len(theirs)}")
    agreeing = np.array([tags_agree(mine, other) for mine, other in zip(ours, theirs, strict=True)], np.bool_)
    return FrameVerdicts(agreeing, sum(cost.bits for cost in costs), sum(cost.collision_bound for cost in costs))


def verify_frames(
    alice_bits: Bits, bob_bits: Bits, frame_slices: Sequence[slice], *, eps_cor: float, entropy: Entropy
) -> FrameVerdicts:
    """Compare both keys of one process frame by frame; see the module for what it costs.

    Raises
    ------
    LocalProtocolError
        The keys differ in length, or the frames are not frames of them.
    """
    if alice_bits.shape != bob_bits.shape:
        raise LocalProtocolError(f"the keys must have one length, got {alice_bits.size} and {bob_bits.size} bits")
    seed = entropy.draw(frame_seed_bytes(frame_slices, eps_cor=eps_cor), "verification")
    alice, bob = (frame_tags(bits, frame_slices, seed, eps_cor=eps_cor) for bits in (alice_bits, bob_bits))
    return compare_frames(alice, bob, frame_slices, eps_cor=eps_cor)
