"""Reference pages say what the code says."""

import importlib.util
import re
import tomllib
from types import ModuleType

import numpy as np
import pytest

from faintlink.core import cli, errors
from faintlink.core.runfile import schema
from faintlink.core.runfile.manifest import MANIFEST
from faintlink.core.tags import GapCause
from tests.data import ROOT

REFERENCE = ROOT / "docs" / "reference"


def generator(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def section(page: str, heading: str) -> str:
    return (REFERENCE / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `(\w+)`", text, re.MULTILINE)


def test_the_link_file_page_is_what_the_models_say() -> None:
    assert (REFERENCE / "link-file.md").read_text() == generator("gen_link_reference").page(), "run it"


def test_the_schema_for_editors_is_that_of_the_models() -> None:
    assert (ROOT / "lab_configs" / "link.schema.json").read_text() == generator("gen_schemas").schema(), "run it"


def test_the_hardware_page_is_what_the_drivers_say() -> None:
    assert (REFERENCE / "hardware.md").read_text() == generator("gen_hardware_reference").page(), "run it"


def test_every_field_of_the_link_file_is_described() -> None:
    assert re.search(r"^\|.*\| *\|$", generator("gen_link_reference").page(), re.MULTILINE) is None


@pytest.mark.parametrize(("heading", "dtype"), [("Gaps", schema.GAP_DTYPE), ("Index", schema.INDEX_DTYPE)])
def test_the_run_file_page_lists_the_fields_in_order(heading: str, dtype: np.dtype[np.void]) -> None:
    assert first_cells(section("run-file.md", heading)) == list(dtype.names or ())
    types = re.findall(r"^\| `\w+` \| (\w+) \|", section("run-file.md", heading), re.MULTILINE)
    assert types == [str(dtype[name]) for name in dtype.names or ()]


def test_the_run_file_page_lists_the_root_attributes() -> None:
    fields = {"format_name", "format_version", *schema.RunHeader.__dataclass_fields__}
    assert set(first_cells(section("run-file.md", "Root attributes"))) == fields


def test_the_run_file_page_lists_attributes_and_columns_of_streams() -> None:
    text = section("run-file.md", "Streams")
    fields = {"time_unit_s", *schema.StreamSpec.__dataclass_fields__} - {"name", "extra"}
    columns = [name for kind in schema.COLUMNS.values() for name, _ in kind]
    assert fields <= set(first_cells(text))
    assert re.findall(r"^\| (?:`\w+`)? ?\| `(\w+)` \| (?:u?int|240)", text, re.MULTILINE) == columns


def test_the_run_file_page_names_version_causes_and_manifest() -> None:
    text = (REFERENCE / "run-file.md").read_text()
    assert f"`{schema.FORMAT_NAME}`, version {schema.FORMAT_VERSION}" in text
    assert MANIFEST in text
    for cause in GapCause:
        assert f"{cause.value} {cause.name.lower().replace('_', ' ')}" in text


def test_the_error_page_has_every_error_in_the_order_of_the_tree() -> None:
    assert errors.__doc__
    drawn = re.findall(r"(?:\+-- |^    )(\w+(?:Error|Abort))", errors.__doc__, re.MULTILINE)
    assert first_cells((REFERENCE / "errors.md").read_text()) == drawn


def test_the_command_page_has_every_command() -> None:
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    listed = first_cells((REFERENCE / "cli.md").read_text())
    assert sorted(listed) == sorted(entry_points["faintlink.commands"])


def test_the_command_page_has_every_exit_code() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", section("cli.md", "Exit codes"), re.MULTILINE)}
    assert codes == {0, 1, 2, 130, cli.EXIT_OS, cli.EXIT_UNLIKE, *(code for _, code in cli.EXIT_CODES)}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_link_at_the_top_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text()):
        assert (ROOT / target).exists(), target
