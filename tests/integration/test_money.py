"""Quantum money end to end: the command on the mock laboratory, the same run processed again, and every attack."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from faintlink.acquisition.commands.money import ATTACKS as COMMAND_ATTACKS
from faintlink.acquisition.commands.money import money
from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, RecordSealError, SchemaError
from faintlink.core.recordfile import read_record
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.commands.process import process
from faintlink.postprocess.money.adversaries import ATTACKS
from faintlink.postprocess.money.session import analyse_run, policy_of
from faintlink.postprocess.money.wallet import FILE_NAME, Wallet, wallet_of
from faintlink.postprocess.results import link_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("money") / "out"
    done = CliRunner().invoke(money, ["--mock", "--out", str(folder), "--json"], standalone_mode=False)
    assert done.return_value == 0, done.output
    return folder


def test_the_card_is_accepted_and_certified(session: Path) -> None:
    outcome = json.loads((session / "outcome.json").read_text())
    assert outcome["accepted"]
    assert outcome["verdict"].startswith("Accepted")
    assert outcome["facts"]["eps_clone"] < 1e-9
    assert outcome["facts"]["eps_honest"] < 1e-3
    assert (session / "report.html").stat().st_size > 10_000
    assert (session / "secure-region.png").exists()


def test_the_receiver_was_driven_by_the_challenge(session: Path) -> None:
    answer = read_record(
        session / "terminal" / "answer.h5", (session / "terminal" / "seal.key").read_bytes(), kind="money-answer"
    )
    assert answer.header["storage_us"] == 5.0
    assert (np.diff(answer.column("public", "slots")) > 0).all()


def test_secrets_are_for_their_owners_only(session: Path) -> None:
    serial = wallet_of(open_run([session / "run"])).serial.hex()
    for path in (
        session / "bank" / "seal.key",
        session / "bank" / "cards" / f"{serial}.h5",
        session / "run" / FILE_NAME,
    ):
        assert path.stat().st_mode & 0o077 == 0


def test_process_recognises_the_run(session: Path, tmp_path: Path) -> None:
    arguments = [str(session / "run"), "--out", str(tmp_path / "again"), "--json"]
    done = CliRunner().invoke(process, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output
    again = json.loads((tmp_path / "again" / "outcome.json").read_text())
    first = json.loads((session / "outcome.json").read_text())
    assert again["facts"]["wrong"] == first["facts"]["wrong"]


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack != "none"])
def test_every_attack_is_refused(session: Path, tmp_path: Path, attack: str) -> None:
    run = open_run([session / "run"])
    outcome = analyse_run(run, link_of(run), tmp_path, SeededEntropy(5), attack=attack)
    assert not outcome.is_accepted
    words = {"replay": "good once", "split": "too few answers"}
    assert words.get(attack, "too many errors") in outcome.verdict


def test_without_a_solver_the_card_is_judged_by_the_conservative_bound(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("session", "security", "panels"):
        monkeypatch.setattr(f"faintlink.postprocess.money.{module}.has_solver", lambda: False)
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    run = open_run([session / "run"])
    outcome = analyse_run(run, link_of(run), tmp_path, SeededEntropy(5))
    assert outcome.is_accepted
    assert outcome.facts["bound on clones"] == "conservative"
    assert outcome.statements[-1].startswith("Conservative bound")


def test_the_command_offers_every_attack() -> None:
    assert COMMAND_ATTACKS == ATTACKS


def test_too_long_a_storage_is_refused(tmp_path: Path) -> None:
    arguments = ["--mock", "--storage-us", "60", "--out", str(tmp_path / "late"), "--json"]
    done = CliRunner().invoke(money, arguments, standalone_mode=False)
    assert done.return_value == 4
    assert "Refused" in json.loads((tmp_path / "late" / "outcome.json").read_text())["verdict"]


def test_a_run_without_its_card_or_with_another_challenge_is_refused(session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for path in (session / "run").iterdir():
        if path.suffix == ".h5":
            (copy / path.name).write_bytes(path.read_bytes())
    run = open_run([copy])
    with pytest.raises(SchemaError, match="no card"):
        analyse_run(run, link_of(run), tmp_path, SeededEntropy(1))
    Wallet(bytes(16), bytes(32), 0.0).write(copy)
    with pytest.raises(ConfigError, match="not in the basis"):
        analyse_run(run, link_of(run), tmp_path, SeededEntropy(1))


def test_a_tampered_verdict_is_refused(session: Path, tmp_path: Path) -> None:
    copy = tmp_path / "verdict.h5"
    copy.write_bytes((session / "bank" / "verdict-1.h5").read_bytes())
    with h5py.File(copy, "r+") as file:
        file.attrs["header"] = file.attrs["header"].replace("accepted", "accepteD")
    with pytest.raises(RecordSealError):
        read_record(copy, (session / "bank" / "seal.key").read_bytes(), kind="money-verdict")


def test_a_link_of_another_kind_makes_no_card(session: Path) -> None:
    link = link_of(open_run([session / "run"]))
    assert isinstance(link, LinkConfig)
    with pytest.raises(ConfigError, match="none of a card"):
        policy_of(link.model_copy(update={"money": None}))
