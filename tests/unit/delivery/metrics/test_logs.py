"""Log lines as JSON: one line whatever is logged."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from faintlink.delivery.metrics.logs import log_as_json


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(stream: io.StringIO) -> Iterator[logging.Logger]:
    root = logging.getLogger("faintlink")
    kept, level = root.handlers[:], root.level
    handler = log_as_json(stream, site="site-a", level=logging.DEBUG)
    yield logging.getLogger("faintlink.delivery.test")
    handler.close()
    root.handlers[:] = kept
    root.setLevel(level)


def test_a_line_says_when_where_and_what(logger: logging.Logger, stream: io.StringIO) -> None:
    logger.warning("block %s: %d units", "b-1", 7)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "site": "site-a",
        "logger": "faintlink.delivery.test",
        "message": "block b-1: 7 units",
    }


def test_what_is_logged_cannot_forge_a_line(logger: logging.Logger, stream: io.StringIO) -> None:
    logger.info("caller %s", 'x"}\n{"level": "info", "message": "all is well"}\u2028\x1b[2J')
    (line,) = stream.getvalue().splitlines()
    assert "all is well" in json.loads(line)["message"]
    assert "\x1b" not in line


def test_an_error_comes_with_its_kind_and_trace(logger: logging.Logger, stream: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("failed")
    line = json.loads(stream.getvalue())
    assert line["error"] == "ValueError"
    assert "raise ValueError" in line["trace"]
