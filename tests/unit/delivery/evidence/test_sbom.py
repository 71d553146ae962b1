"""The list of parts against what is installed, by another reading of the same metadata."""

import json
import re
from importlib.metadata import PackageNotFoundError, distribution, distributions

import pytest

from faintlink.delivery.evidence.sbom import Component, as_cyclonedx, components, normalised


@pytest.fixture(scope="module")
def found() -> dict[str, Component]:
    return components()


def installed_closure() -> set[str]:
    """Every installed distribution that faintlink leads to, by the reference library for requirements."""
    requirements = pytest.importorskip("packaging.requirements")
    root = distribution("faintlink")
    extras = set(root.metadata.get_all("Provides-Extra") or ())
    closure: set[str] = set()
    waiting = [("faintlink", frozenset({"", *extras}))]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue
        closure.add(normalised(name))
        for text in installed.requires or ():
            needed = requirements.Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in wanted):
                waiting.append((needed.name, frozenset({"", *needed.extras})))
    return closure


def test_every_installed_distribution_of_the_closure_is_listed(found: dict[str, Component]) -> None:
    missing = installed_closure() - set(found)
    assert not missing


def test_nothing_is_listed_that_is_not_installed(found: dict[str, Component]) -> None:
    there = {normalised(one.metadata["Name"]): one.version for one in distributions()}
    assert {name: one.version for name, one in found.items()}.items() <= there.items()


def test_what_is_always_needed_is_told_from_what_an_extra_brings(found: dict[str, Component]) -> None:
    needed = {
        normalised(re.split(r"[<>=!~\[; ]", one)[0])
        for one in distribution("faintlink").requires or ()
        if ";" not in one
    }
    assert needed
    assert not any(found[name].is_optional for name in needed)
    assert found["cffi"].is_optional is False
    assert found["pytest"].is_optional is True


def test_the_document_has_the_members_of_cyclonedx(found: dict[str, Component]) -> None:
    bom = as_cyclonedx(found)
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
    assert bom["metadata"]["component"]["name"] == "faintlink"
    references = {one["bom-ref"] for one in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
    assert len(references) == len(bom["components"]) + 1
    for row in bom["dependencies"]:
        assert {row["ref"], *row["dependsOn"]} <= references
    assert all(one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}" for one in bom["components"])


@pytest.mark.slow
def test_the_document_is_valid_by_the_schema(found: dict[str, Component]) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_5)
    try:
        fault = validator.validate_str(json.dumps(as_cyclonedx(found)))
    except Exception as error:  # the library says so only when it is used
        if type(error).__name__ != "MissingOptionalDependencyException":
            raise
        pytest.skip("the validator's own extra is not installed")
    assert fault is None
