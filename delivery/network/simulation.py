"""A network over hours in discrete time: blocks come in, applications ask, keys go direct or hop by hop.

Each link has two pools, as a site's store has: one for keys between its own ends, one in reserve for relay. A request
between neighbours takes from the first. Any other goes over the first route whose links all stand and whose reserves
all suffice, and pays on each hop what the relay really pays. Both directions of a link share its pools here, so what a
store's cut keeps apart by direction is pooled.

A pure function of the network, the rates and the seed. A block that ends during an outage brings only the part that was
recorded before; a block in which an attack fell at any time brings what the attacked block would bring.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.delivery.keystore.model import UNIT_BITS
from faintlink.delivery.network.config import Demand, Mishap, SimulatedNetwork, Simulation
from faintlink.delivery.network.rates import LinkRate
from faintlink.delivery.relay.routes import Route, RouteTable, hops
from faintlink.delivery.relay.supply import units_per_hop

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class History:
    """What happened. Arrays run over (steps, links) or (steps, demands)."""

    times_s: npt.NDArray[np.float64]
    """(steps,) float64, ends of the steps."""
    own_bits: Counts
    """(steps, links) int64: pool for keys between a link's own ends."""
    reserve_bits: Counts
    """(steps, links) int64: pool for relay."""
    made_bits: Counts
    """(steps, links) int64: key that came in, what did not fit included."""
    lost_bits: Counts
    """(steps, links) int64: what did not fit."""
    used_bits: Counts
    """(steps, links) int64: what was taken from both pools."""
    asked: Counts
    """(steps, demands) int64: keys."""
    direct: Counts
    """(steps, demands) int64: keys of the pair's own link."""
    relayed: Counts
    """(steps, demands) int64: keys over the usual route."""
    rerouted: Counts
    """(steps, demands) int64: keys over another route, or relayed although a link joins the ends."""

    @property
    def refused(self) -> Counts:
        """(steps, demands) int64: keys that were asked for and not given."""
        return self.asked - self.direct - self.relayed - self.rerouted


def simulate(network: SimulatedNetwork, rates: Sequence[LinkRate]) -> History:
    """Return what happens in a network whose links make key at ``rates``, in the order of its file."""
    run = _Run(network, rates)
    for step in range(run.steps):
        run.advance(step)
    return run.history


class _Run:
    def __init__(self, network: SimulatedNetwork, rates: Sequence[LinkRate]) -> None:
        self._sim: Simulation = network.simulation
        self._rates = rates
        self._index = {rate.ends: at for at, rate in enumerate(rates)}
        self._table = RouteTable.of(network)
        self._random = np.random.Generator(np.random.PCG64(self._sim.seed))
        self._ways: dict[tuple[Demand, frozenset[frozenset[str]]], list[Route]] = {}
        self._own = np.zeros(len(rates), np.int64)
        self._reserve = np.zeros(len(rates), np.int64)
        self._recorded_s = np.zeros(len(rates))
        self._is_spoilt = np.zeros(len(rates), bool)
        self.steps = max(1, round(self._sim.duration_s / self._sim.step_s))
        self.history = _empty(self.steps, len(rates), len(self._sim.demands), self._sim.step_s)

    def advance(self, step: int) -> None:
        """Take one step."""
        begin, end = step * self._sim.step_s, (step + 1) * self._sim.step_s
        at_work = [mishap for mishap in self._sim.mishaps if mishap.from_s < end and begin < mishap.to_s]
        down = frozenset(frozenset(mishap.link) for mishap in at_work if mishap.kind == "outage")
        self._make(step, at_work, down)
        wanted = self._random.poisson([demand.keys_per_s * self._sim.step_s for demand in self._sim.demands])
        # Who comes first in a step changes, so that a short pool favours nobody.
        for at in self._random.permutation(len(wanted)):
            self._serve(step, int(at), int(wanted[at]), down)
        self.history.own_bits[step], self.history.reserve_bits[step] = self._own, self._reserve

    def _make(self, step: int, at_work: Sequence[Mishap], down: frozenset[frozenset[str]]) -> None:
        attacked = {frozenset(mishap.link) for mishap in at_work if mishap.kind == "attack"}
        for at, rate in enumerate(self._rates):
            self._recorded_s[at] += 0.0 if rate.ends in down else self._sim.step_s
            self._is_spoilt[at] |= rate.ends in attacked
            now, before = ((step + extra) * self._sim.step_s // rate.block_s for extra in (1, 0))
            if now == before:
                continue
            bits = rate.attacked_bits if self._is_spoilt[at] else rate.block_bits
            self._store(step, at, int(bits * min(1.0, self._recorded_s[at] / rate.block_s)))
            self._recorded_s[at], self._is_spoilt[at] = 0.0, False

    def _store(self, step: int, at: int, bits: int) -> None:
        for_relay = bits * self._sim.share_reserve // 100
        kept = 0
        for pool, share in ((self._reserve, for_relay), (self._own, bits - for_relay)):
            fits = min(share, self._sim.pool_bits - int(pool[at]))
            pool[at] += fits
            kept += fits
        self.history.made_bits[step, at] += bits
        self.history.lost_bits[step, at] += bits - kept

    def _serve(self, step: int, at: int, number: int, down: frozenset[frozenset[str]]) -> None:
        demand, history = self._sim.demands[at], self.history
        history.asked[step, at] += number
        link = self._index.get(frozenset(demand.between))
        if link is not None and frozenset(demand.between) not in down:
            given = min(number, int(self._own[link]) // self._key_bits)
            self._use(step, link, self._own, given * self._key_bits)
            history.direct[step, at] += given
            number -= given
        usual = self._routes(demand, frozenset())
        for route in self._routes(demand, down):
            given = self._relay(step, route, number)
            is_usual = link is None and route == usual[0]
            (history.relayed if is_usual else history.rerouted)[step, at] += given
            number -= given

    def _relay(self, step: int, route: Route, number: int) -> int:
        links = [self._index[hop] for hop in hops(route)]
        units = min(int(self._reserve[link]) for link in links) // UNIT_BITS
        spare = units - units_per_hop(0, self._sim.key_bits)
        given = min(number, max(0, spare * UNIT_BITS // self._sim.key_bits))
        if given:
            for link in links:
                self._use(step, link, self._reserve, units_per_hop(given, self._sim.key_bits) * UNIT_BITS)
        return given

    def _use(self, step: int, link: int, pool: Counts, bits: int) -> None:
        pool[link] -= bits
        self.history.used_bits[step, link] += bits

    def _routes(self, demand: Demand, down: frozenset[frozenset[str]]) -> list[Route]:
        if (demand, down) not in self._ways:
            self._ways[demand, down] = [
                route for route in self._table.routes(*demand.between, without=down) if len(route) > 2
            ]
        return self._ways[demand, down]

    @property
    def _key_bits(self) -> int:
        return -(-self._sim.key_bits // UNIT_BITS) * UNIT_BITS


def _empty(steps: int, links: int, demands: int, step_s: float) -> History:
    by_link = [np.zeros((steps, links), np.int64) for _ in range(5)]
    by_demand = [np.zeros((steps, demands), np.int64) for _ in range(4)]
    return History((step_s * np.arange(1, steps + 1)).astype(np.float64), *by_link, *by_demand)
