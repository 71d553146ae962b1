"""Payments end to end: the command on the mock laboratory, the same run processed again, and every attack."""

import json
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner

from faintlink.acquisition.commands.payment import payment
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, RecordSealError, SchemaError
from faintlink.core.recordfile import read_record
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.commands.process import process
from faintlink.postprocess.payments.account import FILE_NAME, Account, account_of
from faintlink.postprocess.payments.adversaries import ATTACKS
from faintlink.postprocess.payments.session import analyse_run
from faintlink.postprocess.results import link_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("payment") / "out"
    arguments = ["--mock", "--merchant", "Bookshop", "--out", str(folder), "--json"]
    done = CliRunner().invoke(payment, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    return folder


def test_the_merchant_is_paid_and_the_payment_certified(session: Path) -> None:
    outcome = json.loads((session / "outcome.json").read_text())
    assert outcome["accepted"]
    assert outcome["verdict"].startswith("Paid: Bookshop")
    assert outcome["facts"]["eps_double"] < 1e-9
    assert (session / "report.html").stat().st_size > 10_000


def test_the_receiver_measured_in_the_prescribed_bases(session: Path) -> None:
    client = read_record(
        session / "client" / "payment.h5", (session / "client" / "seal.key").read_bytes(), kind="payment"
    )
    bank = read_record(session / "bank" / "payment.h5", (session / "bank" / "seal.key").read_bytes(), kind="payment")
    same = client.column("client_secret", "prescribed") == bank.column("bank_secret", "basis")
    wrong = client.column("client_secret", "outcomes") != bank.column("bank_secret", "bit")
    assert wrong[same].mean() < 0.02
    assert abs(wrong[~same].mean() - 0.5) < 0.03


def test_secrets_are_for_their_owners_only(session: Path) -> None:
    for path in (
        session / "run" / FILE_NAME,
        session / "bank" / "seal.key",
        session / "client" / "seal.key",
        session / "bank" / "payment.h5",
    ):
        assert path.stat().st_mode & 0o077 == 0
    secret = account_of(open_run([session / "run"])).secret
    for path in session.rglob("*"):
        if path.is_file() and path.name != FILE_NAME:
            data = path.read_bytes()
            assert secret not in data
            assert secret.hex().encode() not in data


def test_process_recognises_the_run(session: Path, tmp_path: Path) -> None:
    arguments = [str(session / "run"), "--out", str(tmp_path / "again"), "--json"]
    done = CliRunner().invoke(process, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack != "none"])
def test_every_attack_is_refused(session: Path, tmp_path: Path, attack: str) -> None:
    run = open_run([session / "run"])
    outcome = analyse_run(run, link_of(run), tmp_path, SeededEntropy(5), attack=attack)
    assert not outcome.is_accepted
    words = {"replay": "replayed", "chosen-positions": "differ in"}
    assert words.get(attack, "too many errors") in outcome.verdict


def test_a_run_without_its_session_or_with_another_is_refused(session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for path in (session / "run").iterdir():
        if path.suffix == ".h5":
            (copy / path.name).write_bytes(path.read_bytes())
    run = open_run([copy])
    with pytest.raises(SchemaError, match="no session"):
        analyse_run(run, link_of(run), tmp_path, SeededEntropy(1))
    Account(bytes(16), bytes(32), "Bakery").write(copy)
    with pytest.raises(ConfigError, match="not in the bases"):
        analyse_run(run, link_of(run), tmp_path, SeededEntropy(1))


def test_a_tampered_record_is_refused(session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "payment.h5"
    copy.write_bytes((session / "client" / "payment.h5").read_bytes())
    with h5py.File(copy, "r+") as file:
        file["client_secret/outcomes"][0] ^= 1
    with pytest.raises(RecordSealError):
        read_record(copy, (session / "client" / "seal.key").read_bytes(), kind="payment")


def test_an_unknown_merchant_is_a_usage_error(tmp_path: Path) -> None:
    arguments = ["--mock", "--merchant", "Nobody", "--out", str(tmp_path / "x")]
    done = CliRunner().invoke(payment, arguments, standalone_mode=False)
    assert "merchants are" in str(done.exception)
