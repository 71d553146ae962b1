"""Pictures: every analysis that can happen can be drawn, without a warning and without key."""

import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faintlink.core.errors import NotEnoughSignalsError, RunExistsError
from faintlink.core.records import ErrorCount
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.report import figures, style
from faintlink.postprocess.series import RunSeries, SeriesPoint

Make = Callable[..., Analysis]
MakeBlock = Callable[..., BlockResult]


def _size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_picture_is_1600_by_1200_pixels(make_analysis: Make, page: Path) -> None:
    assert figures.write_png(make_analysis(), page) == page
    assert _size(page.read_bytes()) == (1600, 1200)


def test_an_existing_picture_is_not_overwritten(make_analysis: Make, page: Path) -> None:
    page.write_bytes(b"dear old picture")
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        figures.write_png(make_analysis(), page)
    assert page.read_bytes() == b"dear old picture"


@pytest.mark.parametrize("name", ["lim2014", "tomamichel2012"])
def test_every_bound_can_be_drawn(name: str, make_analysis: Make) -> None:
    assert _size(figures.picture_png(make_analysis(name))) == (1600, 1200)


def test_a_run_without_pieces_and_blocks_can_be_drawn(make_analysis: Make, empty_series: RunSeries) -> None:
    figures.picture_png(make_analysis(blocks=[], series=empty_series))


def test_a_refused_run_of_few_bits_can_be_drawn(make_analysis: Make, make_block: MakeBlock) -> None:
    refusal = NotEnoughSignalsError("too few $signals$ \N{SNOWMAN}\n 漢字 \\frac", hint="wait")
    figures.picture_png(make_analysis("too few", blocks=[make_block("too few", refusal=refusal)]))


@pytest.mark.parametrize("panel", list(figures.PANELS))
def test_a_run_of_one_bin_without_test_basis_can_be_drawn(panel: str, make_analysis: Make) -> None:
    series = RunSeries()
    series._bins[0] = SeriesPoint(0.0, ErrorCount(5, 1), ErrorCount(), 9)
    series.detected[0, 0] = 4, 1
    figures.panel_png(panel, make_analysis(series=series), style.DARK)


def test_a_bound_of_a_site_is_drawn_as_its_terms(make_analysis: Make, make_block: MakeBlock) -> None:
    block = make_block()
    assert block.bound is not None
    terms = {"zero": 0.0, "below": -3.5, "infinite": float("inf"), "nothing": float("nan"), "big": 4e6}
    strange = replace(block, bound=replace(block.bound, bound="site2026", terms=terms))
    plain = figures.panel_png("key_length", make_analysis(blocks=[strange]), style.LIGHT)
    assert plain != figures.panel_png("key_length", make_analysis(blocks=[block]), style.LIGHT)


def test_no_bit_of_the_key_changes_the_picture(make_analysis: Make, make_block: MakeBlock) -> None:
    block = make_block()
    keys = {party: replace(key, data=bytes(len(key.data))) for party, key in block.keys.items()}
    one = figures.picture_png(make_analysis(blocks=[block]))
    assert one == figures.picture_png(make_analysis(blocks=[replace(block, keys=keys)]))


def test_the_users_own_settings_of_matplotlib_neither_show_nor_change(make_analysis: Make) -> None:
    import matplotlib as mpl

    expected = figures.panel_png("counts", make_analysis(), style.LIGHT)
    with mpl.rc_context({"font.size": 31.0, "axes.facecolor": "red"}):
        assert figures.panel_png("counts", make_analysis(), style.LIGHT) == expected
        assert mpl.rcParams["font.size"] == 31.0


def test_dark_and_light_differ_in_the_background(make_analysis: Make) -> None:
    light, dark = (figures.panel_png("counts", make_analysis(), theme) for theme in (style.LIGHT, style.DARK))
    assert light != dark


def test_text_is_drawn_as_it_stands() -> None:
    assert style.drawable("a $b$\n\tµ \N{SNOWMAN}") == r"a \$b\$ µ " + "\N{SNOWMAN}"
    assert style.drawable("漢") == "?"


def _four_intensities(make_analysis: Make) -> Analysis:
    """Return a run of equally many counts of each intensity, the most that a link can have."""
    analysis = make_analysis()
    assert analysis.link.source is not None
    four = {"intensities": (0.5, 0.25, 0.125, 0.0625), "probabilities": (0.25,) * 4}
    source = analysis.link.source.model_copy(update=four)
    analysis.series.detected[:] = 87_654_321
    return replace(analysis, link=analysis.link.model_copy(update={"source": source}))


@pytest.mark.parametrize(("panel", "intensities"), [("counts", 3), ("counts", 4), ("key_length", 3)])
def test_no_panel_hides_a_number_under_another(panel: str, intensities: int, make_analysis: Make) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    analysis = make_analysis("lim2014") if intensities == 3 else _four_intensities(make_analysis)
    with style.drawing(style.LIGHT):
        # The counts take the narrowest part of the one-page picture.
        figure = Figure(figsize=(6.8, 5.3), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        figures.PANELS[panel](axes, analysis, style.LIGHT)
        figure.draw_without_rendering()
        texts = [*axes.texts, *(axes.get_xticklabels() if panel == "counts" else ())]
        boxes = np.array([text.get_window_extent().extents for text in texts])
    for k, box in enumerate(boxes):
        others = np.delete(boxes, k, axis=0)
        apart = (others[:, 0] >= box[2]) | (others[:, 2] <= box[0])
        apart |= (others[:, 1] >= box[3]) | (others[:, 3] <= box[1])
        assert apart.all(), texts[k].get_text()
        assert box[2] <= figure.bbox.x1


def test_importing_the_report_does_not_load_matplotlib_or_the_pipeline() -> None:
    code = (
        "import sys, faintlink.postprocess.report.html, faintlink.postprocess.report.document\n"
        "assert 'matplotlib' not in sys.modules\n"
        "assert 'faintlink.postprocess.pipeline' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
