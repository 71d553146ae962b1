"""A small network for tests: a square with one diagonal, and rates that need no planning."""

from collections.abc import Sequence

from faintlink.core.config.loader import parse_yaml
from faintlink.delivery.network.config import SimulatedNetwork
from faintlink.delivery.network.rates import LinkRate

DEVICES = """
devices:
  bb84-decoy: {bound: rusca2018, pulse_rate_hz: 80e6, efficiency: 0.1, dark_hz: 500, gate_ps: 1000,
               dead_time_ns: 100, misalignment: 0.01, block_s: 10}
  bbm92: {bound: tomamichel2012, pulse_rate_hz: 8e8, efficiency: 0.2, dark_hz: 500, gate_ps: 1200,
          dead_time_ns: 50, misalignment: 0.01, block_s: 10}
"""
MAP = """
format: faintlink.network/1
name: square
sites: {a: {}, b: {}, c: {}, d: {}}
links:
  - {between: [a, b], protocol: bb84-decoy, length_km: 10}
  - {between: [b, c], protocol: bb84-decoy, length_km: 10}
  - {between: [c, d], protocol: bbm92, length_km: 10}
  - {between: [d, a], protocol: bbm92, length_km: 10}
"""


def network(simulation: str, *, devices: str = DEVICES) -> SimulatedNetwork:
    """Return the square with a section ``simulation``."""
    return parse_yaml(MAP + devices + simulation, SimulatedNetwork, "square.yaml")


def rates(of: SimulatedNetwork, bits: Sequence[int], *, attacked: int = 0, block_s: float = 10.0) -> list[LinkRate]:
    """Return made-up rates: secret bits of a block of each link."""
    return [
        LinkRate(link.between, link.protocol.value, 2.0, block_s, block, 0.01, attacked, 0.15, "")
        for link, block in zip(of.links, bits, strict=True)
    ]
