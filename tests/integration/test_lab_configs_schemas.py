"""Every shipped configuration is what the published schemas say, and names them for editors."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from faintlink.core.config.loader import load_link
from faintlink.instruments.station_file import read_station_file
from tests.data import ROOT
from tests.unit.test_docs import generator

LAB = ROOT / "lab_configs"
FILES = sorted(path.name for path in LAB.glob("*.yaml"))


class Yaml12Loader(yaml.SafeLoader):
    """Reads ``1e-9`` as a number, as YAML 1.2, editors and the link file's loader do, and PyYAML does not."""


Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def content(path: Path) -> Any:
    """Return a file as JSON sees it: its keys are texts."""
    return json.loads(json.dumps(yaml.load(path.read_text(), Loader=Yaml12Loader)))


def schema_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((LAB / f"{name.split('.')[-2]}.schema.json").read_text())
    return found


def test_the_station_schema_is_that_of_the_drivers() -> None:
    assert (LAB / "station.schema.json").read_text() == generator("gen_schemas").station_schema(), "run it"


def test_the_network_schema_is_that_of_the_model() -> None:
    assert (LAB / "network.schema.json").read_text() == generator("gen_schemas").network_schema(), "run it"


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_file_fits_its_schema(name: str) -> None:
    jsonschema.validate(content(LAB / name), schema_of(name))


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_file_names_its_schema_for_editors(name: str) -> None:
    first, _, _ = (LAB / name).read_text().partition("\n")
    assert first == f"# yaml-language-server: $schema={name.split('.')[-2]}.schema.json"


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".link.yaml")])
def test_a_shipped_link_file_loads_and_its_station_is_sound(name: str) -> None:
    link = load_link(LAB / name)
    assert not link.station or read_station_file(LAB / link.station)


def test_a_station_of_the_schema_offers_every_shipped_type() -> None:
    offered = schema_of("any.station.yaml")["definitions"]["instruments"]["enum"]
    for path in LAB.glob("*.station.yaml"):
        assert {entry.type_name for entry in read_station_file(path)} <= set(offered)


@pytest.mark.parametrize("entry", [{"address": "COM1"}, {"type": "a.B", "driver": "B"}, {"type": "a:B"}])
def test_a_wrong_entry_does_not_fit_the_station_schema(entry: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"instruments": {"one": entry}}, schema_of("any.station.yaml"))
