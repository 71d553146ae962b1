"""What a side has found out of its block so far; it survives a refusal, for whoever reports it."""

from dataclasses import dataclass, field

from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.postprocess.node.machine import Settled
from faintlink.postprocess.qkd.stages import StageLog
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.security.result import BoundResult


@dataclass(slots=True, eq=False)
class BlockRecord:
    """What is known of a block; a program fills it as it goes."""

    number: int
    """Of the block."""
    log: StageLog = field(default_factory=StageLog)
    """Reports of the stages that ran."""
    counts: DecoyCounts | None = None
    """Detections and errors, after the test."""
    bound: BoundResult | None = None
    """Key length with every term."""
    ledger: EpsilonLedger = field(default_factory=EpsilonLedger)
    """Every way in which the key may be imperfect."""

    def settled(self, counts: DecoyCounts, key: SecretKey) -> Settled:
        """Return the outcome of a block that made a key."""
        return Settled(self.number, counts, self.bound, self.ledger, tuple(self.log.reports), key, None)
