"""Which reconciler corrects a block, and how the block is cut for it: the same on both sides, from public facts.

The single entry to Cascade and LDPC for whatever distils a block. `choose` follows the link file; left to itself it
takes the reconciler that leaks least among those whose round trips are over before the next block is there:

* **Cascade** leaks 1.03 to 1.05 times the Shannon limit between 1 and 11 % (docs/reference/performance.md), and takes
  198 to 671 requests in a row for a run of 64 frames. The number does not follow the error rate steadily, since block
  sizes are powers of two, so the largest stands for all.
* **Cascade with few messages** leaks 1.05 to 1.06 times the limit, for 138 to 176 requests.
* **LDPC** leaks 1.09 to 1.15 times the limit, and mostly takes one request. It is no choice below 1 %, where its codes
  are weak (four requests, a tenth of the speed); nor for short frames, which leak about 1.25 times the limit at 25,600
  bits; nor for more bits than a core decodes while the next block comes, about 5 Mbit/s.

Runs of a block are in flight together, `RUNS_IN_FLIGHT` at a time, so it is the requests of one run that wait for
the line. Waiting costs no key: further blocks are distilled meanwhile. Leak does, so the line has to be slow before
leaking more pays.

Sources: the measured figures of docs/reference/performance.md, section Distillation.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

from faintlink.core.config.link import Distillation
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.asking import Asking
from faintlink.postprocess.qkd.cascade.parameters import MAX_FRAME_BITS as CASCADE_FRAME_BITS
from faintlink.postprocess.qkd.cascade.parameters import CascadeParameters, frame_length
from faintlink.postprocess.qkd.cascade.parties import CascadeAlice, CascadeBob
from faintlink.postprocess.qkd.cascade.reconcile import FRAMES_A_RUN
from faintlink.postprocess.qkd.ldpc.parameters import MAX_FRAME_BITS as LDPC_FRAME_BITS
from faintlink.postprocess.qkd.ldpc.parameters import LdpcParameters
from faintlink.postprocess.qkd.ldpc.parties import LdpcAlice, LdpcBob
from faintlink.postprocess.qkd.ldpc.reconcile import RUN_BITS as LDPC_RUN_BITS

RUNS_IN_FLIGHT = 8
"""Runs that go forward at once; bounds Bob's memory."""
CASCADE_MESSAGES = 671
FEW_MESSAGES = 176
LDPC_LEAST_QBER = 0.01
LDPC_FEWEST_BITS = 200_000
LDPC_BITS_A_SECOND = 5e6


class Reconciler(IntEnum):
    """Who corrects; the number is the code on the wire."""

    CASCADE = 1
    CASCADE_FEW_MESSAGES = 2
    LDPC = 3


_BY_NAME = {
    "cascade": Reconciler.CASCADE,
    "cascade-few-messages": Reconciler.CASCADE_FEW_MESSAGES,
    "ldpc": Reconciler.LDPC,
}


def choose(wanted: Distillation, *, qber: float, bits: int, block_s: float) -> Reconciler:
    """Return who corrects a block; equal on both sides.

    Parameters
    ----------
    wanted
        The link's choice; ``auto`` follows the rule of this module.
    qber
        Estimated error rate (fraction).
    bits
        To correct.
    block_s
        How long a block lasts.
    """
    if wanted.reconciliation != "auto":
        return _BY_NAME[wanted.reconciliation]
    runs = math.ceil(bits / (CASCADE_FRAME_BITS * FRAMES_A_RUN))
    wait_s = math.ceil(runs / RUNS_IN_FLIGHT) * wanted.round_trip_ms * 1e-3
    if CASCADE_MESSAGES * wait_s <= block_s:
        return Reconciler.CASCADE
    can_decode = qber >= LDPC_LEAST_QBER and LDPC_FEWEST_BITS <= bits <= LDPC_BITS_A_SECOND * block_s
    if FEW_MESSAGES * wait_s <= block_s or not can_decode:
        return Reconciler.CASCADE_FEW_MESSAGES
    return Reconciler.LDPC


@dataclass(frozen=True, slots=True)
class Plan:
    """How a reconciler goes about some bits; equal on both sides."""

    reconciler: Reconciler
    """Who corrects."""
    bits: int
    """To correct, at least 1."""
    qber: float
    """Estimated error rate (fraction, 0 to 0.5)."""

    @property
    def purpose(self) -> str:
        """What its public seed is drawn for."""
        return "ldpc" if self.reconciler is Reconciler.LDPC else "cascade"

    @property
    def _longest(self) -> int:
        return LDPC_FRAME_BITS if self.reconciler is Reconciler.LDPC else CASCADE_FRAME_BITS

    def runs(self) -> list[slice]:
        """Return the stretches that go forward each by itself."""
        _, length = frame_length(self.bits, self._longest)
        is_ldpc = self.reconciler is Reconciler.LDPC
        size = length * (max(1, LDPC_RUN_BITS // length) if is_ldpc else FRAMES_A_RUN)
        return [slice(at, min(at + size, self.bits)) for at in range(0, self.bits, size)]

    def frames(self) -> list[slice]:
        """Return the frames of all runs, in order: what goes wrong in one stays in it."""
        _, length = frame_length(self.bits, self._longest)
        found = []
        for run in self.runs():
            _, own = frame_length(run.stop - run.start, length)
            found += [slice(at, min(at + own, run.stop)) for at in range(run.start, run.stop, own)]
        return found

    def answering(self, bits: Bits, seed: bytes) -> CascadeAlice | LdpcAlice:
        """Return Alice's party of a run of ``bits``, (n,) uint8."""
        if self.reconciler is Reconciler.LDPC:
            return LdpcAlice(bits, self._ldpc(bits.size), seed)
        return CascadeAlice(bits, self._cascade(), seed)

    def asking(self, bits: Bits, seed: bytes) -> Asking:
        """Return Bob's party of a run of ``bits``, (n,) uint8."""
        if self.reconciler is Reconciler.LDPC:
            return LdpcBob(bits, self._ldpc(bits.size), seed)
        return CascadeBob(bits, self._cascade(), seed)

    def _cascade(self) -> CascadeParameters:
        few = self.reconciler is Reconciler.CASCADE_FEW_MESSAGES
        build = CascadeParameters.low_message if few else CascadeParameters.for_qber
        return build(self.qber, frame_length(self.bits, CASCADE_FRAME_BITS)[1])

    def _ldpc(self, run_bits: int) -> LdpcParameters:
        _, length = frame_length(self.bits, LDPC_FRAME_BITS)
        return LdpcParameters.for_qber(self.qber, frame_length(run_bits, length)[1])
