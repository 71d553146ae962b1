"""The two-decoy bound against vector V2 and against what any bound must obey."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.lim2014 import SHARES, epsilon_parts, evaluate, secret_length
from faintlink.postprocess.security.rounding import FLOATS, INTERVALS, lower_end

MakeInput = Callable[..., BoundInput]

V2_TERMS = {
    "s_key0_lower": (0.0, 0),
    "s_key1_lower": (51722073.125, 3),
    "s_test1_lower": (535181.3372, 4),
    "v_test1_upper": (10754.2304, 4),
    "phi_key_upper": (0.0218156075, 10),
}

# SatQuMA evaluates (1)-(5) with the cap on the un-rounded counts of the same block: rounding moves these digits.
SATQUMA = {
    "s_key1_lower": (51722077.7939, 1e-6),
    "s_test1_lower": (535178.0420, 1e-5),
    "phi_key_upper": (0.0123328144, 5e-5),
    "length_unfloored": (41804316.72, 5e-6),
}


def test_vector_v2_gives_exactly_the_reference_length(lim_block: MakeInput) -> None:
    assert evaluate(lim_block()).length == 38927131


def test_vector_v2_with_capped_errors_gives_exactly_the_reference_length(lim_block: MakeInput) -> None:
    result = evaluate(lim_block(cap_v1=True))
    assert result.length == 41804393
    assert result.terms["v_test1_upper"] == 5909.0
    # The reference printed 0.0123325676; (5) from its own printed terms gives 0.01233256748.
    assert result.terms["phi_key_upper"] == pytest.approx(0.0123325676, abs=1.5e-10)


@pytest.mark.parametrize("term", sorted(V2_TERMS))
def test_vector_v2_gives_each_intermediate_to_the_digits_printed(lim_block: MakeInput, term: str) -> None:
    value, digits = V2_TERMS[term]
    assert evaluate(lim_block()).terms[term] == pytest.approx(value, abs=1.01 * 10.0**-digits)


@pytest.mark.parametrize("term", sorted(SATQUMA))
def test_satquma_agrees_up_to_the_rounding_of_its_counts(lim_block: MakeInput, term: str) -> None:
    value, relative = SATQUMA[term]
    assert evaluate(lim_block(cap_v1=True)).terms[term] == pytest.approx(value, rel=relative)


def test_the_printed_epsilons_are_twenty_one_equal_shares_and_the_correctness(lim_block: MakeInput) -> None:
    block = lim_block()
    amounts = [part.amount for part in epsilon_parts(block)]
    share = Fraction(block.eps_sec) / 21
    assert [amount / share for amount in amounts[:-1]] == [4, 2, 2, 1, 10, 2]
    assert sum(amounts) == Fraction(block.eps_sec) + Fraction(block.eps_cor)


def test_the_vacuum_bound_subtracts_the_upper_end_of_the_middle_intensity(lim_block: MakeInput) -> None:
    # With many weak detections the vacuum bound is positive, and (2) can be redone from the printed terms.
    terms = evaluate(lim_block(n_key=(76840857, 9248601, 900_000))).terms
    by_hand = terms["tau_0"] * (0.12 * terms["n_key_mu3_lower"] - 2e-4 * terms["n_key_mu2_upper"]) / (0.12 - 2e-4)
    assert by_hand > 0
    assert terms["s_key0_lower"] == pytest.approx(by_hand, rel=1e-12)


@st.composite
def _blocks(draw: st.DrawFn) -> DecoyCounts:
    bright = draw(st.integers(1000, 100_000_000))
    middle = draw(st.integers(bright // 12, bright // 6))
    weakest = draw(st.integers(0, bright // 1000))
    n_key, share = (bright, middle, weakest), draw(st.integers(3, 100))
    n_test = (bright // share, middle // share, weakest // share)
    m_test = [draw(st.integers(0, n // 20)) for n in n_test]
    return DecoyCounts(n_key, n_test, (0, 0, 0), (m_test[0], m_test[1], m_test[2]))


def _input(counts: DecoyCounts, leak_ec: int = 100) -> BoundInput:
    return BoundInput(counts, (0.5, 0.12, 2e-4), (0.6, 0.3, 0.1), leak_ec, 1e-9, 1e-15)


@settings(max_examples=50, deadline=None)
@given(_blocks(), st.integers(0, 1000), st.integers(0, 1000))
def test_more_errors_never_lengthen_the_key(counts: DecoyCounts, bright: int, middle: int) -> None:
    m, n = counts.m_test, counts.n_test
    more = (min(n[0], m[0] + bright), min(n[1], m[1] + middle), m[2])
    worse = DecoyCounts(counts.n_key, n, counts.m_key, more)
    assert evaluate(_input(worse)).length <= evaluate(_input(counts)).length


@settings(max_examples=30, deadline=None)
@given(_blocks(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_each_leaked_bit_costs_one_bit_of_key(counts: DecoyCounts, leak: int, more: int) -> None:
    before, after = evaluate(_input(counts, leak)).length, evaluate(_input(counts, leak + more)).length
    assert after == max(0, before - more)


@settings(max_examples=40, deadline=None)
@given(_blocks())
def test_the_interval_lies_below_the_plain_float_evaluation(counts: DecoyCounts) -> None:
    block = DecoyBlock.observed(_input(counts))
    interval = secret_length(Sheet(INTERVALS, block, shares=SHARES))
    plain = secret_length(Sheet(FLOATS, block, shares=SHARES))
    assert lower_end(interval) <= plain + 1e-9 * counts.key.bits


@pytest.mark.parametrize(
    "change",
    [
        {"n_key": (0, 0, 0)},
        {"n_test": (0, 0, 0), "m_test": (0, 0, 0)},
        {"m_test": (948653, 114180, 183)},
        {"leak_ec": 10**15},
    ],
)
def test_degenerate_blocks_give_no_key_and_a_reason(lim_block: MakeInput, change: dict[str, object]) -> None:
    result = evaluate(lim_block(**change))
    assert result.length == 0
    assert result.refusal


def test_a_bright_intensity_below_the_sum_of_the_others_is_refused(lim_block: MakeInput) -> None:
    with pytest.raises(ConfigError, match=r"mu1 > mu2 \+ mu3, got 0.5 and 0.4"):
        evaluate(lim_block(intensities=(0.5, 0.4, 0.1)))


def test_a_true_vacuum_as_weakest_intensity_is_allowed(lim_block: MakeInput) -> None:
    assert evaluate(lim_block(intensities=(0.5, 0.12, 0.0))).length > 38_000_000


def test_the_option_of_another_bound_is_refused(lim_block: MakeInput) -> None:
    with pytest.raises(ConfigError, match="unknown option vacuum; known: cap_v1"):
        evaluate(lim_block(vacuum="A16"))
