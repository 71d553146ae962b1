"""The HTML page: well-formed, self-contained, complete, and without a bit of key."""

import re
from base64 import b64decode
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from faintlink.core.errors import MonitorVetoError, NotEnoughSignalsError, RunExistsError
from faintlink.core.runfile.folder import SIMULATION
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.qkd.monitors import MonitorReading
from faintlink.postprocess.report import html
from faintlink.postprocess.series import RunSeries

Make = Callable[..., Analysis]
MakeBlock = Callable[..., BlockResult]

_VOID = {"meta", "source", "img"}


class _Checker(HTMLParser):
    """Follows the elements of a page and gathers what it refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "srcset", "href"}]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _check(page: str) -> _Checker:
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, for tests of the words."""
    monkeypatch.setattr(html, "panel_png", lambda name, analysis, theme: b"")


def test_the_page_is_well_formed_and_refers_to_nothing_outside(make_analysis: Make, page: Path) -> None:
    assert html.write_html(make_analysis(), page) == page
    checker = _check(page.read_text(encoding="utf-8"))
    assert len(checker.references) == 10
    for reference in checker.references:
        kind, data = reference.split(",", 1)
        assert kind == "data:image/png;base64"
        assert b64decode(data).startswith(b"\x89PNG")
    assert not {"script", "link", "iframe", "form"} & set(checker.tags)


def test_an_existing_page_is_not_overwritten(make_analysis: Make, page: Path, no_figures: None) -> None:
    page.write_text("dear old page")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        html.write_html(make_analysis(), page)
    assert page.read_text() == "dear old page"


def test_the_page_fits_phones_and_dark_screens(make_analysis: Make, no_figures: None) -> None:
    text = html.page(make_analysis())
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "@media (prefers-color-scheme: dark)" in text
    assert 'media="(prefers-color-scheme: dark)"' in text


def test_every_refusal_stands_with_reason_and_hint_escaped(
    make_analysis: Make, make_block: MakeBlock, make_refused: MakeBlock, no_figures: None
) -> None:
    refusals = [
        MonitorVetoError("bias <script>alert('1')</script> & more", hint='look for a "dead" <detector>'),
        NotEnoughSignalsError("7 bits & none", hint="wait > longer"),
    ]
    blocks = [make_block("too few", number=k, refusal=refusal) for k, refusal in enumerate(refusals)]
    text = html.page(make_analysis(blocks=[*blocks, make_refused(2)]))
    for refusal in [*refusals, make_refused(2).refusal]:
        assert refusal is not None
        assert escape(refusal.message) in text
        assert escape(refusal.hint) in text
    for why in ("A monitor objected", "There are too few signals", "The error rate is too high"):
        assert why in text
    assert "<script" not in text
    _check(text)


def test_strings_from_files_are_escaped(make_analysis: Make, no_figures: None) -> None:
    analysis = make_analysis(run_id="<b>id</b>", clock={"<i>": '"<u>"'}, software_version="<s>")
    text = html.page(analysis)
    for raw in ("<b>id", "<i>", "<u>", "<s>"):
        assert raw not in text
        assert escape(raw) in text


def test_the_banner_shows_only_for_keys_that_must_not_be_used(
    make_analysis: Make, make_block: MakeBlock, make_refused: MakeBlock, no_figures: None
) -> None:
    words = "These keys protect nothing"
    assert words in html.page(make_analysis(blocks=[make_block(is_usable=False)]))
    assert words not in html.page(make_analysis(blocks=[make_block()]))
    assert words not in html.page(make_analysis(blocks=[make_refused()]))


def test_the_banner_names_the_reason_that_is_known(
    make_analysis: Make, make_block: MakeBlock, no_figures: None
) -> None:
    simulated = html.page(make_analysis(blocks=[make_block(is_usable=False)], origin=SIMULATION))
    assert "nothing: the run is a simulation." in simulated
    assert "seed" in html.page(make_analysis(blocks=[make_block(is_usable=False)], origin="hardware"))


def test_the_security_statement_holds_every_term_part_equation_and_assumption(
    make_analysis: Make, no_figures: None
) -> None:
    analysis = make_analysis()
    text = html.page(analysis)
    (block,) = analysis.blocks
    assert block.bound is not None
    parts = [part.name for part in block.ledger.parts]
    for line in (block.bound.paper, *block.bound.equations, *block.bound.assumptions, *block.bound.terms, *parts):
        assert escape(line) in text
    assert "not measured in this run" in text
    assert "mean photon numbers leaving the sender: 0.51, 0.15" in text


def test_objections_come_first_and_are_marked(
    make_analysis: Make,
    make_block: MakeBlock,
    make_reading: Callable[..., MonitorReading],
    no_figures: None,
) -> None:
    readings = (make_reading("calm"), make_reading("loud", objects=True))
    text = html.page(make_analysis(blocks=[make_block(monitors=readings)]))
    assert "1 objection in 2 readings" in text
    assert text.index(">loud<") < text.index(">calm<")
    assert re.search(r'<tr class="alarm"><td class="num">0</td><td class="text">loud</td>', text)


def test_a_thousand_blocks_are_counted_and_cut(
    make_analysis: Make, make_block: MakeBlock, make_refused: MakeBlock, no_figures: None
) -> None:
    key, none = make_block(), make_refused()
    text = html.page(make_analysis(blocks=[key, none] * 500))
    assert "500 of 1\N{NARROW NO-BREAK SPACE}000 blocks with key" in text
    assert "950 more of 1000 rows" in text
    assert "450 more of 500 rows" in text
    assert len(text) < 300_000
    _check(text)


def test_a_run_without_anything_is_a_page_too(make_analysis: Make, empty_series: RunSeries) -> None:
    analysis = make_analysis(blocks=[], series=empty_series, clock={}, losses={})
    text = html.page(analysis)
    assert "No key" in text
    assert "No block came as far as its key length." in text
    assert "nan" not in "".join(_check(text).text).split()


def test_lost_tags_are_marked(make_analysis: Make, no_figures: None) -> None:
    assert '<tr class="alarm"><td class="text">bob</td>' in html.page(make_analysis())
