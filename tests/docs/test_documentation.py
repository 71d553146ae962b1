"""Every fenced block of the documentation is executed, or says why it is not.

What the directives in the pages mean stands in `tests.docs.blocks`. Each page has a new folder with the example links.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from qcodes.instrument import Instrument

from tests.data import ROOT
from tests.docs.blocks import Block, blocks_of
from tests.docs.executing import SHELL, SHOWN, Page

EXECUTED = (*SHELL, "python", "yaml", "yml")
UNCOMMENTED: dict[tuple[str, str], dict[str, object]] = {
    ("README.md", "$ make demo "): {"not_run": "it installs everything first; `faintlink demo` has tests of its own"},
    ("README.md", "$ .venv/bin/faintlink watch demo-out/run"): {
        "is_slow": True,
        "first": ("faintlink demo --out demo-out",),
        "exit_codes": (8,),
    },
    ("docs/reference/performance.md", "$ make bench"): {"not_run": "it installs other programs and takes minutes"},
    ("docs/reference/performance.md", "$ faintlink run"): {
        "not_run": "it records ten gigabytes in a quarter of an hour"
    },
}
"""Directives for pages without comments of this kind, by page and the block's first words."""


def with_directives(block: Block) -> Block:
    page = str(block.page.relative_to(ROOT))
    found = [what for (where, words), what in UNCOMMENTED.items() if where == page and block.text.startswith(words)]
    return replace(block, **found[0]) if found else block  # type: ignore[arg-type]  # names of fields


PAGES = {
    str(path.relative_to(ROOT)): [with_directives(block) for block in blocks_of(path)]
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
EXECUTABLE = {name: [block for block in blocks if not block.not_run] for name, blocks in PAGES.items()}
ALL = [block for blocks in PAGES.values() for block in blocks]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    Instrument.close_all()


@pytest.mark.parametrize("block", ALL, ids=lambda block: f"{block.page.name}:{block.line}")
def test_every_block_is_of_a_kind_that_is_executed_or_says_why_not(block: Block) -> None:
    assert block.saved_as or block.language in (*EXECUTED, *SHOWN), (
        f"{block.where}: nobody knows how to execute {block.language!r}"
    )
    if block.not_run:
        assert len(block.not_run.split()) >= 3, f"{block.where}: {block.not_run!r} is no reason"
    elif block.language in SHELL and not block.saved_as:
        assert block.commands, f"{block.where}: no command; a prompt is `$ `"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [name for name, blocks in EXECUTABLE.items() if any(not b.is_slow for b in blocks)])
def test_the_blocks_of_a_page_run(name: str, folder: Path) -> None:
    page = Page(folder)
    for block in EXECUTABLE[name]:
        if not block.is_slow:
            page.execute(block)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name, blocks in EXECUTABLE.items() if any(b.is_slow for b in blocks)])
def test_the_whole_page_runs(name: str, folder: Path) -> None:
    page = Page(folder)
    for block in EXECUTABLE[name]:
        page.execute(block)


def test_directives_for_pages_without_comments_all_find_their_block() -> None:
    for page, words in UNCOMMENTED:
        assert [block for block in blocks_of(ROOT / page) if block.text.startswith(words)], (page, words)


def parsed(tmp_path: Path, text: str) -> list[Block]:
    path = tmp_path / "page.md"
    path.write_text(textwrap.dedent(text))
    return blocks_of(path)


def test_directives_belong_to_the_block_below_them_only(tmp_path: Path) -> None:
    one, two = parsed(
        tmp_path,
        """\
        <!-- slow -->
        <!-- ends with 0 4 -->
        <!-- first: faintlink run x -->
        ```bash
        faintlink a \\
            --b          # continued
        # a remark
        faintlink c
        ```
        <!-- not run: it needs hardware -->

        ```console
        $ faintlink d
        output
        ```
        """,
    )
    assert (one.is_slow, one.exit_codes, one.first) == (True, (0, 4), ("faintlink run x",))
    assert [command.split() for command in one.commands] == [
        ["faintlink", "a", "--b", "#", "continued"],
        ["faintlink", "c"],
    ]
    assert (two.is_slow, two.not_run, two.commands) == (False, "", ["faintlink d"])


def test_a_block_in_a_list_loses_its_indentation(tmp_path: Path) -> None:
    [block] = parsed(tmp_path, "1. do\n\n    ```python\n    if True:\n        x = 1\n    ```\n")
    assert block.text == "if True:\n    x = 1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```console\n$ faintlink inspect nowhere.h5\n```\n", "ended with 3, not 0"),
        ("<!-- ends with 4 -->\n```console\n$ faintlink --version\n```\n", "ended with 0, not 4"),
        ("```bash\nrm -rf build\n```\n", "'rm' is not executed here"),
        ("```console\nfaintlink --version\n```\n", "holds no command"),
        ("```yaml\nkey: value\n```\n", "no known kind"),
        ("```fortran\nEND\n```\n", "how to execute 'fortran'"),
    ],
)
def test_a_block_that_does_not_do_what_it_says_is_found(folder: Path, text: str, said: str) -> None:
    [block] = parsed(folder, text)
    with pytest.raises(AssertionError, match=said):
        Page(folder).execute(block)


def test_a_block_is_saved_for_the_commands_that_follow(folder: Path) -> None:
    campaign, command = parsed(
        folder,
        "<!-- saved as x.yaml -->\n```yaml\nformat: nonsense/1\n```\n\n"
        "<!-- ends with 2 -->\n```bash\nfaintlink campaign 'runs/*' --config x.yaml --out out\n```\n",
    )
    page = Page(folder)
    page.execute(campaign)
    page.execute(command)
    assert (folder / "x.yaml").read_text() == "format: nonsense/1\n"


def test_python_blocks_share_their_names_and_their_folder(folder: Path) -> None:
    first, second = parsed(
        folder, "```python\nopen('x', 'w').close()\ny = 1\n```\n\n```python\nassert y == 1\nz\n```\n"
    )
    page = Page(folder)
    page.execute(first)
    assert (folder / "x").exists()
    with pytest.raises(NameError, match="'z'"):
        page.execute(second)


def test_a_section_of_a_link_is_validated_with_the_rest_of_a_shipped_one(folder: Path) -> None:
    good, bad = parsed(
        folder,
        "<!-- link: token -->\n```yaml\ntoken: {positions: 10000}\n```\n\n"
        "<!-- link: token -->\n```yaml\ntoken: {position: 10000}\n```\n",
    )
    page = Page(folder)
    page.execute(good)
    with pytest.raises(ValueError, match="position"):
        page.execute(bad)
