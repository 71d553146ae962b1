"""The section ``payment`` of a link file."""

from typing import Annotated

from pydantic import Field

from faintlink.core.config.models import StrictModel


class PaymentPolicy(StrictModel):
    """What a bank accepts as a payment."""

    pulses: Annotated[int, Field(ge=1, lt=2**40)]
    """Pulses of one session, from the end of the preamble; fixed before the first one."""
    max_error_rate: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Largest share of wrong outcomes that is accepted."""
