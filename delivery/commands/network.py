"""``faintlink network``: keys between sites that share no link, simulated over a city or shown on three sites."""

from pathlib import Path

import click

_OUT = click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for everything.")


@click.group("network")
def network() -> None:
    """Share keys over trusted sites between applications whose sites have no link of their own."""


@network.command("simulate")
@click.argument("config", required=False, type=click.Path(path_type=Path))
@_OUT
@click.option("--seed", type=click.IntRange(0), help="Instead of the file's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def simulate_(config: Path | None, out: Path, seed: int | None, *, as_json: bool) -> int:
    """Run the network of CONFIG, a network file; a city of 10 sites and 20 links unless one is named.

    Every link makes the key that the security bound grants to its fibre. Applications ask for keys, which go over
    their own link or hop by hop; a link fails, another is attacked. Leaves network.json, pools.png, rates.png and
    requests.png in OUT.
    """
    import json

    from rich.console import Console

    from faintlink.delivery.network.running import run_simulation, shipped_network

    figures = run_simulation(config or shipped_network(), out, seed=seed)
    if as_json:
        click.echo(json.dumps(figures))
        return 0
    from faintlink.delivery.network.summary import tables

    console = Console(highlight=False)
    for table in tables(figures):
        console.print(table)
    console.print(f"figures in {out}", soft_wrap=True)
    return 0


@network.command("demo")
@_OUT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def demo_(out: Path, *, as_json: bool) -> int:
    """Tell the whole story: two links, three sites, and a message between the two that share no link.

    Records and distils two mock links, fills the stores of three sites with their keys, relays keys over the one
    between, and lets two applications encrypt with them, as ETSI GS QKD 014 has it. Keys of mock links protect
    nothing. Leaves everything in OUT: links/, sites/ and demo.json.
    """
    import json

    from rich.console import Console

    from faintlink.delivery.network.running import run_demo
    from faintlink.delivery.network.summary import demo_tables

    console = Console(stderr=as_json, highlight=False)
    figures = run_demo(out, say=lambda text: console.print(text, soft_wrap=True, markup=False))
    if as_json:
        click.echo(json.dumps(figures))
        return 0
    for table in demo_tables(figures):
        console.print(table)
    batch = figures["batch"]
    console.print(
        f"relayed {batch['keys_per_s']:,.0f} keys/s in a batch of {batch['keys']} over two hops; "
        f"everything took {figures['seconds']:.0f} s and is in {out}",
        soft_wrap=True,
    )
    return 0
