"""The variable-length bound against vector V4, and against what any bound must obey."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security.bound import BoundKind
from faintlink.postprocess.security.detectors import Mismatch
from faintlink.postprocess.security.estimation import DecoyBlock
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.security.rounding import FLOATS, INTERVALS, lower_end, upper_end
from faintlink.postprocess.security.tupkary2024 import BOUND, epsilon_parts, evaluate, new_sheet, secret_length

# Vector V4, computed from the authors' formulas by a reference of ours: every epsilon 1e-12, 1 ppm dark counts.
COUNTS = DecoyCounts((76840857, 9248601, 14843), (9486526, 1141803, 1832), (0, 0, 0), (52734, 6347, 10))
V4_LENGTHS = {
    (0.0, False): (0.01471368, 40544738.18),
    (0.001, False): (0.01949985, 39112437.98),
    (0.01, False): (0.05640893, 30189714.94),
    (0.05, False): (0.23305636, 6128876.59),
    (0.01, True): (None, 40193658.31),
    (0.05, True): (None, 37667976.22),
}


def block(counts: DecoyCounts = COUNTS, *, eps: float = 1e-12, leak_ec: int = 4957923, **options: object) -> BoundInput:
    mu, p = (0.5, 0.12, 2e-4), (0.6, 0.3, 0.1)
    return BoundInput(counts, mu, p, leak_ec, 8 * eps, eps, options, has_key_errors=False)


@pytest.mark.parametrize(("mismatch", "swap"), sorted(V4_LENGTHS))
def test_vector_v4_is_met_to_the_digits_printed(mismatch: float, swap: bool) -> None:
    phase, length = V4_LENGTHS[mismatch, swap]
    options: dict[str, Any] = {"delta_eta": mismatch, "delta_dc": mismatch, "dark_count": 1e-6, "random_swap": swap}
    result = evaluate(block(**options))
    assert result.terms["length_unfloored"] == pytest.approx(length, abs=0.00501)
    assert result.length == math.floor(length)
    if phase is not None:
        assert result.terms["phi_key_upper"] == pytest.approx(phase, abs=0.501e-8)


@pytest.mark.parametrize(
    ("term", "value", "digits"),
    [
        ("s_key1_lower", 51162826.970, 3),
        ("s_test1_lower", 5950432.723, 3),
        ("error_ratio_upper", 0.01243693, 8),
        ("gamma_upper", 0.00227675, 8),
    ],
)
def test_vector_v4_gives_each_intermediate_to_the_digits_printed(term: str, value: float, digits: int) -> None:
    assert evaluate(block()).terms[term] == pytest.approx(value, abs=0.501 * 10.0**-digits)


def test_equal_detectors_cost_nothing() -> None:
    terms = evaluate(block(dark_count=1e-6)).terms
    assert [terms[f"{name}_{i}_upper"] for name in ("delta", "gamma_bin") for i in (1, 2)] == [0.0] * 4


def test_the_exact_tail_gives_more_key_than_hoeffding_where_it_is_used() -> None:
    options: dict[str, Any] = {"delta_eta": 0.01, "delta_dc": 0.01, "dark_count": 1e-6}
    given_block = block(eps=1e-7, **options)
    exact = evaluate(given_block)
    sheet = new_sheet(FLOATS, DecoyBlock.observed(given_block))
    hoeffding = secret_length(sheet, Mismatch.of(options), is_exact=False)
    assert exact.length > hoeffding + 1000
    assert exact.terms["gamma_bin_1_upper"] < sheet.terms["gamma_bin_1_upper"]


def test_the_delta_terms_follow_their_equations() -> None:
    d, eta, dc = 1e-3, 0.1, 0.2
    fewer, more, r = d * (1 - dc), d * (1 + dc), (1 - eta) / (1 + eta)
    a, b, quiet = 1 - (1 - fewer) ** 2, 1 - (1 - more) ** 2, (1 - fewer) ** 2
    by_dark = (1 - a / b) * more * (2 - fewer) / a
    by_efficiency = 4 * (1 - math.sqrt(1 - quiet * (1 - r)))
    parts = Fraction("0.1"), Fraction("0.2"), Fraction("0.001")
    plain, swapped = Mismatch(*parts).deltas(FLOATS), Mismatch(*parts, random_swap=True).deltas(FLOATS)
    assert plain == pytest.approx((max(by_dark, by_efficiency), max(1 - a / b, quiet * (1 - r))))
    assert swapped == pytest.approx((4 * (1 - math.sqrt(1 - quiet * (1 - r) ** 2 / 2)), quiet * (1 - r) ** 2 / 2))


def test_unequal_dark_counts_alone_are_paid_for() -> None:
    delta_1, delta_2 = Mismatch(delta_dc=Fraction("0.2"), dark_count=Fraction("0.001")).deltas(FLOATS)
    assert delta_1 > 0.2
    assert delta_2 == pytest.approx(1 / 3, rel=1e-2)


def test_the_epsilons_add_up_to_eight_shares_and_cover_twelve_events() -> None:
    given_block = block()
    ledger = EpsilonLedger(epsilon_parts(given_block))
    assert ledger.secrecy == given_block.eps_sec
    assert ledger.correctness == given_block.eps_cor
    assert 2 * math.sqrt(12) + 1 <= 8


def test_it_is_a_bound_of_variable_length() -> None:
    assert BOUND.kind is BoundKind.VARIABLE


def _blocks() -> st.SearchStrategy[DecoyCounts]:
    @st.composite
    def build(draw: st.DrawFn) -> DecoyCounts:
        bright = draw(st.integers(10_000, 80_000_000))
        middle, weak = draw(st.integers(bright // 12, bright // 6)), bright // draw(st.integers(1000, 8000))
        share = draw(st.integers(3, 60))
        test = (bright // share, middle // share, weak // share)
        errors = tuple(draw(st.integers(0, n // 15)) for n in test)
        return DecoyCounts((bright, middle, weak), test, (0, 0, 0), (errors[0], errors[1], errors[2]))

    return build()


mismatches = st.sampled_from([0.0, 1e-4, 0.01, 0.1, 0.5])


@settings(max_examples=50, deadline=None)
@given(_blocks(), mismatches, mismatches, st.booleans())
def test_the_interval_holds_the_plain_float_evaluation(counts: DecoyCounts, eta: float, dc: float, swap: bool) -> None:
    options: dict[str, Any] = {"delta_eta": eta, "delta_dc": dc, "dark_count": 1e-6, "random_swap": swap}
    observed = DecoyBlock.observed(block(counts))
    interval = secret_length(new_sheet(INTERVALS, observed), Mismatch.of(options))
    plain = secret_length(new_sheet(FLOATS, observed), Mismatch.of(options))
    # 1 - A/B loses ten digits in doubles at 1 ppm dark counts.
    slack = 1e-6 * max(1.0, float(counts.key.bits))
    assert lower_end(interval) <= plain + slack
    assert upper_end(interval) >= plain - slack


@settings(max_examples=40, deadline=None)
@given(_blocks(), mismatches, mismatches)
def test_worse_detectors_and_more_errors_never_lengthen_the_key(counts: DecoyCounts, one: float, two: float) -> None:
    small, large = sorted((one, two))
    lengths = [evaluate(block(counts, leak_ec=0, delta_eta=eta)).length for eta in (small, large)]
    assert lengths[0] >= lengths[1]
    n, m = counts.n_test, counts.m_test
    worse = DecoyCounts(counts.n_key, n, counts.m_key, (min(n[0], m[0] + 50), min(n[1], m[1] + 50), m[2]))
    assert evaluate(block(worse, leak_ec=0, delta_eta=small)).length <= lengths[0]


@settings(max_examples=30, deadline=None)
@given(_blocks())
def test_the_key_is_never_longer_than_the_sifted_block(counts: DecoyCounts) -> None:
    assert evaluate(block(counts, leak_ec=0)).length <= counts.key.bits


def test_detectors_that_spoil_everything_are_named_in_the_refusal() -> None:
    result = evaluate(block(delta_eta=0.3, dark_count=1e-6))
    assert result.length == 0
    assert "delta_1_upper" in result.refusal
    assert "random_swap" in result.refusal


def test_no_detections_are_refused_in_plain_words() -> None:
    result = evaluate(block(DecoyCounts.zero(3), leak_ec=0))
    assert result.length == 0
    assert "no detections" in result.refusal


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delta_eta": 0.6}, "delta_eta must be a number in 0..0.5"),
        ({"delta_dc": 0.1}, "delta_dc needs dark_count"),
        ({"random_swap": 1}, "random_swap must be true or false"),
        ({"swap": True}, "unknown option swap"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        evaluate(block(**options))
