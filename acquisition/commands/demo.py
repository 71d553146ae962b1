"""``faintlink demo``: from a mock laboratory to a secret key in one command."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.acquisition.shipped import default_folder, shipped_link

if TYPE_CHECKING:
    from rich.console import Console

    from faintlink.acquisition.report import RunReport

LINKS = ("demo", "polarization_1ghz", "bbm92")
ATTACKS = ("none", "scramble", "intercept-resend")


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; demo-<time> by default.")
@click.option("--link", "name", type=click.Choice(LINKS), default="demo", show_default=True, help="Which mock link.")
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="What Eve does.")
@click.option("--fraction", type=click.FloatRange(0.0, 1.0), default=1.0, show_default=True, help="Pulses she touches.")
@click.option("--duration", type=click.FloatRange(min=0.0, min_open=True), help="Seconds; the link file's by default.")
@click.option("--two-nodes", "is_two", is_flag=True, help="Distil in two processes while the run is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print the analysis as JSON.")
def demo(
    out: Path | None,
    name: str,
    attack: str,
    fraction: float,
    duration: float | None,
    *,
    is_two: bool,
    as_json: bool,
) -> int:
    """Run a mock link and distil its key: 80 MHz decoy-state BB84 over 10 km unless told otherwise.

    Leaves run/ (the parties' files), keys/alice and keys/bob, analysis.json, report.html and report.png.
    Exit code 4 says that no block gave a key, as under an attack; the reasons are printed. With --two-nodes each
    party is a process of its own that reads its own files only, and both distil over TCP while the run is recorded;
    their keys are in homes/alice/keys and homes/bob/keys.
    """
    from rich.console import Console

    from faintlink.postprocess.results import new_folder

    console = Console(stderr=True)
    folder = new_folder(out or default_folder("demo"), Path())
    if is_two:
        return _two_nodes(folder, shipped_link(name), attack, fraction, duration, console)
    recorded = _record(shipped_link(name), folder / "run", attack, fraction, duration, console)
    return 130 if recorded.interrupted else _distil(folder, console, as_json=as_json)


def _record(
    link_file: Path, folder: Path, attack: str, fraction: float, duration: float | None, console: "Console"
) -> "RunReport":
    from faintlink.acquisition.launch import in_words, take_run
    from faintlink.acquisition.progress import ProgressView

    console.print(f"recording {link_file.name} on its mock station …")
    knobs = {} if attack == "none" else {"bench.attack": attack, "bench.attack_fraction": fraction}
    with ProgressView() as progress:
        recorded = take_run(link_file, folder, duration_s=duration, settings=knobs, progress=progress)
    console.print(in_words(recorded))
    return recorded


def _two_nodes(
    folder: Path, link_file: Path, attack: str, fraction: float, duration: float | None, console: "Console"
) -> int:
    from faintlink.acquisition.two_nodes import two_nodes

    with two_nodes(link_file, folder / "run", folder / "homes") as nodes:
        recorded = _record(link_file, folder / "run", attack, fraction, duration, console)
        if recorded.interrupted:
            return 130
        with console.status("the nodes distil what is left …"):
            ends = nodes.finish(timeout_s=600.0)
    for party, (code, words) in sorted(ends.items()):
        console.print(f"[bold]{party}[/] ends with code {code}:")
        console.print(words.strip(), markup=False, soft_wrap=True)
    codes = [code for code, _ in ends.values()]
    console.print(f"keys in [bold]{folder / 'homes'}[/]/<party>/keys")
    return max(codes, key=abs)


def _distil(folder: Path, console: "Console", *, as_json: bool) -> int:
    from faintlink.core.runfile.folder import open_run
    from faintlink.postprocess.commands.process import show
    from faintlink.postprocess.results import analyse, link_of

    run = open_run([folder / "run"])
    with console.status("distilling …"):
        analysis = analyse(run, link_of(run), folder)
    show(analysis, folder, console, as_json=as_json)
    return 0 if analysis.key_bits else 4
