"""One session of an application on the mock laboratory: record its run, then let the application judge it.

Called by the commands ``faintlink token``, ``money``, ``payment``, ``ot`` and ``bqc`` with ``--mock``.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from faintlink.acquisition.launch import in_words, take_run
from faintlink.acquisition.progress import ProgressView
from faintlink.acquisition.shipped import default_folder, shipped_link
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.commands.process import run_application
from faintlink.postprocess.results import link_of, new_folder


def mock_session(
    name: str,
    out: Path | None,
    *,
    settings: Mapping[str, Any] | None = None,
    attack: str = "none",
    beside: Callable[[Path], None] | None = None,
    as_json: bool = False,
) -> int:
    """Record a run of the shipped link ``name``, judge it, print the outcome and return the exit code.

    Parameters
    ----------
    name
        Of the link file in ``lab_configs``, without ``.link.yaml``.
    out
        New folder for run and results; named by application and time by default.
    settings
        Parameters of the mock station to set first.
    attack
        Cheater of the application that is rehearsed on the run's data.
    beside
        Writes into the run folder what the application keeps beside the parties' files.
    as_json
        Print JSON on standard output.
    """
    console = Console(stderr=True)
    folder = new_folder(out or default_folder(name), Path())
    link_file = shipped_link(name)
    console.print(f"recording {link_file.name} on its mock station …")
    with ProgressView() as progress:
        recorded = take_run(link_file, folder / "run", settings=settings, progress=progress)
    if beside is not None:
        beside(folder / "run")
    console.print(in_words(recorded))
    if recorded.interrupted:
        return 130
    run = open_run([folder / "run"])
    return run_application(run, link_of(run), folder, console, attack=attack, as_json=as_json)
