"""What both sides of a block agreed on before it, and the stages in which they do the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from faintlink.core.config.link import Distillation, PulsedSource, SecurityPolicy
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.node.record import BlockRecord
from faintlink.postprocess.qkd import decisions
from faintlink.postprocess.qkd.decisions import Disclosed
from faintlink.postprocess.qkd.hash_families import FAMILIES, HashFamily
from faintlink.postprocess.qkd.monitors import MonitorReading


@dataclass(frozen=True, slots=True)
class Terms:
    """Fixed before the block, the same on both sides."""

    policy: SecurityPolicy
    """What may become key."""
    distillation: Distillation = field(default_factory=Distillation)
    """Who corrects and how it is verified."""
    family: HashFamily = FAMILIES["toeplitz"]
    """What amplifies the key."""
    intensities: tuple[float, ...] = ()
    """Of the source, brightest first; empty for a pair source."""
    probabilities: tuple[float, ...] = ()
    """How often each is played."""

    def __post_init__(self) -> None:
        decisions.heed_policy(self.policy)

    @classmethod
    def of_source(
        cls, source: PulsedSource | None, policy: SecurityPolicy, distillation: Distillation, family: HashFamily
    ) -> "Terms":
        """Return the terms of a link with this source; None is a source of pairs."""
        played = (source.intensities, source.probabilities) if source else ((), ())
        return cls(policy, distillation, family, *played)

    @property
    def levels(self) -> int:
        """Number of intensities that are told apart; 1 for a pair source."""
        return max(len(self.intensities), 1)

    def accept(self, counts: DecoyCounts, readings: Sequence[MonitorReading], record: BlockRecord) -> None:
        """Refuse a block by the monitors or by its test basis, before anything of the key basis is disclosed.

        Raises
        ------
        SecurityAbort
            Why the block makes no key.
        ConfigError
            The hash family cannot amplify a block of this size here.
        """
        record.counts = counts
        with record.log.stage("monitor") as facts:
            facts.update(readings=len(readings), objections=sum(reading.objects for reading in readings))
            decisions.heed_monitors(readings, self.policy)
        with record.log.stage("estimate") as facts:
            facts.update(n_key=counts.key.bits, n_test=counts.test.bits, qber_test=counts.test.rate)
            decisions.accept_test(counts, self.policy)
        self.family.check(counts.key.bits)

    def decide_length(self, counts: DecoyCounts, disclosed: Disclosed, record: BlockRecord) -> int:
        """Return the length of the key, at least 1; counts are final.

        Raises
        ------
        SecurityAbort
            There is no key.
        """
        record.counts = counts
        decisions.accept_key(counts, self.policy)
        with record.log.stage("bound") as facts:
            given = decisions.bound_input(
                counts, disclosed, self.policy, intensities=self.intensities, probabilities=self.probabilities
            )
            bound = record.bound = decisions.key_length(given, self.policy)
            facts.update(bound=bound.bound, length=bound.length, label=bound.label)
            record.ledger = decisions.accept_length(bound, given, self.policy)
        return bound.length
