"""The section ``transfer`` of a link file."""

from typing import Annotated

from pydantic import Field

from faintlink.core.config.models import StrictModel

Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class TransferPolicy(StrictModel):
    """What both parties of an oblivious transfer agreed on."""

    pulses: Annotated[int, Field(ge=1, lt=2**40)]
    """Pulses of one session, from the end of the preamble; fixed before the first one."""
    detections: Annotated[int, Field(ge=1024, lt=2**26)]
    """Detections of these that enter, N_0: the first so many. With fewer there is no transfer."""
    string_bits: Annotated[int, Field(ge=8, le=4096)] = 128
    """Length of each of the two strings, n."""
    max_error_rate: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Largest share of wrong outcomes among the tested ones, P_max."""
    test_share: Share = 0.35
    """Share of the detections that are tested, alpha."""
    delta_error: Annotated[float, Field(gt=0.0, lt=0.25)] = 9e-3
    """How far the error rate of the others may lie above that of the tested ones, delta_1."""
    delta_basis: Annotated[float, Field(gt=0.0, lt=0.25)] = 3e-3
    """How far the share of equal bases may lie below a half, delta_2."""
    f_ec: Annotated[float, Field(ge=1.0, le=5.0)] = 1.6
    """Most that a syndrome may disclose, over the Shannon limit at P_max + delta_1."""
    max_eps: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-6
    """Largest epsilon towards either party that is accepted."""
