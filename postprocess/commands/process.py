"""``faintlink process``: from the files of a run to keys, a report and a machine-readable analysis."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.core.config.link import LinkConfig
    from faintlink.core.runfile.folder import Run
    from faintlink.postprocess.campaign.changes import Change
    from faintlink.postprocess.pipeline import Analysis


@click.command("process")
@click.argument("run", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--link", "link_file", type=click.Path(path_type=Path), help="Link file; default: the one in the run.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for the results; default: RUN/analyses/….")
@click.option("--replay", type=click.Path(path_type=Path), help="Repeat an analysis with its recorded public bits.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a link parameter; repeatable.")
@click.option("--intensity-uncertainty", type=float, default=0.0, metavar="REL", help="Least key within mu (1 ± REL).")
@click.option("--json", "as_json", is_flag=True, help="Print the whole analysis as JSON.")
def process(
    run: tuple[Path, ...],
    link_file: Path | None,
    out: Path | None,
    replay: Path | None,
    *,
    settings: tuple[str, ...],
    intensity_uncertainty: float,
    as_json: bool,
) -> int:
    """Turn RUN (a run folder, or the parties' files side by side) into keys, or into what its protocol is for.

    The results go to a new folder: analysis.json, configuration.json, report.html, report.png, public-bits.json and
    keys/<party>/; of a run of an application (tokens, money, …) its records, outcome.json and report.html. Exit
    code 4 says that no block gave a key, or that the application refused; the reasons are printed. With --set the
    run files stay as they are, and keys are marked as not usable: a policy is fixed before the first pulse.
    """
    from rich.console import Console

    from faintlink.postprocess.campaign.changes import parse_settings
    from faintlink.postprocess.campaign.variant import varied
    from faintlink.postprocess.results import analyse, load_replay, new_folder, write_configuration

    console = Console(stderr=True)
    opened, given = _open(run, link_file)
    link, changes = varied(given, parse_settings(settings), intensity_uncertainty)
    folder = new_folder(out, run[0])
    _say_changes(changes, console)
    if not link.protocol.makes_keys:
        code = run_application(opened, link, folder, console, as_json=as_json)
        write_configuration(folder, link, changes)
        return code
    entropy = load_replay(replay) if replay else None
    with console.status(f"processing run {opened.run_id} …"):
        analysis = analyse(opened, link, folder, entropy=entropy, changes=changes)
    show(analysis, folder, console, as_json=as_json)
    return 0 if analysis.key_bits else 4


def run_application(
    run: "Run", link: "LinkConfig", folder: Path, console: "Console", *, attack: str = "none", as_json: bool
) -> int:
    """Let the application of a run's protocol judge it; print what it decided and return the exit code.

    ``attack`` names a cheater of the application that is rehearsed on the run's data.
    """
    import json

    from faintlink.core.entropy import OsEntropy
    from faintlink.postprocess.applications import application
    from faintlink.postprocess.report.outcome import outcome_document, print_outcome

    with console.status(f"processing run {run.run_id} …"):
        rehearsed = {} if attack == "none" else {"attack": attack}
        outcome = application(link.protocol)(run, link, folder, OsEntropy(), **rehearsed)
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **outcome_document(outcome)}, indent=1))
    else:
        print_outcome(outcome, console)
        console.print(f"results in [bold]{folder}[/]")
    return 0 if outcome.is_accepted else 4


def _say_changes(changes: "tuple[Change, ...]", console: "Console") -> None:
    for change in changes:
        console.print(f"changed: {change.name} = {change.now} (was {change.was})", markup=False)


def _open(paths: tuple[Path, ...], link_file: Path | None) -> "tuple[Run, LinkConfig]":
    from faintlink.core.config.loader import load_link
    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.results import link_of

    opened = open_run(paths)
    return opened, load_link(link_file) if link_file else link_of(opened)


def show(analysis: "Analysis", folder: Path, console: "Console", *, as_json: bool) -> None:
    """Print an analysis for people, or as JSON on standard output."""
    import json

    from faintlink.postprocess.report.document import analysis_document
    from faintlink.postprocess.report.terminal import print_analysis

    if as_json:
        click.echo(json.dumps({"folder": str(folder), **analysis_document(analysis)}, indent=1))
    else:
        print_analysis(analysis, console)
        console.print(f"results in [bold]{folder}[/]")
