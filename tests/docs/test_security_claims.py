"""Every number of the page of security claims has a test that exists and a derivation that can be read."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.data import ROOT

PAGE = ROOT / "docs" / "reference" / "security-claims.md"
_HEADER = ["Claim", "Number", "Derivation", "Test"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table of claims."""

    claim: str
    number: str
    derivation: str
    test: str

    @property
    def nodes(self) -> list[tuple[str, str]]:
        return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", self.test)

    @property
    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)]+)\)", self.derivation)

    @property
    def modules(self) -> list[str]:
        return re.findall(r"`(faintlink\.[\w.]+)`", self.derivation)

    @property
    def figures(self) -> list[str]:
        """What must be found in the test or on the page: figures in code."""
        return [text for text in re.findall(r"`([^`]+)`", self.claim + self.number) if re.search(r"^\d", text)]


def rows_of(text: str) -> list[Row]:
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"]
    return [Row(*row) for row in cells if row != _HEADER and set(row[0]) != {"-"}]


ROWS = rows_of(PAGE.read_text())


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Return the names of the tests of a file, without importing it."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@cache
def anchors_of(path: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as Python-Markdown makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings]
    return frozenset(re.sub(r"[-\s]+", "-", heading) for heading in plain)


def plain(text: str) -> str:
    """Return a text with numbers written in one way: 1_000, 1,000 and ``7 / 8`` are 1000 and 7/8."""
    return re.sub(r"(?<=\d) / (?=\d)", "/", re.sub(r"(?<=\d)[_,](?=\d{3})", "", text))


def sources(row: Row) -> str:
    """Return the text of a row's tests and of the pages of its derivation."""
    pages = [(PAGE.parent / link.partition("#")[0]).resolve() for link in row.links]
    return plain("\n".join(path.read_text() for path in [*(ROOT / file for file, _ in row.nodes), *pages]))


def lacks(row: Row) -> list[str]:
    """Return what a row names that is not there."""
    found = [] if row.nodes else ["no test"]
    found += [
        f"{file}::{name}"
        for file, name in row.nodes
        if not (ROOT / file).exists() or name not in functions_of(ROOT / file)
    ]
    if not (row.links or row.modules):
        found.append("no derivation")
    found += [name for name in row.modules if find_spec(name) is None]
    for link in row.links:
        name, _, anchor = link.partition("#")
        page = (PAGE.parent / name).resolve()
        if not page.exists() or (anchor and anchor not in anchors_of(page)):
            found.append(link)
    if not found:
        text = sources(row)
        found += [f"the figure {figure}" for figure in row.figures if plain(figure) not in text]
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.claim[:60])
def test_a_claim_has_its_test_its_derivation_and_its_number(row: Row) -> None:
    assert not lacks(row)


def test_the_page_has_all_its_tables() -> None:
    text = PAGE.read_text()
    assert len(ROWS) == len(re.findall(r"^\|", text, re.MULTILINE)) - 2 * len(
        re.findall(r"^\| --- ", text, re.MULTILINE)
    )
    assert len(ROWS) > 50
    assert sum(len(row.figures) for row in ROWS) > 25


@pytest.mark.parametrize(
    ("changed", "lack"),
    [
        ({"test": "`tests/attacks/test_rates.py::test_nothing`"}, "tests/attacks/test_rates.py::test_nothing"),
        ({"test": "`tests/attacks/test_nowhere.py::test_nothing`"}, "tests/attacks/test_nowhere.py::test_nothing"),
        ({"test": "by inspection"}, "no test"),
        ({"derivation": "folklore"}, "no derivation"),
        ({"derivation": "[x](../explanation/attacks.md#nowhere)"}, "../explanation/attacks.md#nowhere"),
        ({"derivation": "`faintlink.core.nothing`"}, "faintlink.core.nothing"),
        ({"number": "`98 of 100`"}, "the figure 98 of 100"),
    ],
)
def test_a_claim_without_ground_is_found(changed: dict[str, str], lack: str) -> None:
    good = {
        "claim": "claim",
        "number": "`100 of 100`",
        "derivation": "[measured](../explanation/attacks.md#measured)",
        "test": "`tests/attacks/test_rates.py::test_a_double_click_is_never_discarded`",
    }
    assert lacks(Row(**good)) == []
    assert lacks(Row(**{**good, **changed})) == [lack]
