"""A blind computation end to end on the mock Qline: command, run folder, records, verdict, and what is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from faintlink.acquisition.bqc_run import policy_of, take_bqc_run
from faintlink.acquisition.commands.bqc import bqc
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, RecordMismatchError, RecordSealError, SchemaError
from faintlink.core.recordfile import Record, read_record, write_record
from faintlink.core.runfile.folder import Run, open_run
from faintlink.core.symbols import Party
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.bqc.records import SESSION
from faintlink.postprocess.bqc.session import VERDICT, analyse_run, judge_run, refusal
from faintlink.postprocess.commands.process import process
from faintlink.postprocess.results import link_of


def command(*arguments: object) -> Result:
    """Run ``faintlink bqc``."""
    return CliRunner().invoke(bqc, ["--mock", *map(str, arguments)], standalone_mode=False)


def code_of(result: Result) -> int:
    """Return the exit code."""
    if result.exception is not None:
        raise result.exception
    return int(result.return_value)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a session of two clients."""
    folder = tmp_path_factory.mktemp("bqc") / "session"
    shares = ("--angles", "0,0,4,0", "--angles", "0,4,0,4")
    assert code_of(command("--clients", "2", "--out", folder, *shares)) == 0
    return folder


@pytest.fixture
def run_copy(session: Path, tmp_path: Path) -> Path:
    """A copy of that session's run folder, to be spoiled."""
    return Path(shutil.copytree(session / "run", tmp_path / "run"))


def judged(folder: Path, out: Path) -> Outcome:
    """Judge a run folder."""
    run = open_run([folder])
    out.mkdir()
    return analyse_run(run, link_of(run), out, SeededEntropy(1))


def replace_record(folder: Path, party: str, **columns: Any) -> None:
    """Seal a client's record anew, as the client itself could, with other public columns."""
    home = folder / "clients" / party
    key = (home / "seal.key").read_bytes()
    old = read_record(home / "session.h5", key, kind=SESSION)
    (home / "session.h5").unlink()
    groups = {**old.groups, "public": {**old.groups["public"], **columns}}
    write_record(home / "session.h5", Record(old.kind, old.session, old.run_id, old.owner, old.header, groups), key)


def test_a_session_of_two_clients_is_accepted_with_the_marked_item(session: Path) -> None:
    outcome = json.loads((session / "outcome.json").read_text())
    assert outcome["accepted"] is True
    assert outcome["facts"]["result"] == "01"
    assert outcome["facts"]["eps_sound"] == pytest.approx(5.966e-7, rel=1e-3)
    assert outcome["facts"]["attempts"] == 400 + outcome["facts"]["lost attempts"]


def test_it_leaves_a_report_with_every_panel(session: Path) -> None:
    pictures = {path.stem for path in session.glob("*.png")}
    assert pictures == {"angles-sent", "tests", "results", "times", "threshold"}
    assert "Accepted: the result is 01." in (session / "report.html").read_text()


def test_the_record_holds_every_field_of_a_round(session: Path) -> None:
    key = (session / "alice" / "seal.key").read_bytes()
    record = read_record(session / "alice" / "bqc.h5", key, kind=VERDICT, owner="alice")
    public = {
        "round_type", "batch", "round", "delta", "sent_ps", "delta_arrived_ps", "b", "b_ps", "b_channel", "arrived",
        "herald_ps",
    }  # fmt: skip
    assert set(record.groups["public"]) == public
    assert set(record.groups["alice_secret"]) == {"setting", "r", "phi", "order_seed", "order_nonce"}
    assert set(record.groups["verdict"]) == {"attempt", "trap_failed", "is_failed", "result"}
    header = {
        "clients",
        "server",
        "graph_edges",
        "colours",
        "order",
        "flow",
        "k",
        "p",
        "d",
        "t",
        "w",
        "q_expected",
        "opened",
    }
    assert header <= set(record.header)
    b_ps, sent_ps = record.column("public", "b_ps"), record.column("public", "sent_ps")
    assert b_ps.dtype == np.int64
    assert np.all((b_ps > sent_ps) | (b_ps == -1))


def test_no_party_holds_another_ones_secrets(session: Path) -> None:
    for party in ("alice", "charlie", "bob"):
        with h5py.File(session / party / "bqc.h5") as file:
            secret = {name for name in file if name.endswith("_secret")}
        assert secret == (set() if party == "bob" else {f"{party}_secret"})
    with h5py.File(session / "run" / "bob-0000.h5") as file:
        assert "phi" not in file["context/link"][()].tobytes().decode()


def test_seal_keys_are_for_their_owner_only(session: Path) -> None:
    for key in (*session.glob("*/seal.key"), *session.glob("run/clients/*/seal.key")):
        assert key.stat().st_mode & 0o077 == 0


def test_process_recognises_the_run_and_gives_the_same_verdict(session: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    done = CliRunner().invoke(process, [str(session / "run"), "--out", str(again)], standalone_mode=False)
    assert done.return_value == 0
    assert (again / "outcome.json").read_text() == (session / "outcome.json").read_text()


def test_the_servers_file_alone_tells_no_result(run_copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(run_copy / "clients" / "charlie")
    with pytest.raises(SchemaError, match="the clients' records are needed"):
        judged(run_copy, tmp_path / "out")


def test_a_changed_record_does_not_carry_its_seal(run_copy: Path, tmp_path: Path) -> None:
    with h5py.File(run_copy / "clients" / "alice" / "session.h5", "r+") as file:
        file["alice_secret/r"][0, 0] ^= 1
    with pytest.raises(RecordSealError):
        judged(run_copy, tmp_path / "out")


def test_a_record_cut_short_is_refused(run_copy: Path, tmp_path: Path) -> None:
    path = run_copy / "clients" / "alice" / "session.h5"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises((SchemaError, RecordSealError)):
        judged(run_copy, tmp_path / "out")


def test_a_record_of_another_run_is_refused(run_copy: Path, tmp_path: Path) -> None:
    take_bqc_run(shipped_link("bqc_two_clients"), tmp_path / "other", entropy=SeededEntropy(2))
    shutil.rmtree(run_copy / "clients")
    shutil.copytree(tmp_path / "other" / "clients", run_copy / "clients")
    with pytest.raises(RecordMismatchError, match="run_id"):
        judged(run_copy, tmp_path / "out")


def test_records_of_two_clients_that_differ_are_refused(run_copy: Path, tmp_path: Path) -> None:
    key = (run_copy / "clients" / "alice" / "seal.key").read_bytes()
    record = read_record(run_copy / "clients" / "alice" / "session.h5", key, kind=SESSION)
    delta = record.column("public", "delta").copy()
    delta[0, 0] ^= 1
    replace_record(run_copy, "alice", delta=delta)
    with pytest.raises(RecordMismatchError, match="different stories"):
        judged(run_copy, tmp_path / "out")


def test_two_clients_who_agree_on_other_outcomes_contradict_the_tags(run_copy: Path, tmp_path: Path) -> None:
    key = (run_copy / "clients" / "alice" / "seal.key").read_bytes()
    told = read_record(run_copy / "clients" / "alice" / "session.h5", key, kind=SESSION).column("public", "b_received")
    told = np.where(told == 2, 2, told ^ 1).astype(np.uint8)
    for party in ("alice", "charlie"):
        replace_record(run_copy, party, b_received=told)
    outcome = judged(run_copy, tmp_path / "out")
    assert not outcome.is_accepted
    assert "other outcomes than its tags" in outcome.verdict


@pytest.mark.parametrize(
    "attack",
    ["flip", pytest.param("replace", marks=pytest.mark.slow), pytest.param("selective", marks=pytest.mark.slow)],
)
def test_a_deviating_server_is_refused_with_exit_code_four(attack: str, tmp_path: Path) -> None:
    done = command("--attack", attack, "--graph", "grover", "--out", tmp_path / "s", "--json")
    assert code_of(done) == 4
    outcome = json.loads((tmp_path / "s" / "outcome.json").read_text())
    assert outcome["facts"]["result"] == ""
    assert "test rounds failed" in outcome["verdict"]


@pytest.mark.slow
def test_rounds_choose_a_threshold_and_traps_are_played_too(tmp_path: Path) -> None:
    options = ("--rounds", "300", "--tests", "traps", "--graph", "deutsch", "--out", tmp_path / "s")
    assert code_of(command(*options)) == 0
    facts = json.loads((tmp_path / "s" / "outcome.json").read_text())["facts"]
    assert (facts["computation rounds d"], facts["test rounds t"]) == (150, 150)
    assert 10 < facts["threshold w"] < 37


def test_too_few_rounds_are_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="soundness error"):
        code_of(command("--rounds", "40", "--out", tmp_path / "s"))
    assert not (tmp_path / "s" / "run").exists()


@pytest.mark.parametrize(("angles", "text"), [("1,2", "3 angles each"), ("1,2,9", "0..7"), ("a,b", "not a list")])
def test_angles_that_do_not_fit_are_refused(angles: str, text: str, tmp_path: Path) -> None:
    done = command("--angles", angles, "--out", tmp_path / "s")
    assert done.exception is not None
    assert text in str(done.exception)


def test_a_computation_that_errs_more_often_than_agreed_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is wrong with 0\.146, and inherent_error is 0"):
        take_bqc_run(shipped_link("bqc"), tmp_path / "run", angles=[[1, 0, 0]], entropy=SeededEntropy(3))
    changes = {"inherent_error": 0.15, "max_failed_tests": 15}
    take_bqc_run(shipped_link("bqc"), tmp_path / "run", angles=[[1, 0, 0]], changes=changes, entropy=SeededEntropy(3))
    assert judged(tmp_path / "run", tmp_path / "out").verdict == "Accepted: the result is 0."


def test_a_record_whose_computation_is_a_coin_is_refused_after_it(tmp_path: Path) -> None:
    take_bqc_run(shipped_link("bqc"), tmp_path / "run", angles=[[3, 0, 1]], entropy=SeededEntropy(3))
    run = open_run([tmp_path / "run"])
    policy = policy_of(link_of(run))
    found = judge_run(run, policy)
    assert refusal(policy, found) == ""
    coin = replace(found, session=replace(found.session, phi=np.array([2, 2, 0], np.uint8)))
    assert "wrong more often than the agreed 0" in refusal(policy, coin)


def test_attempts_that_run_out_are_a_refusal_and_a_warning(tmp_path: Path) -> None:
    report = take_bqc_run(
        shipped_link("bqc"), tmp_path / "run", changes={"max_attempts": 401}, entropy=SeededEntropy(3)
    )
    assert any("attempts are used up" in warning for warning in report.warnings)
    outcome = judged(tmp_path / "run", tmp_path / "out")
    assert not outcome.is_accepted
    assert "NotEnoughSignalsError" in outcome.verdict
    assert not (tmp_path / "out" / "alice").exists()


def test_a_clock_that_stands_apart_is_a_refusal(tmp_path: Path) -> None:
    settings = {"bob_tagger.clock_offset": -1e-3}
    take_bqc_run(shipped_link("bqc"), tmp_path / "run", settings=settings, entropy=SeededEntropy(3))
    outcome = judged(tmp_path / "run", tmp_path / "out")
    assert not outcome.is_accepted
    assert "arrived before it was sent" in outcome.verdict


def test_a_tagger_that_lost_tags_is_a_refusal(tmp_path: Path) -> None:
    settings = {"bob_tagger.fifo_tags": 300}
    take_bqc_run(shipped_link("bqc"), tmp_path / "run", settings=settings, entropy=SeededEntropy(3))
    outcome = judged(tmp_path / "run", tmp_path / "out")
    assert not outcome.is_accepted
    assert "TagOverflowError" in outcome.verdict


def test_instruments_that_cannot_play_are_all_named_before_anything_starts(tmp_path: Path) -> None:
    changes = {"server": "alice_card", "senders": {"alice": "bob_tagger"}}
    with pytest.raises(ConfigError) as caught:
        take_bqc_run(shipped_link("bqc"), tmp_path / "run", changes=changes, entropy=SeededEntropy(3))
    assert len(caught.value.fields["faults"]) == 5
    assert not (tmp_path / "run").exists()


def test_a_run_says_that_it_is_a_simulation(session: Path) -> None:
    run: Run = open_run([session / "run"])
    assert run.origin == "simulation"
    assert set(run.parties) == {Party.BOB}
