"""``faintlink monitor``: a link's statistics for Prometheus."""

import click


@click.command("monitor")
@click.argument("address", metavar="tcp://HOST:PORT")
@click.option("--listen", default="127.0.0.1:9465", show_default=True, help="HOST:PORT for Prometheus; loopback only.")
def monitor(address: str, listen: str) -> int:
    """Export what a recording publishes as metrics, until interrupted.

    The recording runs with --publish tcp://HOST:PORT.
    """
    import asyncio

    from faintlink.delivery.metrics.monitor import run_monitor

    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{listen!r} is not HOST:PORT")

    def tell(bound: int) -> None:
        click.echo(f"metrics on http://{host}:{bound}/metrics")

    asyncio.run(run_monitor(address, host=host.strip("[]"), port=int(port), on_ready=tell))
    return 0
