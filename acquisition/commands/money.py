"""``faintlink money``: mint, keep and spend a quantum card on the mock laboratory, or rehearse cheaters."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from faintlink.acquisition.shipped import shipped_link

if TYPE_CHECKING:
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
    from faintlink.acquisition.mock_session import mock_session
    from faintlink.core.config.loader import load_link
    from faintlink.postprocess.money.session import policy_of
    from faintlink.postprocess.money.wallet import fresh_wallet

    link = load_link(shipped_link("money"))
    policy, _ = policy_of(link)
    wallet = fresh_wallet(storage_us)
    knobs = _knobs(wallet, policy.pulses + (link.source.preamble.slots if link.source else 0))
    return mock_session("money", out, settings=knobs, attack=attack, beside=wallet.write, as_json=as_json)


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
