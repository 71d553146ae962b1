"""The static check of a ``*.station.yaml`` file: every fault with file and line, before any instrument is touched.

Used by `station`. The format is the QCoDeS Station schema, taken strictly: QCoDeS only warns about what it does not
know, and reports a wrong class name without saying where it stands.
"""

import difflib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from faintlink.core.errors import ConfigError

ENTRY_KEYS = (
    "type",
    "address",
    "port",
    "init",
    "parameters",
    "add_parameters",
    "enable_forced_reconnect",
)
"""What an entry under ``instruments`` may say."""


@dataclass(frozen=True, slots=True)
class StationEntry:
    """One instrument of a station file."""

    name: str
    """Its name in the station."""
    line: int
    """Line on which its entry starts, from 1."""
    type_name: str
    """Dotted path of its class."""


def read_station_file(path: Path) -> list[StationEntry]:
    """Return the entries of a station file, in its order.

    Raises
    ------
    ConfigError
        The file cannot be read, is no YAML, or breaks the schema; ``faults`` lists every fault as
        ``file:line: where: what``.
    """
    root = _compose(path)
    faults: list[str] = []
    entries: list[StationEntry] = []
    for key, value in _items(root, "the file", path, faults):
        if key.value != "instruments":
            faults.append(_at(path, key, key.value, "unknown section; a station file has only 'instruments'"))
            continue
        for name, entry in _items(value, "instruments", path, faults):
            entries.append(_entry(name, entry, path, faults))
    if not entries and not faults:
        faults.append(f"{path}:1: instruments: there is none")
    if faults:
        raise config_error(path, faults)
    return entries


def config_error(path: Path, faults: list[str], *, hint: str = "") -> ConfigError:
    """Return the error that reports faults of a station file."""
    count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
    return ConfigError(
        f"{path} has {count}:\n" + "\n".join(f"  {fault}" for fault in faults),
        hint=hint or "correct the lines named; nothing was connected",
        path=str(path),
        faults=faults,
    )


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="check the path", path=str(path)) from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        fault = f"{path}:{line}: YAML: {error.problem or error.context}"
        raise config_error(path, [fault], hint="indent with spaces, and put a space after each colon") from error


def _items(
    node: yaml.Node | None, where: str, path: Path, faults: list[str]
) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the items of a mapping; report anything else, and keys that stand twice."""
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1 if node else 1
        faults.append(f"{path}:{line}: {where}: expected 'name: value' lines")
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            faults.append(_at(path, key, f"{where}.{key.value}", "stands twice; YAML would silently keep the last"))
        seen.add(key.value)
        yield key, value


def _entry(name: yaml.ScalarNode, node: yaml.Node, path: Path, faults: list[str]) -> StationEntry:
    where = f"instruments.{name.value}"
    if not name.value.isidentifier():
        faults.append(_at(path, name, where, "a name takes letters, digits and underscores, and no digit first"))
    parts: dict[str, yaml.Node] = {}
    for key, value in _items(node, where, path, faults):
        parts[key.value] = value
        if key.value not in ENTRY_KEYS:
            near = difflib.get_close_matches(key.value, ENTRY_KEYS, 1)
            remedy = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(ENTRY_KEYS)}"
            faults.append(_at(path, key, f"{where}.{key.value}", f"unknown key; {remedy}"))
    kind = parts.get("type")
    if not isinstance(kind, yaml.ScalarNode):
        faults.append(_at(path, name, where, "has no type; give the dotted path of its class"))
        return StationEntry(name.value, name.start_mark.line + 1, "")
    problem = _type_problem(kind.value)
    if problem:
        faults.append(_at(path, kind, f"{where}.type", problem))
    return StationEntry(name.value, name.start_mark.line + 1, kind.value)


def _type_problem(dotted: str) -> str:
    """Return what is wrong with the dotted path of a class; empty if nothing is."""
    module_name, _, class_name = dotted.rpartition(".")
    if not module_name or ":" in dotted:
        return f"{dotted!r} is no dotted path; write package.module.Class"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        return f"cannot import {module_name}: {error}"
    if isinstance(getattr(module, class_name, None), type):
        return ""
    classes = [name for name, value in vars(module).items() if isinstance(value, type)]
    near = difflib.get_close_matches(class_name, classes, 1)
    return f"{module_name} has no class {class_name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _at(path: Path, node: yaml.Node, where: str, what: str) -> str:
    return f"{path}:{node.start_mark.line + 1}: {where}: {what}"
