"""Whole commands on mock laboratories: a transfer, the same run processed again, its attacks, and a signature."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from faintlink.acquisition.commands.ot import ot
from faintlink.acquisition.commands.qds import qds
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import RecordSealError
from faintlink.core.recordfile import read_record
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.commands.process import process
from faintlink.postprocess.results import link_of
from faintlink.postprocess.transfer.session import analyse_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ot") / "out"
    done = CliRunner().invoke(ot, ["--mock", "--out", str(folder), "--json"], standalone_mode=False)
    assert done.return_value == 0, done.output
    return folder


def test_the_parties_records_agree_on_one_string(session: Path) -> None:
    records = {}
    for party in ("sender", "receiver"):
        key = (session / party / "seal.key").read_bytes()
        records[party] = read_record(session / party / "transfer.h5", key, kind="transfer", owner=party)
    choice = int(records["receiver"].column("receiver_secret", "choice")[0])
    string = records["receiver"].column("receiver_secret", "string")
    assert (records["sender"].column("sender_secret", f"string_{choice}") == string).all()
    assert (records["sender"].column("sender_secret", f"string_{1 - choice}") != string).any()
    with pytest.raises(RecordSealError):
        read_record(session / "sender" / "transfer.h5", bytes(32), kind="transfer")


def test_process_recognises_the_run(session: Path, tmp_path: Path) -> None:
    arguments = [str(session / "run"), "--out", str(tmp_path / "again"), "--json"]
    done = CliRunner().invoke(process, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert json.loads((tmp_path / "again" / "outcome.json").read_text())["accepted"]


@pytest.mark.parametrize(
    ("attack", "word"),
    [("delay-measurement", "QberTooHighError"), ("lie-in-commitment", "opened to something else")],
)
def test_an_attack_gives_no_transfer_and_no_record(session: Path, tmp_path: Path, attack: str, word: str) -> None:
    run = open_run([session / "run"])
    outcome = analyse_run(run, link_of(run), tmp_path, SeededEntropy(1), attack=attack)
    assert not outcome.is_accepted
    assert word in outcome.verdict
    assert not (tmp_path / "sender").exists()


def test_a_signature_on_keys_of_two_mock_links_is_accepted_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    done = CliRunner().invoke(qds, ["--mock", "--out", str(folder), "--json"], standalone_mode=False)
    assert done.return_value == 0, done.output
    assert json.loads((folder / "outcome.json").read_text())["facts"]["rehearsal"] is True
    again = ["verify", str(folder / "document.signed"), "--homes", str(folder / "homes"), "--rehearsal"]
    replayed = CliRunner().invoke(qds, [*again, "--out", str(tmp_path / "again")], standalone_mode=False)
    assert type(replayed.exception).__name__ == "RecordReplayedError"
