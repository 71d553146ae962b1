"""Optional libraries, loaded when they are needed and named when they are missing."""

import importlib
from typing import Any

from faintlink.core.errors import ConfigError


def required(module: str, *, extra: str) -> Any:
    """Return an optional library.

    Raises
    ------
    ConfigError
        It is not installed; the hint names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{module.partition('.')[0]} is needed for this and cannot be imported: {error}",
            hint=f"pip install 'faintlink[{extra}]'",
        ) from error
