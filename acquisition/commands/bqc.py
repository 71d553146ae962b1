"""``faintlink bqc``: a blind, verified quantum computation on the mock Qline in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faintlink.acquisition.shipped import default_folder, shipped_link

if TYPE_CHECKING:
    from faintlink.core.config.applications.bqc import BqcPolicy

ATTACKS = ("none", "flip", "replace", "selective")
GRAPHS = ("rotation", "grover", "deutsch")
TESTS = ("stabilisers", "traps")


@click.command("bqc")
@click.option("--mock", "is_mock", is_flag=True, required=True, help="Play on the mock Qline; nothing else yet.")
@click.option("--graph", type=click.Choice(GRAPHS), help="What to compute; the link file's by default.")
@click.option("--angles", multiple=True, metavar="A,B,…", help="A client's angles by vertex, steps of 45 degrees.")
@click.option("--clients", type=click.IntRange(1, 2), default=1, show_default=True, help="How many clients.")
@click.option("--tests", type=click.Choice(TESTS), help="Kind of test rounds; the link file's by default.")
@click.option("--rounds", type=click.IntRange(20, 1_000_000), help="All rounds; half of them test.")
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="What the server does.")
@click.option("--share", type=click.FloatRange(0.0, 1.0), default=1.0, show_default=True, help="Attacked attempts.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; bqc-<time> by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def bqc(
    graph: str | None,
    angles: tuple[str, ...],
    clients: int,
    tests: str | None,
    rounds: int | None,
    attack: str,
    share: float,
    out: Path | None,
    *,
    is_mock: bool,  # noqa: ARG001 - a required flag
    as_json: bool,
) -> int:
    """Let a server compute without knowing what, and find out whether it did.

    Leaves run/ (the server's tags and, below run/clients, the clients' records), alice/, bob/ and perhaps charlie/ with
    their records of the verdict, outcome.json and report.html. Without --angles the clients draw one of the graph's
    examples. With --rounds the threshold is the least that refuses the expected server once in a thousand sessions.
    Exit code 4: the result was refused. `faintlink process` judges the run again.
    """
    from rich.console import Console

    from faintlink.acquisition.bqc_run import take_bqc_run
    from faintlink.acquisition.launch import in_words
    from faintlink.acquisition.progress import ProgressView
    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.commands.process import run_application
    from faintlink.postprocess.results import link_of, new_folder

    link_file = shipped_link("bqc" if clients == 1 else "bqc_two_clients")
    shares = [_angles(text) for text in angles] or None
    changes = _changes(link_file, {"graph": graph, "tests": tests}, rounds)
    console = Console(stderr=True)
    folder = new_folder(out or default_folder("bqc"), Path())
    console.print(f"playing {link_file.name} on its mock Qline …")
    knobs = {} if attack == "none" else {"bench.attack": attack, "bench.attack_share": share}
    with ProgressView() as progress:
        recorded = take_bqc_run(
            link_file, folder / "run", angles=shares, changes=changes, settings=knobs, progress=progress
        )
    console.print(in_words(recorded))
    if recorded.interrupted:
        return 130
    run = open_run([folder / "run"])
    return run_application(run, link_of(run), folder, console, as_json=as_json)


def _angles(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of angles 0..7", param_hint="--angles") from None


def _changes(link_file: Path, chosen: dict[str, str | None], rounds: int | None) -> dict[str, Any]:
    """Return the entries of the section ``bqc`` to replace."""
    from faintlink.acquisition.bqc_run import changed_link, policy_of
    from faintlink.postprocess.bqc.planning import threshold_for

    changes: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    if not changes and rounds is None:
        return {}
    policy: BqcPolicy = policy_of(changed_link(link_file, changes)[1])
    tests = policy.test_rounds if rounds is None else rounds // 2
    changes["max_failed_tests"] = threshold_for(policy, tests)
    if rounds is not None:
        changes |= {
            "computation_rounds": rounds - tests,
            "test_rounds": tests,
            "max_attempts": 5 * rounds,
            "rounds_in_flight": max(128, rounds // 8),
        }
    return changes
