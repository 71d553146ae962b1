"""``faintlink payment``: pay a merchant on the mock laboratory, or rehearse what the dishonest would do."""

from pathlib import Path

import click

from faintlink.acquisition.shipped import shipped_link

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
    from faintlink.acquisition.mock_session import mock_session
    from faintlink.core.config.loader import load_link
    from faintlink.core.errors import ConfigError
    from faintlink.postprocess.payments.account import fresh_account

    link = load_link(shipped_link("payment"))
    policy = link.payment
    if policy is None:
        raise ConfigError("the shipped link has no section `payment`")
    chosen = merchant or policy.merchants[0]
    if chosen not in policy.merchants:
        raise click.UsageError(f"merchants are {', '.join(policy.merchants)}")
    account = fresh_account(chosen)
    slots = policy.pulses + (link.source.preamble.slots if link.source else 0)
    knobs = {"bob_bases.slots": slots, "bob_bases.seed": account.seed.hex()}
    return mock_session("payment", out, settings=knobs, attack=attack, beside=account.write, as_json=as_json)
