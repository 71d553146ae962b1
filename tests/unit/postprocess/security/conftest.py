"""Published and cross-checked blocks that several tests start from."""

from collections.abc import Callable

import pytest

from faintlink.core.records import DecoyCounts
from faintlink.postprocess.security.inputs import BoundInput

MakeInput = Callable[..., BoundInput]


@pytest.fixture(scope="session")
def rusca_block() -> MakeInput:
    """Return a maker of vector V1: three independent implementations agree on its length of 1464719 bits.

    They are a formally verified interval evaluation in Lean 4, a vendor's script and a reference of ours.
    """

    def make(
        n_key: tuple[int, int] = (8875913, 1124087),
        n_test: tuple[int, int] = (165048, 20902),
        m_key: tuple[int, int] = (185856, 26055),
        m_test: tuple[int, int] = (3456, 484),
        leak_ec: int = 1776924,
        **options: object,
    ) -> BoundInput:
        counts = DecoyCounts(n_key, n_test, m_key, m_test)
        return BoundInput(counts, (0.51, 0.15), (0.7, 0.3), leak_ec, 1e-9, 1e-15, options)

    return make


@pytest.fixture(scope="session")
def lim_block() -> MakeInput:
    """Return a maker of vector V2: checked against SatQuMA on the un-rounded counts of the same block."""

    def make(
        n_key: tuple[int, int, int] = (76840857, 9248601, 14843),
        n_test: tuple[int, int, int] = (948653, 114180, 183),
        m_test: tuple[int, int, int] = (5273, 635, 1),
        leak_ec: int = 4957923,
        intensities: tuple[float, float, float] = (0.5, 0.12, 2e-4),
        **options: object,
    ) -> BoundInput:
        counts = DecoyCounts(n_key, n_test, (0, 0, 0), m_test)
        return BoundInput(counts, intensities, (0.6, 0.3, 0.1), leak_ec, 1e-9, 1e-15, options, has_key_errors=False)

    return make


@pytest.fixture(scope="session")
def pair_block() -> MakeInput:
    """Return a maker of a block without intensities: 100000 key bits, 10000 test bits, 1 % errors."""

    def make(
        n: int = 100_000,
        k: int = 10_000,
        errors: int = 100,
        leak_ec: int = 10_000,
        eps_sec: float = 1e-9,
        **options: object,
    ) -> BoundInput:
        return BoundInput(DecoyCounts((n,), (k,), (0,), (errors,)), (), (), leak_ec, eps_sec, 1e-15, options)

    return make
