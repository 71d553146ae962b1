"""What an analysis leaves in its folder, and that it can be repeated from there."""

import json
import stat
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, LocalProtocolError, NotEnoughSignalsError, RunExistsError, SchemaError
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import Party
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.distil import PUBLIC_PURPOSES
from faintlink.postprocess.results import analyse, link_of, load_replay, new_folder
from tests.pulses import SQUASH_SEED, PulsedLink, Pulses, link_text, small_link, write_pulsed_run

TEXT = link_text()
FILES = {"analysis.json", "configuration.json", "public-bits.json", "report.html", "report.png", "keys"}


@pytest.fixture(scope="module")
def pulses() -> Pulses:
    return PulsedLink(seconds=0.23).make()


@pytest.fixture(scope="module")
def run(pulses: Pulses, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pulsed_run(tmp_path_factory.mktemp("results") / "run", pulses)


@pytest.fixture(scope="module")
def folder(run: Path) -> Path:
    """Return the results of an analysis with fresh random bits."""
    out = new_folder(run.parent / "out", run)
    analyse(open_run([run]), small_link(), out)
    return out


@pytest.fixture
def no_pictures(mocker: MockerFixture) -> None:
    mocker.patch("faintlink.postprocess.results.write_html")
    mocker.patch("faintlink.postprocess.results.write_png")


def stores(folder: Path) -> dict[Party, FileKeyStore]:
    return {party: FileKeyStore(folder / "keys" / party) for party in (Party.ALICE, Party.BOB)}


def keys(folder: Path) -> dict[Party, dict[str, bytes]]:
    return {party: {name: store.get(name).data for name in store.key_ids()} for party, store in stores(folder).items()}


def test_all_results_are_there(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "report.html").read_text().lstrip().lower().startswith("<!doctype html")


def test_both_parties_have_the_same_keys_of_both_blocks(folder: Path) -> None:
    stored = keys(folder)
    assert stored[Party.ALICE] == stored[Party.BOB]
    assert len(stored[Party.ALICE]) == 2


def test_keys_are_for_their_owner_only(folder: Path) -> None:
    paths = list((folder / "keys").rglob("*.*"))
    assert len(paths) == 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *(folder / "keys").iterdir())} == {0o700}


def test_each_key_tells_its_run_block_bound_and_epsilons(folder: Path) -> None:
    store = stores(folder)[Party.ALICE]
    about = [store.about(name) for name in store.key_ids()]
    assert {entry["block"] for entry in about} == {0, 1}
    for entry in about:
        assert (entry["run_id"], entry["bound"], entry["usable"]) == ("run-1", "tomamichel2012", True)
        assert sum(part["value"] for part in entry["ledger"]) == pytest.approx(1e-6 + 1e-9)


@pytest.mark.parametrize("name", ["analysis.json", "public-bits.json", "report.html"])
def test_no_result_but_the_key_files_holds_bits_of_a_key_or_the_receivers_secret(folder: Path, name: str) -> None:
    text = (folder / name).read_text()
    secrets = [*list(keys(folder)[Party.ALICE].values()), SQUASH_SEED]
    for secret in secrets:
        assert secret.hex()[:24] not in text
        assert secret.hex()[-24:] not in text


def test_the_analysis_is_strict_json_with_the_keys_by_name(folder: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads((folder / "analysis.json").read_text(), parse_constant=refuse)
    store = stores(folder)[Party.BOB]
    by_block = sorted(store.key_ids(), key=lambda name: int(store.about(name)["block"]))
    assert [block["key_id"] for block in document["blocks"]] == by_block
    assert document["run_id"] == "run-1"


def test_only_public_draws_are_recorded(folder: Path) -> None:
    recorded = json.loads((folder / "public-bits.json").read_text())
    assert [purpose for purpose, _ in recorded["draws"]] == 2 * ["cascade", "verification", "toeplitz", "key id"]
    assert {purpose for purpose, _ in recorded["draws"]} <= PUBLIC_PURPOSES


@pytest.mark.usefixtures("no_pictures")
def test_a_replay_gives_identical_keys(run: Path, folder: Path, tmp_path: Path) -> None:
    again = new_folder(tmp_path / "again", run)
    analyse(open_run([run]), small_link(), again, entropy=load_replay(folder))
    assert keys(again) == keys(folder)
    # Whoever knows the public bits has repeated a key, not made one.
    store = stores(again)[Party.ALICE]
    assert not any(store.about(name)["usable"] for name in store.key_ids())


@pytest.mark.usefixtures("no_pictures")
def test_a_replay_can_be_replayed(run: Path, folder: Path, tmp_path: Path) -> None:
    again = new_folder(tmp_path / "again", run)
    analyse(open_run([run]), small_link(), again, entropy=load_replay(folder / "public-bits.json"))
    assert (again / "public-bits.json").read_text() == (folder / "public-bits.json").read_text()


@pytest.mark.usefixtures("no_pictures")
def test_a_replay_with_another_configuration_is_refused(run: Path, folder: Path, tmp_path: Path) -> None:
    other = small_link(TEXT.replace("eps_cor: 1e-9", "eps_cor: 1e-15"))
    with pytest.raises(LocalProtocolError, match="the record holds") as caught:
        analyse(open_run([run]), other, new_folder(tmp_path / "again", run), entropy=load_replay(folder))
    assert "configuration" in caught.value.hint


@pytest.mark.usefixtures("no_pictures")
def test_nothing_is_overwritten(run: Path, tmp_path: Path) -> None:
    out = new_folder(tmp_path / "out", run)
    analyse(open_run([run]), small_link(), out, entropy=SeededEntropy(4))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        new_folder(out, run)
    # Even who skips `new_folder` overwrites no key.
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        analyse(open_run([run]), small_link(), out, entropy=SeededEntropy(4))
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("no_pictures")
def test_keys_from_seeded_bits_or_simulations_are_not_usable(pulses: Pulses, run: Path, tmp_path: Path) -> None:
    seeded = new_folder(tmp_path / "seeded", run)
    analyse(open_run([run]), small_link(), seeded, entropy=SeededEntropy(1))
    context = {"link": TEXT, "squash_seed": SQUASH_SEED.hex(), "origin": "simulation"}
    simulated = write_pulsed_run(tmp_path / "run", pulses, contexts={Party.BOB: context})
    out = new_folder(tmp_path / "simulated", simulated)
    analyse(open_run([simulated]), small_link(), out)
    for where, origin in ((seeded, "unknown"), (out, "simulation")):
        store = stores(where)[Party.BOB]
        about = [store.about(name) for name in store.key_ids()]
        assert [(entry["usable"], entry["origin"]) for entry in about] == 2 * [(False, origin)]


@pytest.mark.usefixtures("no_pictures")
def test_a_run_without_a_whole_block_leaves_no_key(run: Path, tmp_path: Path) -> None:
    out = new_folder(tmp_path / "out", run)
    with pytest.raises(NotEnoughSignalsError):
        analyse(open_run([run]), small_link(link_text(block_s=5.0)), out)
    assert not (out / "keys").exists()


def test_a_missing_plotting_library_costs_the_report_only(
    run: Path, tmp_path: Path, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    mocker.patch("faintlink.postprocess.results.find_spec", return_value=None)
    out = new_folder(tmp_path / "out", run)
    analyse(open_run([run]), small_link(), out, entropy=SeededEntropy(1))
    assert {path.name for path in out.iterdir()} == FILES - {"report.png", "report.html"}
    assert "faintlink[report]" in caplog.text


def test_results_go_below_the_run_by_default(run: Path) -> None:
    folder = new_folder(None, run)
    assert folder.parent == run / "analyses"
    assert folder.parent == new_folder(None, run / "bob-0000.h5").parent


def test_the_link_is_the_one_in_the_files(run: Path) -> None:
    assert link_of(open_run([run])) == small_link()


def test_files_without_a_link_ask_for_one(pulses: Pulses, tmp_path: Path) -> None:
    bare = {Party.ALICE: {"link": ""}, Party.BOB: {"squash_seed": SQUASH_SEED.hex()}}
    folder = write_pulsed_run(tmp_path / "run", pulses, contexts=bare)
    with pytest.raises(ConfigError, match="no link configuration") as caught:
        link_of(open_run([folder]))
    assert "--link" in caught.value.hint


def test_files_with_different_links_ask_for_one(pulses: Pulses, tmp_path: Path) -> None:
    other = {Party.ALICE: {"link": link_text(block_s=0.2)}}
    folder = write_pulsed_run(tmp_path / "run", pulses, contexts=other)
    with pytest.raises(ConfigError, match="different link configurations") as caught:
        link_of(open_run([folder]))
    assert "--link" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format": "other", "draws": []}',
        '{"format": "faintlink-public-bits/1"}',
        '{"format": "faintlink-public-bits/1", "draws": [["cascade", "xyz"]]}',
        '{"format": "faintlink-public-bits/1", "draws": [1]}',
    ],
)
def test_a_damaged_record_of_public_bits_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "public-bits.json").write_text(text)
    with pytest.raises(SchemaError, match="no recorded bits"):
        load_replay(tmp_path)


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no recorded bits") as caught:
        load_replay(tmp_path)
    assert "analysis" in caught.value.hint
