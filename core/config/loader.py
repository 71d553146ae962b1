"""Load a YAML file into a strict model, reporting every fault at once, each with file and line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from faintlink.core.config.link import LinkConfig
from faintlink.core.config.models import StrictModel
from faintlink.core.errors import ConfigError

Model = TypeVar("Model", bound=StrictModel)
_MAX_BYTES = 1 << 20


class _FaultsError(Exception):
    """What is wrong with a text, before it is known where its fields are described."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(*faults)
        self.faults = faults


class _Loader(yaml.SafeLoader):
    """YAML with the floats people write (80e6, 1e-9) and without duplicate keys."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def load_link(path: Path) -> LinkConfig:
    """Return the link configuration of a file.

    Raises
    ------
    ConfigError
        With every fault in ``faults``.
    """
    return parse_link(path)[1]


def parse_link(path: Path) -> tuple[str, LinkConfig]:
    """Return the text of a link file, which goes into the run files, and what it says; raises as `load_link`."""
    text = _read(path)
    return text, parse_yaml(text, LinkConfig, str(path))


def parse_yaml(text: str, model: type[Model], where: str) -> Model:
    """Return ``text`` as a ``model``; ``where`` names the file in messages.

    Raises
    ------
    ConfigError
        The YAML is malformed, or the model refuses it. ``faults`` lists each fault as ``file:line: path: what``.
    """
    try:
        root = _compose(text, where)
        duplicates = list(_duplicate_keys(root, where))
        if duplicates:
            raise _FaultsError(duplicates)
        return model.model_validate_json(json.dumps(_construct(text, where)))
    except _FaultsError as found:
        faults = found.faults
    except ValidationError as error:
        faults = [_fault(where, root, entry["loc"], _wording(entry)) for entry in error.errors()]
    except (TypeError, ValueError) as error:
        faults = [f"{where}:1: {error}"]
    raise _config_error(where, faults, model.described_in)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than {_MAX_BYTES} bytes", hint="is it a configuration file?")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}", hint="name a YAML file such as those in lab_configs/"
        ) from error


def _compose(text: str, where: str) -> yaml.Node:
    try:
        aliases = list(_aliases(text, where))
        root = yaml.compose(text, Loader=_Loader)
    except RecursionError:
        raise _FaultsError([f"{where}:1: nested too deeply"]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise _FaultsError([f"{where}:{line}: not YAML: {getattr(error, 'problem', error)}"]) from None
    if aliases:
        raise _FaultsError(aliases)
    if not isinstance(root, yaml.MappingNode):
        raise _FaultsError([f"{where}:1: expected a mapping of sections, found something else"])
    return root


def _aliases(text: str, where: str) -> Iterator[str]:
    # An alias can make a small file enormous, or its own part; nothing in a configuration needs one.
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            yield f"{where}:{line}: *{event.anchor}: write the value out; aliases are not read"


def _construct(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        raise _FaultsError([f"{where}:1: {error}"]) from None


def _duplicate_keys(node: yaml.Node, where: str) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield f"{where}:{key.start_mark.line + 1}: a key must be a name or a number"
                continue
            if key.value in seen:
                yield f"{where}:{key.start_mark.line + 1}: {key.value}: appears twice"
            seen.add(key.value)
            yield from _duplicate_keys(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item, where)


def _wording(entry: Any) -> str:
    if entry["type"] == "extra_forbidden":
        return "unknown key"
    if entry["type"] == "missing":
        return "required, but missing"
    seen = entry.get("input")
    shown = f", got {seen!r}" if isinstance(seen, str | int | float | bool) else ""
    return str(entry["msg"]).removeprefix("Value error, ") + shown


def _fault(where: str, root: yaml.Node, loc: tuple[int | str, ...], message: str) -> str:
    line, path = _locate(root, loc)
    return f"{where}:{line}: {path}{message}"


def _locate(root: yaml.Node, loc: tuple[int | str, ...]) -> tuple[int, str]:
    """Return the line of the deepest node that ``loc`` reaches, and the readable path to it."""
    node, line, path = root, root.start_mark.line + 1, ""
    for step in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                # A missing key, or a name of pydantic's own for a branch of a union.
                path += f"{step}: "
                continue
            line, node = found[0].start_mark.line + 1, found[1]
            path += f"{step}: "
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
            path += f"[{step}]: "
    return line, path


def _config_error(where: str, faults: list[str], described_in: str) -> ConfigError:
    count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
    return ConfigError(
        f"{where} has {count}:\n" + "\n".join(f"  {fault}" for fault in faults),
        hint=f"{described_in} describes every field",
        faults=faults,
    )
