"""The section ``money`` of a link file."""

from typing import Annotated

from pydantic import Field, model_validator

from faintlink.core.config.models import StrictModel

Bias = Annotated[float, Field(ge=0.0, lt=0.5)]
Epsilon = Annotated[float, Field(gt=0.0, lt=1.0)]


class MoneyPolicy(StrictModel):
    """What a bank accepts as a card."""

    pulses: Annotated[int, Field(ge=4, lt=2**26)]
    """Pulses of one card, from the end of the preamble; fixed before the first one."""
    max_error_rate: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Largest share of wrong outcomes that is accepted."""
    pairs: Annotated[int, Field(ge=1, lt=2**25)] = 735_000
    """Pairs of the card: the first so many pairs of pulses that were sent in different bases; one check each."""
    min_answered: Annotated[int, Field(ge=1, lt=2**25)] = 60_000
    """Fewest checked pulses that must be answered; what is missing of ``pairs`` is the loss allowed."""
    branches: Annotated[int, Field(ge=2, le=256)] = 2
    """Branches that verify without asking each other; each takes a card once."""
    bit_bias: Bias = 1e-6
    """Largest |P(bit) - 1/2| of the bank's random source, from its characterisation."""
    mean_photon_uncertainty: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    """By what share the mean photon number may exceed that of the link file."""
    eps_estimate: Epsilon = 1e-6
    """Failure probability of each confidence bound on a measured rate."""
    max_eps_clone: Epsilon = 1e-9
    """Largest probability that two branches accept one card."""
    max_eps_honest: Epsilon = 1e-3
    """Largest probability that an honest card is refused."""

    @model_validator(mode="after")
    def _adds_up(self) -> "MoneyPolicy":
        if 2 * self.pairs > self.pulses:
            raise ValueError(f"{self.pairs} pairs need {2 * self.pairs} pulses at least, there are {self.pulses}")
        if self.min_answered > self.pairs:
            raise ValueError(f"{self.min_answered} checked pulses exceed {self.pairs} pairs")
        return self
