"""Write docs/reference/link-file.md from the models of the link file, so that the page cannot go stale.

Run as ``python docs/gen_link_reference.py``; a test compares the page with what this would write.
"""

import ast
import inspect
import json
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from faintlink.core.config import link
from faintlink.core.symbols import Protocol

PAGE = Path(__file__).resolve().parent / "reference" / "link-file.md"
INTRODUCTION = """# Link file

<!-- Written by docs/gen_link_reference.py from core/config/link.py; do not edit. -->

A link file says which instrument fills which role, what is played over the link, and the security policy.
It is YAML; its text goes into every run file. Unknown keys, duplicate keys and aliases are refused, and all
faults of a file are reported at once, each with its line. `lab_configs/demo.link.yaml` is an example.

A field without a default is required.
"""


def sections() -> list[type[BaseModel]]:
    """Return the models of the file, the whole file first, then in the order in which fields name them."""
    order: list[type[BaseModel]] = [link.LinkConfig]
    for model in order:
        for field in model.model_fields.values():
            named = [kind for kind in _parts(field.annotation) if kind not in order]
            order.extend(named)
    return order


def _parts(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inner in getattr(annotation, "__args__", ()) for part in _parts(inner)]


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the text that stands below each field in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return found


def _type(name: str, schema: dict[str, Any]) -> str:
    del name
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", maxsplit=1)[-1]
    if "allOf" in schema:
        return _type("", schema["allOf"][0])
    if "anyOf" in schema:
        return " or ".join(_type("", entry) for entry in schema["anyOf"] if entry.get("type") != "null")
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if "prefixItems" in schema:
        return "[" + ", ".join(_type("", entry) for entry in schema["prefixItems"]) + "]"
    if schema.get("type") == "array":
        return f"list of {_type('', schema['items'])}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"mapping to {_type('', schema['additionalProperties'])}"
    return str(schema.get("type", "any")) + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f", {' and '.join(limits)}" if limits else ""


def _default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.default_factory is not None:
        return "`{}`"
    if field.default is PydanticUndefined:
        return ""
    if isinstance(field.default, BaseModel):
        return "its defaults"
    if field.default in (None, ""):
        return "none" if field.default is None else "empty"
    if isinstance(field.default, str):
        return f"`{field.default}`"
    # JSON is YAML too, so a default can be copied into a file.
    return f"`{json.dumps(field.default)}`"


def _section(model: type[BaseModel]) -> str:
    schema = model.model_json_schema(ref_template="{model}")["properties"]
    described = _descriptions(model)
    title = "The file" if model is link.LinkConfig else model.__name__
    lines = [f"## {title}", "", inspect.cleandoc(model.__doc__ or ""), "", "| Field | Type | Default | Meaning |"]
    lines.append("| --- | --- | --- | --- |")
    for name in model.model_fields:
        kind = _type(name, schema[name]).replace("|", "\\|")
        lines.append(f"| `{name}` | {kind} | {_default(model, name)} | {described[name]} |")
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    values = "\n".join(f"- `{protocol}`" for protocol in Protocol)
    parts = [INTRODUCTION, *(_section(model) + "\n" for model in sections()), f"## Protocol\n\n{values}\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
