"""A clean instrument registry for every test of a driver."""

from collections.abc import Iterator

import pytest
from qcodes.instrument import Instrument


@pytest.fixture(autouse=True)
def _close_instruments() -> Iterator[None]:
    yield
    Instrument.close_all()
