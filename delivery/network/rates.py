"""How much key each link of a network makes: expected counts of its fibre, judged by the security bound itself.

Nothing is assumed of an attack but its error rate: the very bound that grants key to the quiet link refuses it to the
attacked one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from faintlink.delivery.network.config import Devices, FibreLink, SimulatedNetwork
from faintlink.postprocess.security.decoy import LinkModel
from faintlink.postprocess.security.planning import Goal, PlannedPoint, evaluate_at, plan


@dataclass(frozen=True, slots=True)
class LinkRate:
    """What one link makes."""

    between: tuple[str, str]
    protocol: str
    loss_db: float
    """Of the channel, detectors excluded."""
    block_s: float
    block_bits: int
    """Secret bits of a quiet block."""
    qber: float
    attacked_bits: int
    """Secret bits of a block while the link's attack lasts; those of a quiet one where none is to come."""
    attacked_qber: float
    refusal: str
    """Why the attacked block gives no key; empty when it gives some."""

    @property
    def rate_bps(self) -> float:
        """Secret bits per second of the quiet link."""
        return self.block_bits / self.block_s

    @property
    def ends(self) -> frozenset[str]:
        """Its two sites."""
        return frozenset(self.between)


def link_rates(network: SimulatedNetwork) -> tuple[LinkRate, ...]:
    """Return what each link makes, in the order of the file."""
    worst = {frozenset(link.between): 0.0 for link in network.links}
    for mishap in network.simulation.mishaps:
        if mishap.kind == "attack":
            ends = frozenset(mishap.link)
            worst[ends] = max(worst[ends], mishap.intercepted)
    return tuple(_rate(link, network.devices[link.protocol], worst[frozenset(link.between)]) for link in network.links)


def intercepted(error_probability: float, share: float) -> float:
    """Return the chance of a wrong bit when a share of the pulses is measured and sent anew in a random basis.

    In the right basis the error stays; in the wrong one half of the bits are wrong.
    """
    return (1.0 - share) * error_probability + share * (error_probability + 0.5) / 2.0


def _rate(link: FibreLink, devices: Devices, attacked: float) -> LinkRate:
    model = LinkModel(
        devices.db_per_km * link.length_km + link.extra_loss_db,
        detector_efficiency=devices.efficiency,
        # Either detector of a basis may fire.
        dark_count_probability=2.0 * devices.dark_hz * devices.gate_ps * 1e-12,
        error_probability=devices.misalignment,
        pulse_rate_hz=devices.pulse_rate_hz,
        dead_time_ps=1e3 * devices.dead_time_ns,
        f_ec=devices.f_ec,
    )
    goal = Goal(devices.eps_sec, devices.eps_cor)
    quiet = plan(devices.bound, model, goal, block_s=devices.block_s)
    loud = quiet
    if attacked:
        spoilt = replace(model, error_probability=intercepted(devices.misalignment, attacked))
        loud = evaluate_at(devices.bound, spoilt, goal, block_s=devices.block_s, choice=quiet.choice)
    return _link_rate(link, devices, quiet, loud)


def _link_rate(link: FibreLink, devices: Devices, quiet: PlannedPoint, loud: PlannedPoint) -> LinkRate:
    return LinkRate(
        between=link.between,
        protocol=link.protocol.value,
        loss_db=quiet.loss_db,
        block_s=devices.block_s,
        block_bits=quiet.result.length,
        qber=quiet.qber,
        attacked_bits=loud.result.length,
        attacked_qber=loud.qber,
        refusal=loud.result.refusal or "",
    )


def by_ends(rates: Iterable[LinkRate]) -> dict[frozenset[str], LinkRate]:
    """Return links by their two sites."""
    return {rate.ends: rate for rate in rates}
