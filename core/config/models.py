"""The base of every configuration model: strict, frozen, and deaf to unknown keys only by refusing them."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class StrictModel(BaseModel):
    """A model that converts nothing silently, never changes, and refuses keys it does not know."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    described_in: ClassVar[str] = "docs/reference/link-file.md"
    """Page that describes the fields, for errors; that of the link file unless a whole file of its own has another."""


Probability = Annotated[float, Field(ge=0.0, le=1.0)]
"""A number in 0..1."""
OpenProbability = Annotated[float, Field(gt=0.0, lt=1.0)]
"""A number strictly between 0 and 1."""
Positive = Annotated[float, Field(gt=0.0)]
"""A number above zero."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
"""A name of an instrument, stream or role."""
