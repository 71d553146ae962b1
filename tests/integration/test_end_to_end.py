"""From mock instruments to a key that both sides hold, by the commands that an operator types."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from qcodes.instrument import Instrument

from faintlink.core.symbols import Party
from faintlink.postprocess.keystore import FileKeyStore
from tests.cli import Outcome, faintlink
from tests.data import ROOT

LAB = ROOT / "lab_configs"


@pytest.fixture(autouse=True)
def _close_instruments() -> Iterator[None]:
    yield
    Instrument.close_all()


def short_link(folder: Path, **replaced: str) -> Path:
    """Return the 1 GHz link with blocks of 0.15 s, so that a run takes a second."""
    text = (LAB / "polarization_1ghz.link.yaml").read_text()
    text = text.replace("block_s: 1.0", "block_s: 0.15").replace("duration_s: 1.2", "duration_s: 0.25")
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    station = (LAB / "polarization_1ghz.station.yaml").read_text()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "polarization_1ghz.station.yaml").write_text(station)
    path = folder / "short.link.yaml"
    path.write_text(text)
    return path


def take(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> Outcome:
    link = short_link(folder)
    return faintlink(capsys, "run", link, "--out", folder / "run", "--quiet", "--set", "fibre.length=20", *options)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was recorded once for all tests of this file."""
    from faintlink.core import cli

    folder = tmp_path_factory.mktemp("taken")
    link = short_link(folder)
    arguments = ["run", str(link), "--out", str(folder / "run"), "--quiet", "--set", "fibre.length=20"]
    assert cli.run(arguments) == 0
    Instrument.close_all()
    return folder / "run"


def test_both_sides_hold_the_same_key_and_only_their_owner_can_read_it(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results"
    outcome = faintlink(capsys, "process", taken, "--out", out, "--json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    [block] = document["blocks"]
    stores = {party: FileKeyStore(out / "keys" / party) for party in (Party.ALICE, Party.BOB)}
    [name] = stores[Party.ALICE].key_ids()
    keys = [store.get(name) for store in stores.values()]
    assert keys[0].data == keys[1].data
    assert keys[0].bits == block["key_bits"] > 10_000
    assert stat.S_IMODE((out / "keys" / "bob" / f"{name}.key").stat().st_mode) == 0o600
    for file in ("analysis.json", "report.html", "report.png", "public-bits.json"):
        content = (out / file).read_bytes()
        assert keys[0].data[:32] not in content
        assert keys[0].data[:32].hex().encode() not in content
    assert keys[0].data[:16].hex() not in outcome.out + outcome.err


def test_a_key_of_a_simulated_link_says_that_it_protects_nothing(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faintlink(capsys, "process", taken, "--out", tmp_path / "r")
    store = FileKeyStore(tmp_path / "r" / "keys" / "alice")
    about = store.about(store.key_ids()[0])
    assert (about["origin"], about["usable"]) == ("simulation", False)
    assert sum(part["value"] for part in about["ledger"]) == pytest.approx(about["epsilon"])


def test_an_analysis_repeats_exactly_with_its_recorded_bits(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faintlink(capsys, "process", taken, "--out", tmp_path / "first")
    faintlink(capsys, "process", taken, "--out", tmp_path / "again", "--replay", tmp_path / "first")
    stores = [FileKeyStore(tmp_path / name / "keys" / "bob") for name in ("first", "again")]
    names = [store.key_ids() for store in stores]
    assert names[0] == names[1]
    assert stores[0].get(names[0][0]).data == stores[1].get(names[0][0]).data


def test_the_files_side_by_side_are_as_good_as_the_folder(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(taken.glob("*.h5"))
    outcome = faintlink(capsys, "process", *files, "--out", tmp_path / "r")
    assert outcome.code == 0


def test_one_partys_file_alone_is_refused_by_name(
    taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = faintlink(capsys, "process", taken / "bob-0000.h5", "--out", tmp_path / "r")
    assert outcome.code == 3
    assert "has no file of alice" in outcome.err


def test_nothing_is_overwritten(taken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine").write_text("keep me")
    outcome = faintlink(capsys, "process", taken, "--out", tmp_path / "r")
    assert outcome.code == 3
    assert "nothing was overwritten" in outcome.err
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("knobs", "kind"),
    [
        (("bench.attack=scramble", "bench.attack_fraction=1.0"), "QberTooHighError"),
        (("bench.attack=intercept-resend", "bench.attack_fraction=0.5"), "QberTooHighError"),
        (("bench.attack=intercept-resend", "bench.attack_fraction=0.35"), "NotEnoughSignalsError"),
        (("alice_voa.attenuation=60",), "ClockLostError"),
    ],
)
def test_an_attacked_or_dark_link_makes_no_key_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], knobs: tuple[str, ...], kind: str
) -> None:
    take(capsys, tmp_path, *(word for knob in knobs for word in ("--set", knob)))
    outcome = faintlink(capsys, "process", tmp_path / "run", "--out", tmp_path / "r")
    assert outcome.code in (4, 5)
    assert kind in outcome.err
    assert "hint" in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "r" / "keys").exists()


def test_the_demo_makes_a_finite_key_and_all_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = faintlink(capsys, "demo", "--out", tmp_path / "demo", "--json")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert document["blocks"][0]["key_bits"] > 0
    names = {path.name for path in (tmp_path / "demo").iterdir()}
    assert names == {
        "run",
        "keys",
        "analysis.json",
        "configuration.json",
        "public-bits.json",
        "report.html",
        "report.png",
    }


def test_a_bbm92_link_makes_a_key_of_its_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (LAB / "bbm92.link.yaml").read_text().replace("block_s: 10.0", "block_s: 2.0")
    (tmp_path / "bbm92.station.yaml").write_text((LAB / "bbm92.station.yaml").read_text())
    (tmp_path / "short.link.yaml").write_text(text)
    run = ("run", tmp_path / "short.link.yaml", "--out", tmp_path / "run", "--duration", "3.2", "--quiet")
    assert faintlink(capsys, *run).code == 0
    assert faintlink(capsys, "process", tmp_path / "run", "--out", tmp_path / "r").code == 0
    keys = [FileKeyStore(tmp_path / "r" / "keys" / party) for party in ("alice", "bob")]
    [name] = keys[0].key_ids()
    assert keys[0].get(name).data == keys[1].get(name).data
