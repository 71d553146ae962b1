"""The headline of an analysis."""

import math
from collections.abc import Callable

import pytest

from faintlink.core.errors import NotEnoughSignalsError
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.pipeline import Analysis
from faintlink.postprocess.report import summary
from faintlink.postprocess.series import RunSeries

Make = Callable[..., Analysis]
MakeBlock = Callable[..., BlockResult]


def test_the_key_rate_is_bits_per_second_of_the_run(make_analysis: Make) -> None:
    found = summary.summarise(make_analysis())
    assert found.duration_s == 11.0
    assert found.key_bits == 512
    assert found.key_rate_hz == pytest.approx(512 / 11.0)


def test_blocks_with_key_and_refused_ones_are_counted(
    make_analysis: Make, make_block: MakeBlock, make_refused: MakeBlock
) -> None:
    found = summary.summarise(make_analysis(blocks=[make_refused(0), make_block(number=1), make_refused(2)]))
    assert (found.blocks, found.with_key, found.refused) == (3, 1, 2)
    assert "1 of 3 blocks with key, 2 refused" in found.sentence


def test_one_unusable_key_makes_the_whole_run_unusable(make_analysis: Make, make_block: MakeBlock) -> None:
    found = summary.summarise(make_analysis(blocks=[make_block(), make_block(number=1, is_usable=False)]))
    assert not found.is_usable
    assert found.has_unusable_keys


def test_a_refused_block_does_not_make_the_others_keys_unusable(
    make_analysis: Make, make_block: MakeBlock, make_refused: MakeBlock
) -> None:
    assert summary.summarise(make_analysis(blocks=[make_block(), make_refused(1)])).is_usable


def test_a_run_without_key_says_so_and_is_not_usable(make_analysis: Make, make_refused: MakeBlock) -> None:
    found = summary.summarise(make_analysis(blocks=[make_refused()]))
    assert found.sentence.startswith("No key")
    assert not found.is_usable
    assert not found.has_unusable_keys


def test_a_run_without_pieces_is_as_long_as_its_blocks(
    make_analysis: Make, make_refused: MakeBlock, empty_series: RunSeries
) -> None:
    assert summary.duration_s(make_analysis(blocks=[make_refused()], series=empty_series)) == 10.0


def test_a_run_of_no_length_has_no_key_rate(make_analysis: Make, empty_series: RunSeries) -> None:
    assert math.isnan(summary.summarise(make_analysis(blocks=[], series=empty_series)).key_rate_hz)


def test_the_epsilons_of_all_keys_add_up(make_analysis: Make, make_block: MakeBlock) -> None:
    one = make_block()
    found = summary.summarise(make_analysis(blocks=[one, make_block(number=1)]))
    assert found.epsilon == pytest.approx(2 * one.ledger.total, rel=1e-12)
    assert found.epsilon >= 2 * one.ledger.exact_total()


def test_the_first_block_with_key_is_shown(make_block: MakeBlock, make_refused: MakeBlock) -> None:
    blocks = [make_refused(0), make_block(number=1), make_block(number=2)]
    assert summary.shown_block(blocks) is blocks[1]


def test_without_key_the_last_block_with_terms_is_shown(make_block: MakeBlock, make_refused: MakeBlock) -> None:
    refusal = NotEnoughSignalsError("too few")
    blocks = [make_block("too few", number=k, refusal=refusal) for k in (0, 1)]
    assert summary.shown_block([*blocks, make_refused(2)]) is blocks[1]


def test_without_terms_no_block_is_shown(make_refused: MakeBlock) -> None:
    assert summary.shown_block([make_refused()]) is None
    assert summary.shown_block([]) is None


@pytest.mark.parametrize(
    ("rate_hz", "text"),
    [(46.54, "46.5 bit/s"), (12_345.0, "12.3 kbit/s"), (2.5e6, "2.5 Mbit/s"), (0.0, "0 bit/s"), (math.nan, "–")],
)
def test_rates_carry_si_prefixes(rate_hz: float, text: str) -> None:
    assert summary.per_second(rate_hz, "bit") == text


def test_whole_numbers_are_written_in_groups_of_three() -> None:
    assert summary.whole(1464719).split("\N{NARROW NO-BREAK SPACE}") == ["1", "464", "719"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (math.nan, "–"), (True, "yes"), (7, "7"), (1.0431234567, "1.04312"), ("a", "a")]
)
def test_any_fact_has_a_text(value: object, text: str) -> None:
    assert summary.figure(value) == text


def test_stage_times_add_over_blocks(make_block: MakeBlock) -> None:
    totals = summary.total_seconds([make_block(), make_block(number=1)])
    assert list(totals) == ["monitor", "reconcile"]
    runs, seconds = totals["reconcile"]
    assert runs == 2
    assert seconds == pytest.approx(1.22)


def test_a_refusal_of_a_kind_of_ones_own_is_named_by_its_class() -> None:
    class LunarEclipseError(NotEnoughSignalsError):
        pass

    assert summary.reason(LunarEclipseError("dark")) == "LunarEclipseError"
    assert summary.reason(NotEnoughSignalsError("few")) == "There are too few signals"
