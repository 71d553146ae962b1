"""The scripts of the folder ``examples`` do what they say, each in a new folder."""

import ast
import itertools
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qcodes.instrument import Instrument

from tests.data import ROOT

EXAMPLES = ROOT / "examples"
MOST_LINES = 59

RunExample = Callable[..., str]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _close_instruments() -> Iterator[None]:
    yield
    Instrument.close_all()


@pytest.fixture
def run_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunExample:
    """Return a function that runs an example as ``python examples/NAME.py`` does and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_every_example_is_run_here_is_short_and_shadows_no_module() -> None:
    names = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    calls = [node for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.Call)]
    run = {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "run_example" and isinstance(call.args[0], ast.Constant)
    }
    assert names == sorted(map(str, run))
    # Python finds a script's neighbours first: a `token.py` there would break every other example.
    assert not set(names) & sys.stdlib_module_names
    lengths = {name: len((EXAMPLES / f"{name}.py").read_text().splitlines()) for name in names}
    assert max(lengths.values()) <= MOST_LINES, lengths


def test_first_key(run_example: RunExample, tmp_path: Path) -> None:
    printed = run_example("first_key")
    assert "equal: True" in printed
    assert int(re.findall(r"^(\d+) bits of a 1\.\d\d s run", printed, re.MULTILINE)[0]) > 300_000
    assert (tmp_path / "first-key-out" / "key" / "report.html").exists()


def test_sweep_attenuation(run_example: RunExample, tmp_path: Path) -> None:
    rows = [line.split() for line in run_example("sweep_attenuation").splitlines() if re.search(r"\d{8}T\d{6}Z", line)]
    attenuation_db, qber, rate, _ = zip(*rows, strict=True)
    assert [float(value) - float(attenuation_db[0]) for value in attenuation_db] == [0.0, 3.0, 6.0, 9.0]
    assert all(0.0 < float(value) < 0.05 for value in qber)
    for brighter, dimmer in itertools.pairwise(rate):
        # 3 dB leave half of the light; dead time and dark counts change that by some percent.
        assert float(dimmer) / float(brighter) == pytest.approx(0.5, rel=0.1)
    folders = {path.name for path in (tmp_path / "sweep-out").iterdir()}
    assert folders == {"sweep.db", "run-0dB", "run-3dB", "run-6dB", "run-9dB"}


def test_watch_qber(run_example: RunExample) -> None:
    printed = run_example("watch_qber")
    assert "more than 5% errors: ending the run" in printed
    assert "interrupted, in watch-out" in printed


def test_reanalyse(run_example: RunExample) -> None:
    printed = run_example("reanalyse")
    assert "gap_lost" in printed
    bits = [int(text) for text in re.findall(r"gate of ±\d+ ps: <block 0: (\d+) bits", printed)]
    assert len(bits) == 2
    assert min(bits) > 300_000


@pytest.mark.slow
def test_quantum_token(run_example: RunExample) -> None:
    verdicts = run_example("quantum_token").splitlines()[:2]
    assert [verdict.partition(":")[0] for verdict in verdicts] == ["Accepted", "Refused"]


def test_blind_computation(run_example: RunExample) -> None:
    assert "caught: True" in run_example("blind_computation")


def test_own_driver(run_example: RunExample) -> None:
    printed = run_example("own_driver")
    assert "LAB-VOA is set to 12.5 dB; the device says 12.5" in printed
    assert "Data out of range" in printed
