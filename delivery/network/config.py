"""The file of a simulated network: sites and links of the relay's file, with fibres, devices, demand and mishaps."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from faintlink.core.config.loader import parse_yaml
from faintlink.core.config.models import OpenProbability, Positive, Probability, StrictModel
from faintlink.core.symbols import Protocol
from faintlink.delivery.ledger.messages import SiteName
from faintlink.delivery.relay.packet import MAX_KEY_BITS
from faintlink.delivery.relay.routes import LinkEntry, NetworkMap, read_text

_LinkProtocol = Literal[Protocol.BB84_DECOY, Protocol.BBM92]
_NotNegative = Annotated[float, Field(ge=0.0)]
_Time = _NotNegative


class FibreLink(LinkEntry):
    """A link with its fibre."""

    protocol: _LinkProtocol
    length_km: Positive
    extra_loss_db: _NotNegative = 0.0
    """Of connectors, switches and filters."""


class Devices(StrictModel):
    """What stands at the ends of all links of one protocol; planning finds the rest."""

    bound: str
    """Security bound that the key length comes from."""
    pulse_rate_hz: Positive
    """Pulses, or coincidence windows, per second."""
    efficiency: Annotated[float, Field(gt=0.0, le=1.0)]
    dark_hz: _NotNegative
    """Of one detector."""
    gate_ps: Positive
    dead_time_ns: _NotNegative
    misalignment: Annotated[float, Field(ge=0.0, le=0.5)]
    db_per_km: _NotNegative = 0.2
    f_ec: Annotated[float, Field(ge=1.0)] = 1.16
    block_s: Positive
    """A key is ready when its block is full."""
    eps_sec: OpenProbability = 1e-9
    eps_cor: OpenProbability = 1e-15


class Demand(StrictModel):
    """What the applications of two sites ask for, on average."""

    between: tuple[SiteName, SiteName]
    keys_per_s: Positive


class Mishap(StrictModel):
    """Something that happens to a link."""

    kind: Literal["outage", "attack"]
    """An outage stops light and messages; an attack stops neither and is noticed by its errors."""
    link: tuple[SiteName, SiteName]
    from_s: _Time
    to_s: _Time
    intercepted: Probability = 1.0
    """Attack: share of the pulses that are measured and sent anew in a random basis."""


class Simulation(StrictModel):
    """How the network is run."""

    duration_s: Positive
    step_s: Positive = 1.0
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    key_bits: Annotated[int, Field(ge=8, le=MAX_KEY_BITS, multiple_of=8)] = 256
    share_reserve: Annotated[int, Field(ge=0, le=99)] = 50
    """Per cent of each link's key that is kept for relay."""
    pool_bits: Annotated[int, Field(ge=256)] = 4_000_000
    """Most that each of a link's two pools holds; what comes beyond is not kept."""
    demands: tuple[Demand, ...]
    mishaps: tuple[Mishap, ...] = ()


class SimulatedNetwork(NetworkMap):
    """The whole file."""

    links: tuple[FibreLink, ...]
    devices: dict[_LinkProtocol, Devices]
    simulation: Simulation

    @model_validator(mode="after")
    def _can_run(self) -> Self:
        faults = list(itertools.chain(self._device_faults(), self._demand_faults(), self._mishap_faults()))
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _device_faults(self) -> Iterator[str]:
        used = {link.protocol for link in self.links}
        yield from (f"devices: none for {protocol}" for protocol in sorted(used - self.devices.keys()))

    def _demand_faults(self) -> Iterator[str]:
        for demand in self.simulation.demands:
            first, second = demand.between
            label = f"demand {first} - {second}"
            yield from (f"{label}: unknown site {name}" for name in demand.between if name not in self.sites)
            if first == second:
                yield f"{label}: its ends are one site"

    def _mishap_faults(self) -> Iterator[str]:
        links = {frozenset(link.between) for link in self.links}
        for mishap in self.simulation.mishaps:
            label = f"{mishap.kind} of {mishap.link[0]} - {mishap.link[1]}"
            if frozenset(mishap.link) not in links:
                yield f"{label}: there is no such link"
            if not mishap.from_s < mishap.to_s:
                yield f"{label}: it ends before it begins"


def load_network(path: Path) -> SimulatedNetwork:
    """Return the network of a YAML file.

    Raises
    ------
    ConfigError
        With every fault in ``faults``.
    """
    return parse_yaml(read_text(path), SimulatedNetwork, str(path))
