"""HTML by construction."""

from hypothesis import given
from hypothesis import strategies as st

from faintlink.postprocess.report.markup import Markup, bullets, pairs, table, tag


@given(st.text())
def test_text_never_becomes_markup(text: str) -> None:
    inner = str(tag("p", text, title=text))
    assert inner.count("<") == 2
    assert inner.count('"') == 2


def test_elements_nest_without_being_escaped_again() -> None:
    assert tag("p", tag("b", "a & b"), " < c", class_="x") == '<p class="x"><b>a &amp; b</b> &lt; c</p>'


def test_a_long_table_is_cut_and_says_how_much_is_left() -> None:
    made = table(("n #",), [(str(k),) for k in range(10)], most=4)
    assert made.count("<tr") == 1 + 4
    assert "6 more of 10 rows" in made


def test_a_short_table_shows_all_its_rows() -> None:
    made = table(("n",), [("a",), ("b",)], most=4, marked=frozenset({1}))
    assert "more of" not in made
    assert '<tr><td class="text">a</td></tr><tr class="alarm"><td class="text">b</td></tr>' in made


def test_a_table_without_rows_says_none() -> None:
    assert table(("n",), []) == '<p class="faint">none</p>'


def test_lists_escape_their_items() -> None:
    assert bullets(["<i>"]) == "<ul><li>&lt;i&gt;</li></ul>"
    assert (
        pairs([("a", "<"), ("b", Markup("<i>c</i>"))]) == "<dl><dt>a</dt><dd>&lt;</dd><dt>b</dt><dd><i>c</i></dd></dl>"
    )
