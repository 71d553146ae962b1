"""The one-decoy bound against vector V1 and against what any bound must obey."""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security.estimation import DecoyBlock, Sheet
from faintlink.postprocess.security.inputs import BoundInput
from faintlink.postprocess.security.rounding import FLOATS, INTERVALS, lower_end, upper_end
from faintlink.postprocess.security.rusca2018 import BOUND, SHARES, epsilon_parts, evaluate, secret_length

MakeInput = Callable[..., BoundInput]

# Vector V1, printed to these digits by the reference; s_X0^u of the test basis and the rest by equation number.
V1_TERMS = {
    "s_key0_lower": (0.0, 0),
    "s_key0_upper": (167020.1793, 4),
    "s_key1_lower": (5396516.2688, 4),
    "s_test0_upper": (6645.5231, 4),
    "s_test1_lower": (76462.2755, 4),
    "v_test1_upper": (5411.8126, 4),
    "error_ratio_upper": (0.0707775507, 10),
    "phi_key_upper": (0.0791736594, 10),
    "length_unfloored": (1464719.0887, 4),
}


def test_vector_v1_gives_exactly_the_length_of_three_independent_codes(rusca_block: MakeInput) -> None:
    result = evaluate(rusca_block())
    assert result.length == 1464719
    assert result.refusal == ""


@pytest.mark.parametrize("term", sorted(V1_TERMS))
def test_vector_v1_gives_each_intermediate_to_the_digits_printed(rusca_block: MakeInput, term: str) -> None:
    value, digits = V1_TERMS[term]
    assert evaluate(rusca_block()).terms[term] == pytest.approx(value, abs=1.01 * 10.0**-digits)


def test_the_looser_vacuum_bound_a14_gives_its_own_length(rusca_block: MakeInput) -> None:
    assert evaluate(rusca_block(vacuum="A14")).length == 668601


def test_capping_the_single_photon_errors_at_the_observed_ones_gives_its_own_length(
    rusca_block: MakeInput,
) -> None:
    result = evaluate(rusca_block(cap_v1=True))
    assert result.length == 1878208
    assert result.terms["v_test1_upper"] == 3940.0


def test_the_vacuum_bound_through_the_bright_intensity_is_the_looser_one_of_v1(rusca_block: MakeInput) -> None:
    # 626918.143 is the vendor's value, which uses the bright intensity alone.
    terms = evaluate(rusca_block()).terms
    alone = 2 * (
        terms["tau_0"] * 2.718281828459045**0.51 / 0.7 * (185856 + terms["delta_m_key_vacuum_upper"])
        + terms["delta_n_key_upper"]
    )
    assert alone == pytest.approx(626918.143, abs=1e-3)
    assert terms["s_key0_upper"] < alone


def test_terms_stand_in_the_order_of_evaluation(rusca_block: MakeInput) -> None:
    terms = list(evaluate(rusca_block()).terms)
    order = ["tau_0", "s_key0_upper", "s_key1_lower", "s_test1_lower", "v_test1_upper", "phi_key_upper"]
    assert [name for name in terms if name in order] == order
    assert terms[-1] == "length_unfloored"


def test_the_costs_of_v1_add_up_to_its_length(rusca_block: MakeInput) -> None:
    terms = evaluate(rusca_block()).terms
    costs = terms["leak_ec_upper"] + terms["secrecy_cost_upper"] + terms["correctness_cost_upper"]
    assert terms["secret_before_costs"] - costs == pytest.approx(terms["length_unfloored"], abs=1e-6)


def test_the_printed_epsilons_are_nineteen_equal_shares_and_the_correctness(rusca_block: MakeInput) -> None:
    block = rusca_block()
    amounts = [part.amount for part in epsilon_parts(block)]
    share = Fraction(block.eps_sec) / 19
    assert [amount / share for amount in amounts[:-1]] == [2, 4, 2, 1, 6, 4]
    assert sum(amounts) == Fraction(block.eps_sec) + Fraction(block.eps_cor)


def _blocks(most_test_errors: int = 4) -> st.SearchStrategy[DecoyCounts]:
    """Blocks of realistic shape and any size: a dim share, a test share and error rates below 1 in ``most``."""

    @st.composite
    def build(draw: st.DrawFn) -> DecoyCounts:
        bright = draw(st.integers(100, 50_000_000))
        dim = draw(st.integers(bright // 12, bright // 5))
        n_key, share = (bright, dim), draw(st.integers(3, 100))
        n_test = (bright // share, dim // share)
        m_key = tuple(draw(st.integers(0, n // 10)) for n in n_key)
        m_test = tuple(draw(st.integers(0, n // most_test_errors)) for n in n_test)
        return DecoyCounts(n_key, n_test, (m_key[0], m_key[1]), (m_test[0], m_test[1]))

    return build()


def _input(counts: DecoyCounts, leak_ec: int) -> BoundInput:
    return BoundInput(counts, (0.51, 0.15), (0.7, 0.3), leak_ec, 1e-9, 1e-15)


@settings(max_examples=60, deadline=None)
@given(_blocks(most_test_errors=20), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_more_errors_never_lengthen_the_key(counts: DecoyCounts, test: int, key_1: int, key_2: int) -> None:
    worse = DecoyCounts(
        counts.n_key,
        counts.n_test,
        (
            min(counts.n_key[0], counts.m_key[0] + key_1),
            min(counts.n_key[1], counts.m_key[1] + key_2),
        ),
        (min(counts.n_test[0], counts.m_test[0] + test), counts.m_test[1]),
    )
    assert evaluate(_input(worse, 100)).length <= evaluate(_input(counts, 100)).length


@settings(max_examples=40, deadline=None)
@given(_blocks(most_test_errors=20), st.integers(0, 10**6), st.integers(0, 10**6))
def test_each_leaked_bit_costs_one_bit_of_key(counts: DecoyCounts, leak: int, more: int) -> None:
    before, after = evaluate(_input(counts, leak)).length, evaluate(_input(counts, leak + more)).length
    assert after == max(0, before - more)


@settings(max_examples=40, deadline=None)
@given(_blocks())
def test_the_key_is_never_longer_than_the_sifted_block(counts: DecoyCounts) -> None:
    assert evaluate(_input(counts, 0)).length <= counts.key.bits


@settings(max_examples=60, deadline=None)
@given(_blocks(), st.booleans(), st.sampled_from(["A16", "A14"]))
def test_the_interval_holds_the_plain_float_evaluation(counts: DecoyCounts, cap: bool, vacuum: str) -> None:
    block = DecoyBlock.observed(_input(counts, 1000))
    interval = secret_length(Sheet(INTERVALS, block, shares=SHARES), cap_v1=cap, vacuum=vacuum)
    plain = secret_length(Sheet(FLOATS, block, shares=SHARES), cap_v1=cap, vacuum=vacuum)
    slack = 1e-9 * max(1.0, float(counts.key.bits))
    assert lower_end(interval) <= plain + slack
    assert upper_end(interval) >= plain - slack
    assert upper_end(interval) - lower_end(interval) < 1e-25


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_key": (0, 0), "m_key": (0, 0)}, "no detections in the key basis"),
        ({"n_test": (0, 0), "m_test": (0, 0)}, "no detections in the test basis"),
        ({"n_key": (80, 10), "m_key": (1, 0)}, "s_key1_lower = 0"),
        ({"n_test": (80, 10), "m_test": (1, 0)}, "s_test1_lower = 0"),
        ({"m_test": (24757, 3135)}, "lower QBER"),
        ({"n_test": (7660, 970), "m_test": (0, 0)}, "small sample"),
        ({"leak_ec": 10**12}, "leak_ec_upper"),
        ({"n_key": (8200, 1038), "m_key": (0, 0), "leak_ec": 0}, "fixed costs"),
    ],
)
def test_a_block_without_key_names_the_term_that_took_it(
    rusca_block: MakeInput, change: dict[str, object], words: str
) -> None:
    result = evaluate(rusca_block(**change))
    assert result.length == 0
    assert words in result.refusal
    assert result.refusal.endswith(".")


def test_a_block_of_nothing_but_errors_gives_no_key(rusca_block: MakeInput) -> None:
    block = rusca_block(m_key=(8875913, 1124087), m_test=(165048, 20902))
    assert evaluate(block).length == 0


def test_a_few_error_free_detections_do_not_prove_a_perfect_channel(rusca_block: MakeInput) -> None:
    # gamma vanishes with the errors; without the least of one error phi would be 0 from 246 photons.
    terms = evaluate(rusca_block(n_test=(8252, 1045), m_test=(0, 0))).terms
    assert terms["v_test1_upper"] == 1.0
    assert terms["phi_key_upper"] > 10 / terms["s_test1_lower"]


def test_a_block_of_nothing_gives_no_key(rusca_block: MakeInput) -> None:
    none = (0, 0)
    assert evaluate(rusca_block(n_key=none, n_test=none, m_key=none, m_test=none, leak_ec=0)).length == 0


def test_an_epsilon_below_the_smallest_square_of_a_float_is_no_trouble(rusca_block: MakeInput) -> None:
    # At 1e-300 the sample of V1 proves nothing any more; one a hundred times larger does.
    block = rusca_block(n_test=(16504800, 2090200), m_test=(345600, 48400), leak_ec=0)
    tiny = BoundInput(block.counts, block.intensities, block.probabilities, 0, 1e-300, 1e-300)
    assert 0 < evaluate(tiny).length < evaluate(block).length


def test_filled_in_key_errors_are_refused_because_a16_counts_on_them(rusca_block: MakeInput) -> None:
    block = rusca_block()
    filled = BoundInput(block.counts, block.intensities, block.probabilities, 0, 1e-9, 1e-15, has_key_errors=False)
    with pytest.raises(ConfigError, match="m_key is missing"):
        evaluate(filled)


def test_a_true_vacuum_as_dim_intensity_is_refused(rusca_block: MakeInput) -> None:
    block = BoundInput(rusca_block().counts, (0.5, 0.0), (0.7, 0.3), 0, 1e-9, 1e-15)
    with pytest.raises(ConfigError, match="dim intensity must be positive"):
        evaluate(block)


def test_every_wrong_option_is_reported_at_once(rusca_block: MakeInput) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(rusca_block(cap_v1=1, vacuum="A15", cap=True))
    text = str(caught.value)
    assert "option cap_v1 must be true or false" in text
    assert "option vacuum must be one of A16, A14" in text
    assert "unknown option cap;" in text


def test_three_intensities_are_refused(lim_block: MakeInput) -> None:
    with pytest.raises(ConfigError, match="for 2 intensities, the counts have 3"):
        BOUND.evaluate(lim_block())


def test_missing_intensities_are_refused(rusca_block: MakeInput) -> None:
    with pytest.raises(ConfigError, match="needs 2 intensities and their probabilities"):
        evaluate(BoundInput(rusca_block().counts, (), (), 0, 1e-9, 1e-15))
