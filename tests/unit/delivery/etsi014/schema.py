"""The shipped OpenAPI file, and validators of what it describes."""

from functools import cache
from typing import Any

import jsonschema
import yaml

from tests.data import ROOT

PATH = ROOT / "delivery" / "etsi014" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return loaded


@cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    """Return the validator of a schema of the file; OpenAPI 3.1 uses JSON Schema 2020-12."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    return jsonschema.Draft202012Validator(schema)


def fits(name: str, value: Any) -> bool:
    """Return whether a value is what a schema of the file describes."""
    return bool(validator(name).is_valid(value))
