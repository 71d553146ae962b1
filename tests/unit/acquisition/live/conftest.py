"""A window without a screen."""

import os

import pytest

from faintlink.acquisition.live.toolkit import Toolkit, load
from faintlink.core.errors import FaintlinkError

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def kit() -> Toolkit:
    try:
        return load()
    except FaintlinkError as error:
        pytest.skip(error.message)
