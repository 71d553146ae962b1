"""Logging of the command line; the library itself only names loggers and never configures handlers.

Key material is never logged: no function of this package passes key bits to a logger.
"""

import logging
import sys

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)


def configure(verbosity: int) -> None:
    """Send faintlink's log to standard error; ``verbosity`` 0 shows warnings, 1 progress, 2 everything."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("faintlink")
    logger.handlers[:] = [handler]
    logger.setLevel(LEVELS[min(verbosity, len(LEVELS) - 1)])
