"""What a site must know of a foreign device at its side of a link."""

import ssl
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from faintlink.core.config.models import Positive, StrictModel
from faintlink.core.errors import ConfigError
from faintlink.delivery.etsi014.source import PoolAgreement


class ForeignDevice(StrictModel):
    """A device at this site whose keys become stock; the other site names the other end of the same pair."""

    role: Literal["master", "slave"]
    """The master's site pulls new keys and tells the slave's site their names."""
    url: Annotated[str, Field(pattern=r"^https://[^/?#@\s]+$")]
    """Of the device."""
    certificate: str
    """What this site shows to the device, as one of its applications; paths as everywhere relative to the folder."""
    key: str
    authority: str
    """Of the device's certificate."""
    agreement: PoolAgreement
    """The same at both sites."""
    pull_every_s: Positive = 10.0
    """How often the stock is looked at."""
    enough_units: Annotated[int, Field(ge=1)] = 10_000
    """Stock for applications, both ways, from which on nothing is pulled."""

    def context(self, folder: Path) -> ssl.SSLContext:
        """Return what this site speaks to the device.

        Raises
        ------
        ConfigError
            A file cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=str(folder / self.authority))
            context.load_cert_chain(folder / self.certificate, folder / self.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"the certificates for {self.url} cannot be used: {error}", hint="ask the device's operator for them"
            ) from None
        return context
