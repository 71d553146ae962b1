"""The log of an unattended link: a file that is rotated by size, so that it never fills the disk."""

import logging
import logging.handlers
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

MAX_BYTES = 5 << 20
KEPT = 9
"""Old files beside the one that is written: 50 MB in all."""


class _Private(logging.handlers.RotatingFileHandler):
    """A rotating file that only its owner reads."""

    def _open(self) -> TextIOWrapper:
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))
        return super()._open()


@contextmanager
def logged_to(path: Path, *, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> Iterator[None]:
    """Send everything that faintlink says at level INFO and above to a rotated file meanwhile.

    Parameters
    ----------
    path
        Of the newest file; older ones are beside it as ``.1``, ``.2`` and so on.
    max_bytes
        Size from which a new file is begun.
    kept
        How many old files are kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = _Private(path, maxBytes=max_bytes, backupCount=kept, encoding="utf-8", delay=True)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.setLevel(logging.INFO)
    logger = logging.getLogger("faintlink")
    before, others = logger.level, [(other, other.level) for other in logger.handlers]
    for other, level in others:
        # The terminal says as much as before, and not all that the file keeps.
        other.setLevel(max(level, logger.getEffectiveLevel()))
    logger.addHandler(handler)
    logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        for other, level in others:
            other.setLevel(level)
        handler.close()
