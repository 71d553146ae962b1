"""What a site offers over ETSI GS QKD 014, and how much of it.

Every number here is either told to applications in the status (ETSI GS QKD 014 V1.1.1 table 9), or is a limit that the
standard leaves to the site. Applications written in C read the numbers of the status into 32 bits.
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from faintlink.core.config.models import Positive, StrictModel
from faintlink.delivery.etsi014.extensions import Extension

INT32_MAX = 2**31 - 1
KEY_BITS_STEP = 8
"""Sizes of keys are multiples of it: whole bytes."""
MAX_KEY_BITS = 65_536
MAX_KEYS_A_REQUEST = 1024
"""The C wrapper behind the strongSwan and OpenSSL plug-ins takes no more keys in an answer."""

Bits = Annotated[int, Field(ge=KEY_BITS_STEP, le=MAX_KEY_BITS, multiple_of=KEY_BITS_STEP)]
Count = Annotated[int, Field(ge=1, le=INT32_MAX)]


class RateSettings(StrictModel):
    """How fast one application may ask.

    An application that loses an answer asks again, and each time new keys are made and the lost ones are gone: Arnika
    does so five times within 1.5 s. The limit on keys is what bounds that.
    """

    requests_per_s: Positive = 1000.0
    """Requests of any kind."""
    request_burst: Count = 2000
    """Requests at once after a pause."""
    keys_per_s: Positive = 10_000.0
    """New keys."""
    key_burst: Count = 20_000
    """New keys at once after a pause."""


class Api014Settings(StrictModel):
    """What a site offers, and the limits of a request."""

    key_size: Bits = 256
    """Bits of a key where the application names no size."""
    min_key_size: Bits = 64
    max_key_size: Bits = 1024
    max_key_per_request: Annotated[int, Field(ge=1, le=MAX_KEYS_A_REQUEST)] = 128
    max_key_count: Count = 100_000
    """Most keys that are ever said to be stored."""
    max_sae_id_length: Annotated[int, Field(ge=1, le=1024)] = 64
    """Characters of an application's name; ETSI GS QKD 020 allows 64."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=2**24)] = 65_536
    """A longer request is refused before it is read as JSON."""
    body_within_s: Positive = 10.0
    """A body that takes longer is given up."""
    rate: RateSettings = RateSettings()
    extensions: tuple[Extension, ...] = ()
    """Extensions that applications may ask for."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.min_key_size <= self.key_size <= self.max_key_size:
            raise ValueError(
                f"key_size {self.key_size} must lie within min_key_size {self.min_key_size} "
                f"and max_key_size {self.max_key_size}"
            )
        if self.rate.key_burst < self.max_key_per_request:
            raise ValueError(
                f"rate.key_burst {self.rate.key_burst} must allow max_key_per_request {self.max_key_per_request}"
            )
        return self
