"""``faintlink ot``: an oblivious transfer on the mock laboratory in one command."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.acquisition.shipped import default_folder, shipped_link

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.core.runfile.folder import Run

ATTACKS = ("none", "delay-measurement", "lie-in-commitment", "spoil-syndrome")


@click.command("ot")
@click.option("--mock", "is_mock", is_flag=True, required=True, help="Record on the mock station; nothing else yet.")
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="Who cheats, and how.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; ot-<time> by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def ot(out: Path | None, attack: str, *, is_mock: bool, as_json: bool) -> int:  # noqa: ARG001 - a required flag
    """Record weak pulses on a mock table and let the receiver have one of the sender's two random strings.

    Leaves run/, sender/ and receiver/ with their records, outcome.json and report.html. Exit code 4 says that there
    is no transfer; the reason is printed. A recorded run of a real link is judged by `faintlink process`.
    """
    from rich.console import Console

    from faintlink.acquisition.launch import in_words, take_run
    from faintlink.acquisition.mock_session import mock_session
    from faintlink.acquisition.progress import ProgressView
    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.results import new_folder

    if attack == "none":
        return mock_session("ot", out, as_json=as_json)
    console = Console(stderr=True)
    folder = new_folder(out or default_folder("ot"), Path())
    with ProgressView() as progress:
        recorded = take_run(shipped_link("ot"), folder / "run", progress=progress)
    console.print(in_words(recorded))
    if recorded.interrupted:
        return 130
    return _rehearse(open_run([folder / "run"]), folder, attack, console, as_json=as_json)


def _rehearse(run: "Run", folder: Path, attack: str, console: "Console", *, as_json: bool) -> int:
    import json

    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.report.outcome import outcome_document, print_outcome
    from faintlink.postprocess.results import link_of
    from faintlink.postprocess.transfer.session import analyse_run

    outcome = analyse_run(run, link_of(run), folder, OsEntropy(), attack=attack)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **outcome_document(outcome)}, indent=1))
    else:
        print_outcome(outcome, console)
    return 0 if outcome.is_accepted else 4
