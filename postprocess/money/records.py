"""Records of a card's use: what the terminal answered, and what each branch decided.

Sources: own design.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from faintlink.core.config.applications.money import MoneyPolicy
from faintlink.core.recordfile import Column, Record, fresh_seal_key, write_record
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.money.card import BANK, Card
from faintlink.postprocess.money.messages import Answer
from faintlink.postprocess.money.parties import Decision
from faintlink.postprocess.money.wallet import Wallet

VERDICT, ANSWER, TERMINAL = "money-verdict", "money-answer", "terminal"


def party_home(folder: Path, party: str) -> bytes:
    """Make a party's folder with a fresh seal key, and return the key."""
    home = folder / party
    home.mkdir(mode=0o700)
    return fresh_seal_key(home)


def write_verdicts(
    folder: Path,
    run_id: str,
    wallet: Wallet,
    decisions: Sequence[Decision],
    outcome: Outcome,
    policy: MoneyPolicy,
    key: bytes,
) -> None:
    """Write what each branch decided."""
    for number, one in enumerate(decisions):
        header = {
            "branch": one.branch,
            "reason": one.reason.name.lower(),
            "checked": one.count.bits,
            "wrong": one.count.errors,
            "policy": policy.model_dump(),
            "facts": outcome.facts,
            "statements": outcome.statements,
        }
        record = Record(VERDICT, wallet.serial.hex(), run_id, BANK, header)
        write_record(folder / BANK / f"verdict-{number + 1}.h5", record, key)


def write_answer(folder: Path, run_id: str, wallet: Wallet, card: Card, data: bytes, key: bytes) -> None:
    """Write what the first branch was answered."""
    answer = Answer.decode(data)
    columns: dict[str, Column] = {
        "slots": card.first_slot + np.flatnonzero(answer.detected).astype(np.int64),
        "bit": answer.bit,
    }
    header = {
        "first_slot": card.first_slot,
        "pulses": card.pulses,
        "challenge_seed": wallet.seed.hex(),
        "storage_us": wallet.storage_us,
    }
    record = Record(ANSWER, wallet.serial.hex(), run_id, TERMINAL, header, {"public": columns})
    write_record(folder / TERMINAL / "answer.h5", record, key)
