"""The tutorial notebook runs from the first cell to the last, and is kept without outputs."""

import warnings
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.data import ROOT

NOTEBOOK = ROOT / "docs" / "tutorials" / "first-key.ipynb"
pytestmark = pytest.mark.timeout(300)


def kept() -> nbformat.NotebookNode:
    """Return the notebook as it is kept."""
    # nbformat is typed in parts only.
    notebook: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def test_the_notebook_is_kept_without_outputs() -> None:
    notebook = kept()
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert not any(cell.outputs or cell.execution_count for cell in code)


def shown(notebook: nbformat.NotebookNode) -> str:
    """Return everything that the cells of an executed notebook show as text."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return "\n".join(texts)


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = kept()
    client = NotebookClient(notebook, timeout=200, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    with warnings.catch_warnings():
        # Jupyter's own libraries warn of each other's next versions.
        warnings.simplefilter("ignore")
        client.execute()
    return notebook


def test_the_notebook_runs_and_shows_a_key_and_a_refusal(executed: nbformat.NotebookNode, tmp_path: Path) -> None:
    text = shown(executed)
    assert "MockPolarizationModulator" in text
    assert "dark_counts passed" in text
    assert "<Analysis of run" in text
    assert "privacy amplification" in text
    assert "QBER" in text
    assert "hint" in text.partition("<Analysis of run")[2]
    assert "<Station polarization-50km, closed>" in text
    [folder] = tmp_path.glob("first-key-*")
    assert [*(folder / "key" / "keys" / "bob").glob("*.key")]
    assert not [*(folder / "no-key").rglob("*.key")]
