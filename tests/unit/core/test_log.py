"""Logging of the command line."""

import logging
from collections.abc import Iterator

import pytest

from faintlink.core.log import configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    logger = logging.getLogger("faintlink")
    kept, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = kept
    logger.setLevel(level)


@pytest.mark.parametrize(("verbosity", "shown"), [(0, 1), (1, 2), (2, 3), (9, 3)])
def test_verbosity_chooses_the_level(verbosity: int, shown: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure(verbosity)
    logger = logging.getLogger("faintlink.test")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logger.log(level, "line %d", level)
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == shown
    assert captured.out == ""


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure(0)
    configure(0)
    logging.getLogger("faintlink.test").warning("once")
    assert capsys.readouterr().err.count("once") == 1
