"""The part of ``kme.yaml`` that names a site's crypto officers, of whom two must want every change of its trust."""

from typing import Annotated

from pydantic import Field, field_validator

from faintlink.core.config.models import StrictModel

OfficerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
OfficerUrn = Annotated[str, Field(pattern=r"^urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[!-~]{1,200}$")]


class Officers(StrictModel):
    """Whose approvals count. Files are in the folder."""

    authority: str
    """Their certificates are of this authority, which is neither the applications' nor the sites'."""
    revoked: str
    """List of revoked certificates of that authority."""
    enrolled: Annotated[dict[OfficerName, OfficerUrn], Field(min_length=2)]
    """Two or more persons, and whom their certificates name."""

    @field_validator("enrolled")
    @classmethod
    def _are_different(cls, enrolled: dict[str, str]) -> dict[str, str]:
        if len(set(enrolled.values())) != len(enrolled):
            raise ValueError("two officers have the same URN")
        return enrolled
