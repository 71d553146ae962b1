"""The section ``bqc`` of a link file."""

from typing import Annotated

from pydantic import Field

from faintlink.core.config.models import StrictModel


class BqcPolicy(StrictModel):
    """What the clients of a blind computation agreed on."""

    computation_rounds: Annotated[int, Field(ge=1, lt=2**31)]
    """Rounds that compute."""
    test_rounds: Annotated[int, Field(ge=1, lt=2**31)]
    """Rounds that test."""
    max_failed_tests: Annotated[int, Field(ge=0)]
    """More failed test rounds than that, and the result is refused."""
