"""Logs are rotated, and waits grow."""

import logging
from pathlib import Path

from faintlink.acquisition.unattended.backoff import Backoff
from faintlink.acquisition.unattended.logs import logged_to


def test_the_log_is_rotated_by_size_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    logger = logging.getLogger("faintlink.somewhere")
    with logged_to(tmp_path / "night" / "log", max_bytes=2000, kept=2):
        for number in range(200):
            logger.info("message %d", number)
        logger.debug("not kept")
    files = sorted((tmp_path / "night").iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert "message 199" in files[0].read_text()
    assert "Z INFO    faintlink.somewhere: message" in files[0].read_text()
    assert not any("not kept" in file.read_text() for file in files)


def test_the_terminal_says_no_more_than_before(tmp_path: Path) -> None:
    said: list[str] = []

    class Terminal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, terminal = logging.getLogger("faintlink"), Terminal()
    level = logger.level
    logger.addHandler(terminal)
    logger.setLevel(logging.WARNING)
    try:
        with logged_to(tmp_path / "log"):
            logger.info("for the file")
            logger.warning("for both")
        assert logger.level == logging.WARNING
        assert terminal.level == logging.NOTSET
    finally:
        logger.removeHandler(terminal)
        logger.setLevel(level)
    assert said == ["for both"]
    assert "for the file" in (tmp_path / "log").read_text()


def test_waits_double_up_to_their_limit_and_begin_anew_after_three_good_runs() -> None:
    backoff = Backoff(spread=0.0)
    assert [backoff.failed() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    backoff.succeeded()
    backoff.succeeded()
    assert backoff.failed() == 60.0
    for _ in range(3):
        backoff.succeeded()
    assert backoff.failed() == 1.0


def test_two_sites_do_not_knock_in_step() -> None:
    waits = {Backoff().failed() for _ in range(5)}
    assert len(waits) == 5
    assert all(1.0 <= wait < 1.1 for wait in waits)
