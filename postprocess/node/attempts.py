"""What both sides keep alike while they reconcile: which bits are left, who corrects them, and what it cost.

The first attempt is about all bits, the second about the frames that did not verify. What still differs then is
opened: see `faintlink.postprocess.qkd.frames`.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Distillation, SecurityPolicy
from faintlink.core.errors import RemoteProtocolError, VerificationFailedError
from faintlink.core.records import DecoyCounts
from faintlink.core.units import Bits
from faintlink.postprocess.qkd import decisions
from faintlink.postprocess.qkd.decisions import Disclosed
from faintlink.postprocess.qkd.frames import frame_costs
from faintlink.postprocess.qkd.reconciliation import Plan, choose
from faintlink.postprocess.qkd.stages import Fact


class Attempts:
    """The course of the attempts; both sides drive it with the same facts.

    Parameters
    ----------
    counts
        Of the block, as known after the test.
    policy, wanted
        Fixed before the block.
    """

    def __init__(self, counts: DecoyCounts, policy: SecurityPolicy, wanted: Distillation) -> None:
        self._policy = policy
        self._wanted = wanted
        self._total = counts.key.bits
        self._hint = decisions.first_hint(counts)
        self._made = 0
        self._flipped = 0.0
        self.left: slice | npt.NDArray[np.int64] = slice(None)
        """Which bits of the key basis are not verified yet."""
        self.disclosed = Disclosed()
        """What all attempts disclosed so far."""
        self.is_done = False
        """Whether no attempt is left to make; bits that are left then must be opened."""
        self._plan_for(self._total)

    def _plan_for(self, bits: int) -> None:
        reconciler = choose(self._wanted, qber=self._hint, bits=bits, block_s=self._policy.block_s)
        self.plan = Plan(reconciler, bits, self._hint)
        self.frames = self.plan.frames() if self._wanted.frame_verification else [slice(0, bits)]
        self.eps_cor = decisions.eps_cor_of_attempt(self._policy)

    def corrected(self, leaked: int, flipped: int) -> None:
        """Count what a reconciliation disclosed; ``flipped`` is what Bob says."""
        self._flipped = min(flipped / self.plan.bits, 1.0)
        self.disclosed = replace(self.disclosed, parities=self.disclosed.parities + leaked)

    def checked(self, agreeing: Bits, facts: dict[str, Fact]) -> None:
        """Take in which frames agree, (m,) uint8, and count the tags with one bit a frame for that.

        Raises
        ------
        RemoteProtocolError
            It is not one verdict a frame.
        VerificationFailedError
            No bit of the block was verified in any attempt.
        """
        if agreeing.size != len(self.frames):
            raise RemoteProtocolError(f"{agreeing.size} verdicts for {len(self.frames)} frames")
        costs = frame_costs(self.frames, eps_cor=self.eps_cor)
        spent = sum(cost.bits for cost in costs) + len(costs)
        self.disclosed = replace(self.disclosed, tag_bits=self.disclosed.tag_bits + spent)
        failed = np.flatnonzero(agreeing == 0)
        facts.update(
            agrees=not failed.size,
            tag_bits=spent,
            collision_bound=sum(cost.collision_bound for cost in costs),
            frames=len(costs),
            failed=failed.size,
        )
        self._go_on([self.frames[int(number)] for number in failed])

    def _go_on(self, failed: list[slice]) -> None:
        self._made += 1
        inside = [np.arange(frame.start, frame.stop) for frame in failed]
        chosen = np.concatenate([np.empty(0, np.int64), *inside])
        self.left = chosen if isinstance(self.left, slice) else self.left[chosen]
        self.is_done = not failed or self._made == decisions.ATTEMPTS
        if not self.is_done:
            self._hint = decisions.second_hint(self._hint, self._flipped)
            self._plan_for(self.left.size)
        elif self.left.size == self._total:
            raise VerificationFailedError(
                f"the keys of {self._total} bits still differ after {decisions.ATTEMPTS} reconciliations",
                hint="the error rate of the key basis may be far from that of the test basis",
            )

    @property
    def to_open(self) -> npt.NDArray[np.int64]:
        """Bits that no attempt verified, (k,) int64; empty while there is an attempt to make."""
        return self.left if self.is_done and not isinstance(self.left, slice) else np.empty(0, np.int64)

    def opened(self, facts: dict[str, Fact]) -> None:
        """Count the opened bits as disclosed, every one."""
        self.disclosed = replace(self.disclosed, opened=self.to_open.size)
        facts.update(opened=self.to_open.size)
