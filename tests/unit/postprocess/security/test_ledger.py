"""The epsilon ledger adds exactly and rounds only upwards."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonLedger, EpsilonPart

parts = st.builds(EpsilonPart, st.just("part"), st.floats(0, 1), st.just("source"), st.sampled_from(list(EpsilonKind)))
ledgers = st.builds(EpsilonLedger, st.lists(parts, max_size=30).map(tuple))


@given(ledgers)
def test_the_total_is_never_below_the_exact_sum_of_the_parts(ledger: EpsilonLedger) -> None:
    exact = sum((Fraction(part.value) for part in ledger.parts), Fraction(0))
    assert Fraction(ledger.total) >= exact == ledger.exact_total()
    assert ledger.total <= float(exact) * (1 + 2**-52)


@given(ledgers)
def test_the_kinds_together_make_the_total(ledger: EpsilonLedger) -> None:
    together = ledger.secrecy + ledger.correctness + ledger.authentication
    assert together == pytest.approx(ledger.total, rel=1e-15)


@given(ledgers, ledgers, ledgers)
def test_ledgers_add_in_any_grouping(a: EpsilonLedger, b: EpsilonLedger, c: EpsilonLedger) -> None:
    assert (a + b) + c == a + (b + c)
    assert (a + b).exact_total() == a.exact_total() + b.exact_total()
    assert a + EpsilonLedger() == a


@given(ledgers)
def test_merging_equal_parts_keeps_the_exact_total(ledger: EpsilonLedger) -> None:
    if ledger.exact_total() <= 1:
        assert ledger.merged().exact_total() == ledger.exact_total()


@given(st.floats(1e-30, 1e-3), st.integers(1, 50))
def test_shares_add_up_exactly_to_the_whole(whole: float, of: int) -> None:
    shares = tuple(EpsilonPart.share("one", whole=whole, count=1, of=of, source="s") for _ in range(of))
    assert EpsilonLedger(shares).total == whole
    assert sum(Fraction(share.value) for share in shares) >= Fraction(whole)


def test_ten_keys_of_a_tenth_of_an_epsilon_total_what_decimal_sums_would_lose() -> None:
    ledger = EpsilonLedger(tuple(EpsilonPart("key", 0.1, "s") for _ in range(10)))
    assert ledger.total == 1.0000000000000002


def test_rows_name_each_part_with_its_kind_and_source() -> None:
    part = EpsilonPart("forged tag", 1e-12, "Wegman & Carter 1981", EpsilonKind.AUTHENTICATION)
    assert EpsilonLedger((part,)).as_rows() == (("forged tag", "authentication", 1e-12, "Wegman & Carter 1981"),)


@pytest.mark.parametrize("value", [-1e-9, 1.5, float("nan"), float("inf")])
def test_a_part_that_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"must lie in 0\.\.1"):
        EpsilonPart("part", value, "s")


def test_a_part_rounded_down_is_refused() -> None:
    with pytest.raises(ConfigError, match="round up"):
        EpsilonPart("part", 0.1, "s", exact=Fraction(0.1) + Fraction(1, 10**30))
