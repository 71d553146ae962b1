"""Tokens end to end: the command on the mock laboratory, the agents' processes, the records, and what spoils them."""

import json
from pathlib import Path

import h5py
import pytest
from click.testing import CliRunner, Result

from faintlink.acquisition.commands.token import token
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import RecordMismatchError, RecordReplayedError, RecordSealError, SchemaError
from faintlink.core.recordfile import Record, read_record, write_record
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.commands.process import process
from faintlink.postprocess.results import link_of
from faintlink.postprocess.tokens.adversaries import ATTACKS
from faintlink.postprocess.tokens.records import ISSUE, PRESENTATION, verify_files, verify_records
from faintlink.postprocess.tokens.session import analyse_run

pytestmark = pytest.mark.slow


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(token, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("token") / "out"
    done = invoke("--mock", "--out", folder, "--json")
    assert done.return_value == 0, done.output
    return folder


def bank_files(session: Path) -> tuple[Path, Path, bytes]:
    bank = session / "bank"
    return bank / "token-issue.h5", bank / "token-presentation.h5", (bank / "seal.key").read_bytes()


def test_the_command_leaves_a_certified_token_of_ten_thousand_positions(session: Path) -> None:
    outcome = json.loads((session / "outcome.json").read_text())
    assert outcome["accepted"]
    assert outcome["facts"]["positions of each copy"] == 10_000
    assert outcome["facts"]["eps_unf"] < 1e-9
    assert outcome["facts"]["cross-check over the fibre between points (us)"] == pytest.approx(97.93, abs=0.01)
    assert (session / "report.html").stat().st_size > 10_000


def test_each_party_keeps_its_secrets_in_its_own_folder(session: Path) -> None:
    for path in (session / "bank" / "seal.key", session / "user" / "seal.key", session / "bank" / "token-issue.h5"):
        assert path.stat().st_mode & 0o077 == 0
    with h5py.File(session / "bank" / "token-issue.h5") as file:
        assert set(file) == {"public", "bank_secret"}
    with h5py.File(session / "user" / "token-hold.h5") as file:
        assert set(file) == {"public", "user_secret"}


def test_the_records_are_judged_as_the_agent_did(session: Path) -> None:
    issue, shown, key = bank_files(session)
    verdict = read_record(session / "bank" / "token-verdict.h5", key, kind="token-verdict")
    ((copy,),) = verify_files(issue, [shown], key)
    assert copy.is_accepted
    assert [copy.count.bits] == verdict.header["checked"]
    assert [copy.count.errors] == verdict.header["errors"]
    done = invoke("verify", issue, shown, "--json")
    assert done.return_value == 0
    assert json.loads(done.output)["double_spent"] is False


def test_process_recognises_the_run(session: Path, tmp_path: Path) -> None:
    arguments = [str(session / "run"), "--out", str(tmp_path / "again"), "--json"]
    done = CliRunner().invoke(process, arguments, standalone_mode=False)
    assert done.return_value == 0, done.output


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack != "none"])
def test_every_attack_is_refused(session: Path, tmp_path: Path, attack: str) -> None:
    run = open_run([session / "run"])
    outcome = analyse_run(run, link_of(run), tmp_path, SeededEntropy(5), attack=attack)
    assert not outcome.is_accepted
    assert outcome.facts["rehearsed attack"] == attack
    assert ("replayed" if attack == "replay" else "too many errors") in outcome.verdict


def test_eight_points_take_three_copies(session: Path, tmp_path: Path) -> None:
    run = open_run([session / "run"])
    link = link_of(run)
    assert link.token is not None
    policy = link.token.model_copy(update={"point_bits": 3, "positions": 3000, "pulses": 2_400_000})
    outcome = analyse_run(run, link.model_copy(update={"token": policy}), tmp_path, SeededEntropy(1))
    assert outcome.is_accepted, outcome.verdict
    assert read_record(
        tmp_path / "user" / "token-hold.h5", (tmp_path / "user" / "seal.key").read_bytes(), kind="token-hold"
    ).column("user_secret", "bit").shape == (3, 3000)


def test_two_presentations_at_one_point_are_a_replay(session: Path) -> None:
    issue, shown, key = bank_files(session)
    with pytest.raises(RecordReplayedError):
        verify_files(issue, [shown, shown], key)


def test_a_tampered_presentation_is_refused(session: Path, tmp_path: Path) -> None:
    issue, shown, key = bank_files(session)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(shown.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["bank/outcomes"][0, 0] ^= 1
    with pytest.raises(RecordSealError):
        verify_files(issue, [copy], key)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_truncated_record_is_refused(session: Path, tmp_path: Path, keep: float) -> None:
    issue, shown, key = bank_files(session)
    data = shown.read_bytes()
    copy = tmp_path / "copy.h5"
    copy.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises((SchemaError, RecordSealError)):
        verify_files(issue, [copy], key)


def test_records_of_two_sessions_or_kinds_do_not_mix(session: Path, tmp_path: Path) -> None:
    issue, shown, key = bank_files(session)
    issued, one = read_record(issue, key, kind=ISSUE), read_record(shown, key, kind=PRESENTATION)
    other = Record(one.kind, "00" * 16, one.run_id, one.owner, one.header, one.groups)
    with pytest.raises(RecordMismatchError, match="session"):
        verify_records(issued, [other])
    write_record(tmp_path / "other.h5", other, key)
    with pytest.raises(RecordMismatchError):
        verify_files(issue, [tmp_path / "other.h5"], key)
    with pytest.raises(RecordMismatchError):
        verify_files(shown, [issue], key)


def test_outcomes_that_were_not_committed_to_are_refused(session: Path) -> None:
    issue, shown, key = bank_files(session)
    issued, one = read_record(issue, key, kind=ISSUE), read_record(shown, key, kind=PRESENTATION)
    columns = {name: column.copy() for name, column in one.groups["bank"].items()}
    columns["outcomes"][0, 0] ^= 1
    with pytest.raises(RecordMismatchError, match="committed"):
        verify_records(issued, [Record(one.kind, one.session, one.run_id, one.owner, one.header, {"bank": columns})])


def test_a_presentation_without_a_point_is_refused(session: Path) -> None:
    issue, shown, key = bank_files(session)
    issued, one = read_record(issue, key, kind=ISSUE), read_record(shown, key, kind=PRESENTATION)
    with pytest.raises(SchemaError, match="no point"):
        verify_records(issued, [Record(one.kind, one.session, one.run_id, one.owner, {}, one.groups)])


def test_a_wrong_point_in_the_record_is_refused_by_its_errors(session: Path) -> None:
    issue, shown, key = bank_files(session)
    issued, one = read_record(issue, key, kind=ISSUE), read_record(shown, key, kind=PRESENTATION)
    header = {**one.header, "point": 1 - one.header["point"]}
    ((copy,),) = verify_records(issued, [Record(one.kind, one.session, one.run_id, one.owner, header, one.groups)])
    assert not copy.is_accepted


def test_a_plan_is_printed_as_json() -> None:
    done = invoke("plan", "--loss-db", 6.2, "--qber", 0.01, "--mean-photons", 0.02)
    assert done.return_value == 0
    assert json.loads(done.output)["positions"] > 100


def test_the_command_asks_for_what_it_should_do() -> None:
    assert "--mock" in str(invoke().exception)
