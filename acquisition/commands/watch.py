"""``faintlink watch``: look at a run while it is recorded, or replay it."""

import os
import sys
from pathlib import Path

import click

from faintlink.core.errors import FaintlinkError


@click.command()
@click.argument("target")
@click.option("--text", is_flag=True, help="Print the figures in the terminal; needs no window library.")
@click.option("--publish", metavar="ADDRESS", help="Show nothing; publish the statistics at tcp://host:port.")
@click.option("--via", default="", metavar="ADDRESS", help="Where the run itself publishes, while it is recorded.")
@click.option("--dark", is_flag=True, help="Begin with dark colours; key T changes them.")
@click.option("--keys", type=click.Path(path_type=Path), help="Folder of a key store whose bits are shown.")
@click.option("--calibrations", type=click.Path(path_type=Path), help="Folder of calibration records to list.")
@click.option("--save-to", type=click.Path(path_type=Path), default=".", help="Folder for saved pictures and tables.")
@click.option("--max-qber", type=click.FloatRange(0.0, 0.5), help="Abort line; the link's policy by default.")
def watch(
    target: str,
    keys: Path | None,
    calibrations: Path | None,
    save_to: Path,
    max_qber: float | None,
    publish: str | None,
    via: str,
    *,
    text: bool,
    dark: bool,
) -> int:
    """Watch TARGET: a run folder or file, a link file (its newest run below runs/), or tcp://host:port.

    A folder needs the receiver's own file; it may still be recorded. It is read and never written, so that a viewer
    cannot disturb the run. With --text it prints until the run ends.
    """
    from faintlink.acquisition.live.feeds import open_feed
    from faintlink.acquisition.live.model import LiveModel

    if not text and not publish:
        from faintlink.acquisition.live.toolkit import require_window

        require_window()
    feed = open_feed(target, via=via, keys=keys, calibrations=calibrations)
    if publish:
        from faintlink.acquisition.live.feeds import relay

        return relay(feed, publish)
    model = LiveModel(is_replay=feed.is_replay, max_qber=max_qber)
    if text:
        from rich.console import Console

        from faintlink.acquisition.live.text import watch_in_terminal

        return watch_in_terminal(feed, model, Console(highlight=False))
    from faintlink.acquisition.live.controls import show

    return show(feed, model, is_dark=dark, save_to=save_to)


def beside_a_run() -> int:
    """Run the command as a companion of a run, which goes first; return the exit code."""
    if hasattr(os, "nice"):
        os.nice(5)
    try:
        return int(watch.main(standalone_mode=False) or 0)
    except FaintlinkError as error:
        click.echo(error.message, err=True)
        return 1


if __name__ == "__main__":
    sys.exit(beside_a_run())
