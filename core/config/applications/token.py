"""The section ``token`` of a link file."""

from typing import Annotated

from pydantic import Field, model_validator

from faintlink.core.config.models import Positive, StrictModel

Bias = Annotated[float, Field(ge=0.0, lt=0.5)]
Epsilon = Annotated[float, Field(gt=0.0, lt=1.0)]


class TokenPolicy(StrictModel):
    """What bank and user agreed on, and what a bank accepts as a token."""

    pulses: Annotated[int, Field(ge=1, lt=2**40)]
    """Pulses of one session, from the end of the preamble, all copies together; fixed before the first one."""
    max_error_rate: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Largest share of wrong outcomes that is accepted at a presentation, gamma_err."""
    positions: Annotated[int, Field(ge=2, le=2**22)] = 10_000
    """Detections that the user reports of each copy, no fewer and no more; even, half of them in each basis."""
    point_bits: Annotated[int, Field(ge=1, le=6)] = 1
    """M: there are 2**M presentation points, and as many copies as bits."""
    preparation_angle_deg: Annotated[float, Field(ge=0.0, lt=45.0)] = 5.0
    """Largest misalignment of the two bases of the sender, theta, from its characterisation."""
    basis_bias: Bias = 1e-3
    """Largest |P(basis) - 1/2| of the bank's random source, beta_PB, from its characterisation."""
    bit_bias: Bias = 1e-5
    """Largest |P(bit) - 1/2| of the bank's random source, beta_PS, from its characterisation."""
    choice_bias: Bias = 0.0
    """Largest |P(z) - 1/2| of the user's random source, beta_E; 0 trusts the operating system's."""
    mean_photon_uncertainty: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """By what share the mean photon number may exceed that of the link file."""
    eps_estimate: Epsilon = 1e-6
    """Failure probability of each confidence bound on a measured rate."""
    max_eps_unforgeable: Epsilon = 1e-9
    """Largest probability of a forgery that is accepted."""
    max_eps_honest: Epsilon = 1e-3
    """Largest probability that an honest session fails."""
    has_commitments: bool = True
    """The user commits to its outcomes when the token is issued; hiding them is then a computational assumption."""
    points_distance_km: Positive = 10.0
    """Fibre between two presentation points, over which a cross-check would have to go and come back."""
    group_index: Annotated[float, Field(ge=1.0, lt=3.0)] = 1.468
    """Group index of that fibre."""

    @model_validator(mode="after")
    def _whole_copies(self) -> "TokenPolicy":
        if self.pulses % self.point_bits:
            raise ValueError(f"{self.pulses} pulses do not make {self.point_bits} equal copies")
        if self.positions % 2 or self.positions > self.pulses_per_copy:
            raise ValueError(f"positions must be even and at most {self.pulses_per_copy}, got {self.positions}")
        return self

    @property
    def pulses_per_copy(self) -> int:
        """N: pulses of each copy."""
        return self.pulses // self.point_bits
