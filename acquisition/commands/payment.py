"""``faintlink payment``: pay a merchant on the mock laboratory, or rehearse what the dishonest would do."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.acquisition.shipped import default_folder, shipped_link

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.core.runfile.folder import Run

ATTACKS = ("none", "two-merchants", "altered", "wrong-merchant", "replay", "chosen-positions")


@click.command("payment")
@click.option("--mock", "is_mock", is_flag=True, required=True, help="Record on the mock station; nothing else yet.")
@click.option("--merchant", help="Whom to pay; the first one of the link file by default.")
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="Who cheats, and how.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; payment-<time> by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def payment(out: Path | None, merchant: str | None, attack: str, *, is_mock: bool, as_json: bool) -> int:  # noqa: ARG001 - a required flag
    """Pay a merchant with a cryptogram that nobody can spend at another one, however much they can compute.

    The client's receiver is driven by the bases of the merchant. Leaves run/ with client.json, bank/ and client/ with
    their records, outcome.json and report.html. Exit code 4 says that somebody was not paid, or that the certificate
    falls short; the reasons are printed.
    """
    from rich.console import Console

    from faintlink.core.config.loader import load_link
    from faintlink.core.errors import ConfigError
    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.results import new_folder

    policy = load_link(shipped_link("payment")).payment
    if policy is None:
        raise ConfigError("the shipped link has no section `payment`")
    chosen = merchant or policy.merchants[0]
    if chosen not in policy.merchants:
        raise click.UsageError(f"merchants are {', '.join(policy.merchants)}")
    console = Console(stderr=True)
    folder = new_folder(out or default_folder("payment"), Path())
    if not _record(folder, chosen, policy.pulses, console):
        return 130
    return _judge(open_run([folder / "run"]), folder, attack, console, as_json=as_json)


def _record(folder: Path, merchant: str, pulses: int, console: "Console") -> bool:
    """Record a run in the bases of a session and leave the session beside it; False when interrupted."""
    from faintlink.acquisition.launch import in_words, take_run
    from faintlink.acquisition.progress import ProgressView
    from faintlink.core.config.loader import load_link
    from faintlink.postprocess.payments.account import fresh_account

    account, link_file = fresh_account(merchant), shipped_link("payment")
    source = load_link(link_file).source
    slots = pulses + (source.preamble.slots if source else 0)
    knobs = {"bob_bases.slots": slots, "bob_bases.seed": account.seed.hex()}
    with ProgressView() as progress:
        recorded = take_run(link_file, folder / "run", settings=knobs, progress=progress)
    account.write(folder / "run")
    console.print(in_words(recorded))
    return not recorded.interrupted


def _judge(run: "Run", folder: Path, attack: str, console: "Console", *, as_json: bool) -> int:
    import json

    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.payments.session import analyse_run
    from faintlink.postprocess.report.outcome import outcome_document, print_outcome
    from faintlink.postprocess.results import link_of

    outcome = analyse_run(run, link_of(run), folder, OsEntropy(), attack=attack)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **outcome_document(outcome)}, indent=1))
    else:
        print_outcome(outcome, console)
    return 0 if outcome.is_accepted else 4
