"""Write ``kme.yaml`` by program: whole or not at all, and only what a site can read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from faintlink.core.config.loader import parse_yaml
from faintlink.delivery.kme.config import FILE_NAME, KmeConfig


def text_of(data: dict[str, Any]) -> str:
    """Return the text of a configuration."""
    text = "# Of faintlink kme; docs/reference/kme-config.md describes every field.\n"
    return text + yaml.safe_dump(data, sort_keys=False)


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> str:
    """Return the text of a site's configuration after a change of its data.

    Raises
    ------
    ConfigError
        The site could not read it.
    """
    data = yaml.safe_load((folder / FILE_NAME).read_text(encoding="utf-8"))
    change(data)
    text = text_of(data)
    parsed(text, folder)
    return text


def parsed(text: str, folder: Path) -> KmeConfig:
    """Return the configuration in a text; raises as `load_kme`."""
    return parse_yaml(text, KmeConfig, str(folder / FILE_NAME))


def put(folder: Path, text: str) -> None:
    """Put a text in the place of a site's configuration."""
    # A server that reads it again must find the old text or the new one.
    fresh = folder / f"{FILE_NAME}.new"
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(folder / FILE_NAME)
