"""``faintlink money``: mint, keep and spend a quantum card on the mock laboratory, or rehearse cheaters."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.acquisition.shipped import default_folder, shipped_link

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.acquisition.report import RunReport
    from faintlink.acquisition.run import Progress
    from faintlink.core.runfile.folder import Run as Recorded
    from faintlink.postprocess.money.wallet import Wallet

ATTACKS = ("none", "clone", "split", "lossy", "measured", "altered", "other-card", "replay")
VISIBILITY = 0.99
"""Of the table without a memory, as in the station file."""


@click.command("money")
@click.option("--mock", "is_mock", is_flag=True, required=True, help="Record on the mock station; nothing else yet.")
@click.option(
    "--storage-us",
    type=click.FloatRange(0.0, 1e4),
    default=5.0,
    show_default=True,
    help="How long the card is kept before it is spent.",
)
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="How the holder cheats.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; money-<time> by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def money(out: Path | None, storage_us: float, attack: str, *, is_mock: bool, as_json: bool) -> int:  # noqa: ARG001 - a required flag
    """Spend a card of light that cannot be copied: two branches that do not ask each other never both take it.

    The bank sends pairs of weak pulses, a memory keeps them, and a terminal measures them as a branch asks. Leaves
    run/ with card.json, bank/ and terminal/ with their records, outcome.json and report.html. Exit code 4 says that a
    branch refused the card, or that the certificate falls short; the reasons are printed.
    """
    from rich.console import Console

    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.results import new_folder

    console = Console(stderr=True)
    folder = new_folder(out or default_folder("money"), Path())
    if not _record(folder, storage_us, console):
        return 130
    return _judge(open_run([folder / "run"]), folder, attack, console, as_json=as_json)


def _record(folder: Path, storage_us: float, console: "Console") -> bool:
    """Record a run under a challenge and leave the card beside it; False when interrupted."""
    from faintlink.acquisition.launch import in_words
    from faintlink.acquisition.progress import ProgressView
    from faintlink.postprocess.money.wallet import fresh_wallet

    wallet = fresh_wallet(storage_us)
    with ProgressView() as progress:
        recorded = _take_run(folder / "run", wallet, progress)
    wallet.write(folder / "run")
    console.print(in_words(recorded))
    return not recorded.interrupted


def _take_run(out: Path, wallet: "Wallet", progress: "Progress") -> "RunReport":
    """Take a run whose sender records every pulse of the card."""
    from faintlink.acquisition.knobs import turn
    from faintlink.acquisition.launch import origin, terminate_as_interrupt
    from faintlink.acquisition.parties import draw_squash_seeds
    from faintlink.acquisition.run import Run
    from faintlink.core.config.loader import parse_link
    from faintlink.core.symbols import Party
    from faintlink.instruments.station import open_station
    from faintlink.postprocess.money.live import CardLive
    from faintlink.postprocess.money.session import policy_of

    text, link = parse_link(shipped_link("money"))
    policy, _ = policy_of(link)
    station_file = shipped_link("money").parent / link.station
    seeds = draw_squash_seeds(link)
    analysis = CardLive(link, seeds[Party.BOB], pulses=policy.pulses)
    with open_station(station_file) as station, terminate_as_interrupt():
        turn(station, _knobs(wallet, policy.pulses + (link.source.preamble.slots if link.source else 0)))
        context = {"link": text, "station": station_file.read_text("utf-8"), "origin": origin(station.snapshot())}
        with Run(link, station, out, analysis=analysis, context=context, squash_seeds=seeds) as run:
            return run.execute(None, progress)


def _knobs(wallet: "Wallet", slots: int) -> dict[str, object]:
    """Return what drives the receiver by the challenge, and puts the memory's loss and dephasing on the line."""
    from faintlink.postprocess.money.memory import Memory
    from faintlink.postprocess.money.parties import PULSES_OF_PAIR

    memory = Memory()
    return {
        "bob_bases.slots": slots,
        "bob_bases.hold": PULSES_OF_PAIR,
        "bob_bases.seed": wallet.seed.hex(),
        "memory.attenuation": memory.loss_db(wallet.storage_us),
        "bench.visibility": VISIBILITY * memory.contrast(wallet.storage_us),
    }


def _judge(run: "Recorded", folder: Path, attack: str, console: "Console", *, as_json: bool) -> int:
    import json

    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.money.session import analyse_run
    from faintlink.postprocess.report.outcome import outcome_document, print_outcome
    from faintlink.postprocess.results import link_of

    outcome = analyse_run(run, link_of(run), folder, OsEntropy(), attack=attack)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **outcome_document(outcome)}, indent=1))
    else:
        print_outcome(outcome, console)
    return 0 if outcome.is_accepted else 4
