"""Change parameters of a link for one analysis: ``gate.half_width_ps=300``.

Used by `faintlink process --set` and by campaigns. The run files stay as they are; what was changed stands beside
the results. A changed configuration passes the same checks as a link file.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.core.config.models import StrictModel
from faintlink.core.errors import ConfigError

_HINT = "names are those of the link file, joined by dots; docs/reference/link-file.md describes every field"

_FREE = ("options", "roles")
"""Sections whose names the link file is free to choose."""


class _Value(StrictModel):
    value: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter that differs from the link file's."""

    name: str
    """Path within the link file, joined by dots."""
    was: Any
    """Value before, as JSON holds it; None for a section or option that was not there."""
    now: Any
    """Value after, as JSON holds it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the change for JSON."""
        return {"name": self.name, "was": self.was, "now": self.now}


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Return ``NAME=VALUE`` texts as values by name; values are written as in a link file.

    Raises
    ------
    ConfigError
        A text without ``=``, a value that is not YAML, or a name twice.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"{text!r} is not of the form NAME=VALUE", hint="for example gate.half_width_ps=300")
        if name.strip() in settings:
            raise ConfigError(f"{name.strip()} is set twice", hint="leave one of them out")
        settings[name.strip()] = parse_yaml(f"value: {value.strip() or 'null'}", _Value, f"--set {name.strip()}").value
    return settings


def changed(link: LinkConfig, settings: Mapping[str, Any]) -> tuple[LinkConfig, tuple[Change, ...]]:
    """Return a link with other values, and what they replaced; a value equal to the old one is no change.

    Parameters
    ----------
    link
        As the run or a file gives it.
    settings
        New values by dotted name.

    Raises
    ------
    ConfigError
        A name that is not there, or values that the link's checks refuse; every fault is listed.
    """
    if not settings:
        return link, ()
    plain = link.model_dump(mode="json")
    absent: set[str] = set()
    before = [_put(plain, name, value, absent) for name, value in settings.items()]
    try:
        new = LinkConfig.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, entry['loc'])) or 'link'}: {entry['msg'].removeprefix('Value error, ')}"
            for entry in error.errors()
        ]
        text = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"the changed configuration is refused:\n{text}", hint=_HINT, faults=faults) from None
    after = new.model_dump(mode="json")
    changes = [Change(name, was, _get(after, name)) for name, was in zip(settings, before, strict=True)]
    return new, tuple(change for change in changes if change.was != change.now)


def _put(plain: dict[str, Any], name: str, value: Any, absent: set[str]) -> Any:
    """Set a value in a plain configuration and return the old one; ``absent`` collects sections that were null."""
    *way, last = name.split(".")
    node: Any = plain
    for number, step in enumerate(way):
        if isinstance(node, dict) and node.get(step, node) is None:
            node[step] = {}
            absent.add(".".join(way[: number + 1]))
        node = node[_key(node, step, name)]
    is_free = bool(way) and (way[-1] in _FREE or ".".join(way) in absent)
    if isinstance(node, dict) and last not in node and is_free:
        node[last] = value
        return None
    key = _key(node, last, name)
    was, node[key] = node[key], value
    return was


def _get(plain: Any, name: str) -> Any:
    for step in name.split("."):
        plain = plain[_key(plain, step, name)]
    return plain


def _key(node: Any, step: str, name: str) -> str | int:
    if isinstance(node, dict) and step in node:
        return step
    if isinstance(node, list) and step.isdecimal() and int(step) < len(node):
        return int(step)
    known = [str(key) for key in node] if isinstance(node, dict) else []
    if isinstance(node, list):
        known = [str(number) for number in range(len(node))]
    near = get_close_matches(step, known, n=1)
    seen = f"known there: {', '.join(known)}" if known else "there is a single value there"
    raise ConfigError(
        f"{name}: no {step!r}; {seen}", hint=f"did you mean {near[0]}?" if near else _HINT, seen=step, expected=known
    )
