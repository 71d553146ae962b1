"""``faintlink token``: issue, present and verify a quantum token on the mock laboratory; plan one; verify records."""

from pathlib import Path

import click

ATTACKS = ("none", "double-spend", "breidbart", "guess", "lossy", "wrong-point", "replay")


@click.group("token", invoke_without_command=True)
@click.option("--mock", "is_mock", is_flag=True, help="Record on the mock station, then issue, present and verify.")
@click.option("--attack", type=click.Choice(ATTACKS), default="none", show_default=True, help="What the user does.")
@click.option("--out", type=click.Path(path_type=Path), help="New folder for everything; token-<time> by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.pass_context
def token(context: click.Context, out: Path | None, attack: str, *, is_mock: bool, as_json: bool) -> int:
    """Make a token that is valid at one point only, without quantum memory and without asking the other points.

    Leaves run/, bank/ and user/ with their records, outcome.json and report.html. Exit code 4 says that a
    presentation was refused or that the certificate falls short; the reasons are printed. A recorded run of a real
    link is judged by `faintlink process`.
    """
    if context.invoked_subcommand is not None:
        return 0
    if not is_mock:
        raise click.UsageError("give --mock, or one of plan, verify")
    from faintlink.acquisition.mock_session import mock_session

    return mock_session("token", out, attack=attack, as_json=as_json)


@token.command("verify")
@click.argument("issue", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("presentations", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", type=click.Path(exists=True, path_type=Path), help="Seal key; seal.key beside ISSUE by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def verify(issue: Path, presentations: tuple[Path, ...], key: Path | None, *, as_json: bool) -> int:
    """Judge PRESENTATIONS again from the bank's records alone. Exit code 4: one is refused, or two are accepted."""
    import json

    from faintlink.postprocess.tokens.records import verify_files

    verdicts = verify_files(issue, presentations, (key or issue.parent / "seal.key").read_bytes())
    accepted = [all(copy.is_accepted for copy in copies) for copies in verdicts]
    rows = [
        {
            "file": str(path),
            "accepted": good,
            "checked": [copy.count.bits for copy in copies],
            "errors": [copy.count.errors for copy in copies],
        }
        for path, good, copies in zip(presentations, accepted, verdicts, strict=True)
    ]
    if as_json:
        click.echo(json.dumps({"presentations": rows, "double_spent": sum(accepted) > 1}, indent=1))
    else:
        for row in rows:
            words = "accepted" if row["accepted"] else "refused"
            click.echo(f"{row['file']}: {words}, {row['errors']} wrong of {row['checked']} checked")
        if sum(accepted) > 1:
            click.echo("the token was accepted at more than one point")
    return 0 if accepted.count(True) == len(accepted) == 1 else 4


@token.command("plan")
@click.option("--loss-db", type=click.FloatRange(min=0.0), required=True, help="Line, receiver and detectors.")
@click.option("--qber", type=click.FloatRange(0.0, 0.5), required=True, help="Error rate of an honest user.")
@click.option("--mean-photons", type=click.FloatRange(0.0, 2.0, min_open=True), help="Optimised by default.")
@click.option("--point-bits", type=click.IntRange(1, 6), default=1, show_default=True, help="M.")
@click.option("--eps-unf", type=click.FloatRange(0.0, 1.0, min_open=True), default=1e-9, show_default=True)
@click.option("--eps-honest", type=click.FloatRange(0.0, 1.0, min_open=True), default=1e-3, show_default=True)
@click.option("--angle-deg", type=click.FloatRange(0.0, 45.0, max_open=True), default=5.0, show_default=True)
@click.option("--basis-bias", type=click.FloatRange(0.0, 0.5, max_open=True), default=1e-3, show_default=True)
@click.option("--bit-bias", type=click.FloatRange(0.0, 0.5, max_open=True), default=1e-5, show_default=True)
def plan(
    loss_db: float,
    qber: float,
    mean_photons: float | None,
    point_bits: int,
    eps_unf: float,
    eps_honest: float,
    angle_deg: float,
    basis_bias: float,
    bit_bias: float,
) -> int:
    """Print, as JSON, the fewest pulses and positions that meet both epsilons. Exit code 4: there are none."""
    import json
    from dataclasses import asdict

    from faintlink.postprocess.conjugate.guessing import Preparation
    from faintlink.postprocess.tokens.planning import Link, Target, plan_token

    target = Target(eps_unf, eps_honest, point_bits)
    found = plan_token(Link(loss_db, qber, Preparation(angle_deg, basis_bias, bit_bias)), target, mean_photons)
    click.echo(json.dumps(asdict(found), indent=1))
    return 0
