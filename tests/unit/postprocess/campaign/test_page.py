"""Figures and page of a campaign for tables of any kind."""

from faintlink.postprocess.campaign.page import Curves, figures, page
from faintlink.postprocess.campaign.trends import Row
from faintlink.postprocess.report.style import LIGHT

GOOD = Row("a", run_id="r", created_utc="2026-01-02T03:04:05+00:00", key_rate_hz=0.0, blocks=1, blocks_refused=1)
BAD = Row("<b>", error="FormatError", message="<script>")
CURVE = {"tau_s": [0.1, 0.2], "deviation": [1e-3, 0.0], "terms": [5.0, 3.0]}


def test_the_figure_of_the_clock_is_drawn_where_it_was_followed() -> None:
    names = [set(figures(([GOOD], {"a": {name: CURVE}}), LIGHT)) for name in ("qber_key", "clock")]
    assert names[1] - names[0] == {"allan-clock"}


def test_the_same_table_gives_the_same_bytes() -> None:
    campaign = ([GOOD, BAD], {"a": {"qber_key": CURVE}})
    assert figures(campaign, LIGHT) == figures(campaign, LIGHT)


def test_a_campaign_in_which_everything_failed_still_has_a_page() -> None:
    campaign: tuple[list[Row], Curves] = ([BAD], {})
    text = page(campaign, {"set": {"gate.center_ps": 3}}, figures(campaign, LIGHT))
    assert "0 runs analysed, 1 failed" in text
    assert "gate.center_ps = 3" in text


def test_names_and_messages_never_become_markup() -> None:
    text = page(([BAD], {}), {}, {})
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
