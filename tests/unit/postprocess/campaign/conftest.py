"""What tests of reanalysis share: bounds that they register are forgotten after each."""

from collections.abc import Iterator

import pytest

from faintlink.postprocess.security import registry


@pytest.fixture(autouse=True)
def _forget_bounds() -> Iterator[None]:
    """Restore the registry of bounds."""
    before = dict(registry._BOUNDS)
    yield
    registry._BOUNDS.clear()
    registry._BOUNDS.update(before)
