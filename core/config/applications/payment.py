"""The section ``payment`` of a link file."""

from typing import Annotated

from pydantic import Field, model_validator

from faintlink.core.config.models import StrictModel

Bias = Annotated[float, Field(ge=0.0, lt=0.5)]
Epsilon = Annotated[float, Field(gt=0.0, lt=1.0)]
Merchant = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$")]


class PaymentPolicy(StrictModel):
    """What a bank accepts as a payment."""

    pulses: Annotated[int, Field(ge=1, lt=2**40)]
    """Pulses of one session, from the end of the preamble; fixed before the first one."""
    max_error_rate: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Largest share of wrong outcomes that is accepted."""
    positions: Annotated[int, Field(ge=2, le=2**22)] = 20_000
    """Detections that the client reports, no fewer and no more; what is missing of ``pulses`` is the loss allowed."""
    merchants: Annotated[tuple[Merchant, ...], Field(min_length=2, max_length=256)]
    """Names of the merchants that are registered."""
    min_distance: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.47
    """Least share of the reported positions in which the bases of any two merchants differ."""
    max_checked: Annotated[float, Field(gt=0.5, le=1.0)] = 0.53
    """Largest share of the reported positions that the bank may compare for any merchant."""
    preparation_angle_deg: Annotated[float, Field(ge=0.0, lt=45.0)] = 5.0
    """Largest misalignment of the two bases of the sender, theta, from its characterisation."""
    basis_bias: Bias = 1e-3
    """Largest |P(basis) - 1/2| of the bank's random source, beta_PB, from its characterisation."""
    bit_bias: Bias = 1e-5
    """Largest |P(bit) - 1/2| of the bank's random source, beta_PS, from its characterisation."""
    mean_photon_uncertainty: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """By what share the mean photon number may exceed that of the link file."""
    eps_estimate: Epsilon = 1e-6
    """Failure probability of each confidence bound on a measured rate."""
    max_eps_double: Epsilon = 1e-9
    """Largest probability that two merchants are paid with one session."""
    max_eps_honest: Epsilon = 1e-3
    """Largest probability that an honest payment fails."""

    @model_validator(mode="after")
    def _adds_up(self) -> "PaymentPolicy":
        if self.positions > self.pulses:
            raise ValueError(f"{self.positions} positions exceed {self.pulses} pulses")
        if len(set(self.merchants)) != len(self.merchants):
            raise ValueError("a merchant is named twice")
        return self
