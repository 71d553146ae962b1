"""Networks in numbers: a simulated one as a JSON object, and either kind as the tables that the command prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faintlink.delivery.network.config import SimulatedNetwork
from faintlink.delivery.network.rates import LinkRate
from faintlink.delivery.network.simulation import History

if TYPE_CHECKING:
    from rich.table import Table


def summary(network: SimulatedNetwork, rates: Sequence[LinkRate], history: History) -> dict[str, Any]:
    """Return what each link made and each pair of sites got, with totals."""
    demands = [
        {
            "between": list(demand.between),
            **{
                name: int(getattr(history, name)[:, at].sum())
                for name in ("asked", "direct", "relayed", "rerouted", "refused")
            },
        }
        for at, demand in enumerate(network.simulation.demands)
    ]
    return {
        "network": network.name,
        "seed": network.simulation.seed,
        "duration_s": float(history.times_s[-1]),
        "links": [_link(rate, history, at) for at, rate in enumerate(rates)],
        "demands": demands,
        "keys": {name: int(getattr(history, name).sum()) for name in ("asked", "direct", "relayed", "rerouted")},
    }


def _link(rate: LinkRate, history: History, at: int) -> dict[str, Any]:
    return {
        "between": list(rate.between),
        "protocol": rate.protocol,
        "loss_db": round(rate.loss_db, 6),
        "qber": rate.qber,
        "rate_bps": rate.rate_bps,
        "attacked_qber": rate.attacked_qber,
        "attacked_rate_bps": rate.attacked_bits / rate.block_s,
        "refusal": rate.refusal,
        "made_bits": int(history.made_bits[:, at].sum()),
        "used_bits": int(history.used_bits[:, at].sum()),
        "not_kept_bits": int(history.lost_bits[:, at].sum()),
        "left_bits": int(history.own_bits[-1, at] + history.reserve_bits[-1, at]),
    }


def tables(figures: dict[str, Any]) -> "list[Table]":
    """Return the tables of `summary`."""
    from rich.table import Table

    links = Table(title=f"links of {figures['network']}; key made, used and left in Mbit", title_justify="left")
    for column in ("link", "protocol", "QBER", "kbit/s", "attacked", "made", "used", "left"):
        links.add_column(column, justify="left" if column in ("link", "protocol") else "right", no_wrap=True)
    for link in figures["links"]:
        links.add_row(" - ".join(link["between"]), link["protocol"], *_numbers(link))
    demands = Table(title=f"keys asked for in {figures['duration_s']:g} s", title_justify="left")
    for column in ("between", "asked", "direct", "relayed", "rerouted", "refused"):
        demands.add_column(column, justify="left" if column == "between" else "right")
    for demand in figures["demands"]:
        counts = (f"{demand[name]:,}" for name in ("asked", "direct", "relayed", "rerouted", "refused"))
        demands.add_row(" - ".join(demand["between"]), *counts)
    return [links, demands]


def _numbers(link: dict[str, Any]) -> tuple[str, ...]:
    is_attacked = link["attacked_qber"] != link["qber"]
    attacked = f"{link['attacked_rate_bps'] / 1e3:.3g} at {link['attacked_qber']:.0%}" if is_attacked else ""
    bits = (f"{link[name] / 1e6:.0f}" for name in ("made_bits", "used_bits", "left_bits"))
    return f"{link['qber']:.2%}", f"{link['rate_bps'] / 1e3:.3g}", attacked, *bits


def demo_tables(figures: dict[str, Any]) -> "list[Table]":
    """Return the tables of `faintlink.delivery.network.running.run_demo`."""
    from rich.table import Table

    links = Table(title="links", title_justify="left")
    for column in ("link", "protocol", "QBER", "key bits", "key bit/s"):
        links.add_column(column, justify="left" if column in ("link", "protocol") else "right", no_wrap=True)
    for link in figures["links"]:
        bits = f"{link['key_bits']:,}", f"{link['key_rate_bps']:,.0f}"
        links.add_row(" - ".join(link["between"]), link["protocol"], f"{link['qber']:.2%}", *bits)
    sites = Table(title="sites; stock in bits", title_justify="left")
    for column in ("site", "for keys", "for relay", "delivered", "relayed", "given up"):
        sites.add_column(column, justify="left" if column == "site" else "right", no_wrap=True)
    for name, site in figures["sites"].items():
        stock = site["stock_bits"]
        relay = sum(bits for pool, bits in stock.items() if " reserve_" in pool)
        counts = (sum(stock.values()) - relay, relay, site["delivered"], site["relayed"], site["voided"])
        sites.add_row(name, *(f"{count:,}" for count in counts))
    return [links, sites]
