"""Bad input, as an operator meets it: a named error with a remedy, no key, no traceback, nothing overwritten."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from faintlink.core.formats.ptu_writer import write_ptu_t2
from faintlink.core.tags import TagBlock
from tests.cli import faintlink
from tests.data import ROOT
from tests.pulses import PulsedLink, link_text, write_pulsed_run
from tests.runs import chunk_offset, flip


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pulsed_run(tmp_path_factory.mktemp("good") / "run", PulsedLink().make())


def truncate(run: Path) -> None:
    with (run / "bob-0000.h5").open("r+b") as file:
        file.truncate(200_000)


def empty(run: Path) -> None:
    (run / "bob-0000.h5").write_bytes(b"")


def text(run: Path) -> None:
    (run / "bob-0000.h5").write_text("time,channel\n1,2\n")


def flip_a_tag(run: Path) -> None:
    flip(run / "bob-0000.h5", chunk_offset(run / "bob-0000.h5", "streams/tags/time_ps") + 1000)


def other_version(run: Path) -> None:
    with h5py.File(run / "bob-0000.h5", "r+", libver="latest") as file:
        file.attrs.modify("format_version", np.bytes_(b"9.0"))


def foreign_hdf5(run: Path) -> None:
    (run / "bob-0000.h5").unlink()
    with h5py.File(run / "bob-0000.h5", "w") as file:
        file["photon_data/timestamps"] = np.arange(10)


def without_alice(run: Path) -> None:
    (run / "alice-0000.h5").unlink()


def nothing_left(run: Path) -> None:
    for file in run.glob("*.h5"):
        file.unlink()


DAMAGE = [
    (truncate, "SchemaError|CorruptBlockError", 3),
    (empty, "SchemaError", 3),
    (text, "SchemaError", 3),
    (flip_a_tag, "CorruptBlockError", 3),
    (other_version, "SchemaError", 3),
    (foreign_hdf5, "SchemaError", 3),
    (without_alice, "SchemaError", 3),
    (nothing_left, "SchemaError", 3),
]


@pytest.mark.parametrize(("damage", "kind", "code"), DAMAGE, ids=[entry[0].__name__ for entry in DAMAGE])
def test_a_damaged_run_is_refused_by_name_and_left_as_it_is(
    good: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    kind: str,
    code: int,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(good, run)
    damage(run)
    before = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in run.iterdir()}
    outcome = faintlink(capsys, "process", run, "--out", tmp_path / "r")
    assert outcome.code == code
    assert outcome.err.split(":")[0] in kind.split("|")
    assert "hint: " in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "r" / "keys").exists()
    assert before == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in run.iterdir()}


POLICIES = [
    ("max_qber: 0.11", "max_qber: 0.001", "QberTooHighError", 4),
    ("block_s: 0.1", "block_s: 0.002", "NotEnoughSignalsError", 4),
    ("block_s: 0.1", "block_s: 50.0", "NotEnoughSignalsError", 4),
    ("      4: {", "      5: {", "UnknownChannelError", 5),
    ("bound: ", "bound: my_", "ConfigError", 2),
    ("format: faintlink.link/1", "format: faintlink.link/7", "ConfigError", 2),
]


@pytest.mark.parametrize(("old", "new", "kind", "code"), POLICIES, ids=[entry[1].strip() for entry in POLICIES])
def test_a_policy_or_map_that_does_not_allow_key_says_why(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, kind: str, code: int
) -> None:
    config = link_text()
    assert old in config
    (tmp_path / "link.yaml").write_text(config.replace(old, new))
    outcome = faintlink(capsys, "process", good, "--link", tmp_path / "link.yaml", "--out", tmp_path / "r")
    assert outcome.code == code
    assert kind in outcome.err
    assert "hint: " in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "r" / "keys").exists()


RECORDINGS: list[tuple[str, Callable[[Path], object], str]] = [
    ("empty", lambda path: path.write_bytes(b""), "is empty"),
    ("text", lambda path: path.write_text("hello world, this is no recording\n" * 9), "FormatError"),
    ("zeros", lambda path: path.write_bytes(bytes(4096)), "FormatError"),
    ("magic only", lambda path: path.write_bytes(b"PQTTTR\0\x001.0.00\0\0"), "FormatError"),
]


@pytest.mark.parametrize(("make", "said"), [entry[1:] for entry in RECORDINGS], ids=[entry[0] for entry in RECORDINGS])
def test_a_recording_of_no_known_format_leaves_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "recording")
    outcome = faintlink(capsys, "import", tmp_path / "recording", "--out", tmp_path / "run", "--party", "bob")
    assert outcome.code == 3
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert not list(tmp_path.glob("run/*.h5"))


def test_a_truncated_ptu_is_refused_and_a_second_import_does_not_overwrite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = TagBlock(np.arange(0, 10_000_000, 1000, dtype=np.int64), np.ones(10_000, np.uint8))
    whole, short = tmp_path / "whole.ptu", tmp_path / "short.ptu"
    write_ptu_t2(whole, [block])
    short.write_bytes(whole.read_bytes()[:-4000])
    run = tmp_path / "run"
    assert faintlink(capsys, "import", short, "--out", run, "--party", "bob").code == 3
    assert faintlink(capsys, "import", whole, "--out", run, "--party", "bob").code == 0
    sealed = (run / "bob-0000.h5").read_bytes()
    again = faintlink(capsys, "import", whole, "--out", run, "--party", "bob")
    assert again.code == 3
    assert "RunExistsError" in again.err
    assert (run / "bob-0000.h5").read_bytes() == sealed


@pytest.mark.parametrize("command", ["process", "inspect", "recover", "import"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    options = ("--out", tmp_path / "x", "--party", "bob") if command == "import" else ()
    outcome = faintlink(capsys, command, tmp_path / "missing.h5", *options)
    assert outcome.code in (2, 3)
    assert "missing.h5" in outcome.err
    assert "Traceback" not in outcome.err


def test_all_faults_of_a_link_file_come_at_once_with_their_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = (ROOT / "lab_configs" / "demo.link.yaml").read_text()
    broken = config.replace("80e6", "fast").replace("eps_sec: 1e-9", "eps_sec: 2.0").replace("bound:", "bund:")
    (tmp_path / "link.yaml").write_text(broken)
    outcome = faintlink(capsys, "run", tmp_path / "link.yaml", "--out", tmp_path / "run")
    assert outcome.code == 2
    for line, what in enumerate(broken.splitlines(), 1):
        if any(word in what for word in ("fast", "2.0\n", "bund:")):
            assert f"link.yaml:{line}: " in outcome.err
    assert not (tmp_path / "run").exists()
