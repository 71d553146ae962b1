"""The rate of infinite blocks lies above every finite one and promises nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security import lim2014, rusca2018, tomamichel2012
from faintlink.postprocess.security.asymptotic import BOUND, epsilon_parts, evaluate
from faintlink.postprocess.security.bound import BoundKind
from faintlink.postprocess.security.inputs import BoundInput

MakeInput = Callable[..., BoundInput]


@pytest.mark.parametrize(
    ("maker", "finite"), [("rusca_block", rusca2018), ("lim_block", lim2014), ("pair_block", tomamichel2012)]
)
def test_it_exceeds_the_finite_bound(request: pytest.FixtureRequest, maker: str, finite: Any) -> None:
    given = request.getfixturevalue(maker)()
    assert finite.evaluate(given).length < evaluate(given).length <= given.counts.key.bits


def test_a_finite_bound_approaches_it_as_the_block_grows(rusca_block: MakeInput) -> None:
    lengths = []
    for factor in (1, 10**8):
        counts = {
            name: tuple(n * factor for n in getattr(rusca_block().counts, name))
            for name in ("n_key", "n_test", "m_key", "m_test")
        }
        given = rusca_block(**counts, leak_ec=1776924 * factor)
        lengths.append(rusca2018.evaluate(given).length / evaluate(given).length)
    assert lengths[0] < 0.75
    assert lengths[1] == pytest.approx(1.0, abs=2e-3)


def test_pairs_give_the_textbook_rate() -> None:
    given = BoundInput(DecoyCounts((10**6,), (10**5,), (0,), (11_003,)), (), (), 0, 1e-9, 1e-15)
    # h(0.11003) is one half.
    assert evaluate(given).length == pytest.approx(500_000, rel=1e-3)


def test_it_is_labelled_wherever_it_is_shown(pair_block: MakeInput) -> None:
    assert BOUND.kind is BoundKind.PLANNING
    assert "NOT SECURE FOR FINITE BLOCKS" in evaluate(pair_block()).assumptions[0]
    assert epsilon_parts(pair_block())[0].value == 1.0


def test_missing_key_errors_are_refused_for_one_decoy(rusca_block: MakeInput) -> None:
    block = rusca_block()
    filled = BoundInput(block.counts, block.intensities, block.probabilities, 0, 1e-9, 1e-15, has_key_errors=False)
    with pytest.raises(ConfigError, match="m_key is missing"):
        evaluate(filled)
