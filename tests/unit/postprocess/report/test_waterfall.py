"""The way from sifted bits to the key."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from faintlink.core.errors import NotEnoughSignalsError
from faintlink.postprocess.node.distil import BlockResult
from faintlink.postprocess.report.waterfall import MAKERS, waterfall
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.result import BoundResult

MakeBlock = Callable[..., BlockResult]
BOUNDS = ["asymptotic", "lim2014", "rusca2018", "tomamichel2012", "tupkary2024"]


def _bound(block: BlockResult) -> BoundResult:
    assert block.bound is not None
    return block.bound


@pytest.mark.parametrize("name", BOUNDS)
def test_the_costs_lead_from_the_sifted_bits_to_the_key(name: str, make_block: MakeBlock) -> None:
    block = make_block(name)
    steps = waterfall(_bound(block), block.counts.key.bits)
    level = 0.0
    for step in steps[:-1]:
        # A total in between must be where the costs before it led.
        assert not step.is_total or level in (0.0, pytest.approx(step.bits, abs=1e-3))
        level = step.bits if step.is_total else level + step.bits
    assert steps[0].bits == block.counts.key.bits
    assert steps[-1].label == "key"
    assert steps[-1].bits == _bound(block).length
    assert 0.0 <= level - steps[-1].bits < 1.001


@pytest.mark.parametrize("name", BOUNDS)
def test_every_cost_takes_bits_away(name: str, make_block: MakeBlock) -> None:
    block = make_block(name)
    assert all(step.bits <= 0.0 for step in waterfall(_bound(block), block.counts.key.bits) if not step.is_total)


def test_a_refused_block_ends_below_zero(make_block: MakeBlock) -> None:
    block = make_block("too few", refusal=NotEnoughSignalsError("too few"))
    last = waterfall(_bound(block), block.counts.key.bits)[-1]
    assert last.label == "remainder: no key"
    assert last.bits == _bound(block).terms["length_unfloored"] < 0.0


def test_a_key_of_agreed_length_leaves_bits_unused(make_block: MakeBlock) -> None:
    block = make_block()
    steps = waterfall(replace(_bound(block), length=1_000_000), block.counts.key.bits)
    assert [step.label for step in steps[-2:]] == ["beyond the agreed length", "key"]
    assert steps[-2].bits == pytest.approx(-464_719, abs=1)
    assert steps[-1].bits == 1_000_000


def test_a_bound_without_a_maker_has_no_steps(make_block: MakeBlock) -> None:
    block = make_block()
    assert waterfall(replace(_bound(block), bound="site2026"), block.counts.key.bits) == ()


def test_terms_that_end_early_give_no_steps(make_block: MakeBlock) -> None:
    block = make_block("tomamichel2012")
    few = {name: _bound(block).terms[name] for name in ("n", "k", "q_observed_upper")}
    assert waterfall(replace(_bound(block), terms=few), block.counts.key.bits) == ()


def test_every_registered_bound_has_a_maker() -> None:
    assert set(registry.names()) <= set(MAKERS)
