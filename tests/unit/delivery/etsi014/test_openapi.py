"""The OpenAPI file says what the program does."""

import json
from typing import Any

import jsonschema
import pytest

from faintlink.delivery.etsi014.settings import Api014Settings
from faintlink.delivery.etsi014.targets import PREFIX, Method
from tests.unit.delivery.etsi014.case import Case
from tests.unit.delivery.etsi014.cases import CASES
from tests.unit.delivery.etsi014.schema import document, validator

DESCRIBED = [case for case in CASES if case.status not in (404, 405) and case.request.path.startswith(PREFIX)]
ANSWERS = {"status": "Status", "enc_keys": "KeyContainer", "dec_keys": "KeyContainer"}


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for member in value.values() for found in references(member)]
    return [found for member in value for found in references(member)] if isinstance(value, list) else []


def resolved(reference: str) -> Any:
    found = document()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    used = set(references(document()))
    for reference in used:
        assert resolved(reference)
    components = document()["components"]
    named = {
        f"#/components/{kind}/{name}" for kind in components if kind != "securitySchemes" for name in components[kind]
    }
    assert used == named


@pytest.mark.parametrize("name", document()["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(document()["components"]["schemas"][name])


def test_the_file_names_the_methods_and_verbs_of_the_service() -> None:
    named = {
        (path.rpartition("/")[2], verb.upper())
        for path, item in document()["paths"].items()
        for verb in item
        if verb != "parameters"
    }
    assert named == {(method.value, verb) for method in Method for verb in method.verbs}
    assert all(path.startswith(PREFIX + "{") for path in document()["paths"])


def test_the_limits_are_those_of_the_default_settings() -> None:
    settings, schemas = Api014Settings(), document()["components"]["schemas"]
    size, number = schemas["Size"], schemas["Number"]
    assert (size["minimum"], size["maximum"], size["default"]) == (
        settings.min_key_size,
        settings.max_key_size,
        settings.key_size,
    )
    lists = (schemas["KeyIds"]["properties"]["key_IDs"], schemas["KeyContainer"]["properties"]["keys"])
    assert {number["maximum"], *(entry["maxItems"] for entry in lists)} == {settings.max_key_per_request}
    assert schemas["SaeId"]["maxLength"] == settings.max_sae_id_length


@pytest.mark.parametrize("case", DESCRIBED, ids=lambda case: case.name)
def test_an_answer_is_described(case: Case) -> None:
    method = case.request.path.rpartition("/")[2]
    item = next(item for path, item in document()["paths"].items() if path.endswith(f"/{method}"))
    response = item[case.request.method.lower()]["responses"][str(case.status)]
    response = resolved(response["$ref"]) if "$ref" in response else response
    assert ("content" in response) == bool(case.body)
    if case.body:
        validator(ANSWERS[method] if case.status == 200 else "Error").validate(json.loads(case.body))


@pytest.mark.parametrize("case", [case for case in CASES if case.request.method == "POST" and case.request.body])
def test_a_body_that_gets_keys_is_described(case: Case) -> None:
    if case.status == 200:
        schema = "KeyRequest" if case.request.path.endswith("enc_keys") else "KeyIds"
        validator(schema).validate(json.loads(case.request.body))
