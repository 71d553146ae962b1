"""``faintlink ot``: an oblivious transfer on the mock laboratory in one command."""

from pathlib import Path

import click

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
    from faintlink.acquisition.mock_session import mock_session

    return mock_session("ot", out, attack=attack, as_json=as_json)
