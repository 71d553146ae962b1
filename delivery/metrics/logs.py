"""Log lines as JSON, one object a line, for collectors that read machines' logs.

A line cannot be split or forged by what is logged: every character that JSON may escape is. It holds what the logger
was given and nothing of the objects behind it.
"""

import json
import logging
from datetime import UTC, datetime
from typing import TextIO

_LEVELS = {"CRITICAL": "critical", "ERROR": "error", "WARNING": "warning", "INFO": "info", "DEBUG": "debug"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    Parameters
    ----------
    site
        Name of the site, in every line.
    """

    def __init__(self, site: str) -> None:
        super().__init__()
        self._site = site

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "site": self._site,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            # A traceback's lines of source are no values; the values that an error names are in its message.
            line["error"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json(stream: TextIO, *, site: str, level: int = logging.INFO) -> logging.Handler:
    """Send faintlink's log to a stream as JSON, instead of where it went before, and return the handler."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(site))
    logger = logging.getLogger("faintlink")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    return handler
