"""The house rules, for every driver there is: walked by module and by syntax tree, so that none can be forgotten."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import faintlink.drivers
from faintlink.drivers.base import DriverMixin
from tests.data import ROOT

FAMILIES = sorted(path.name for path in (ROOT / "drivers").iterdir() if (path / "__init__.py").exists())
BASES = {"transport"}
MODULES = [
    item.name
    for item in pkgutil.walk_packages(faintlink.drivers.__path__, "faintlink.drivers.")
    if not item.ispkg and item.name.split(".")[2] in set(FAMILIES) - BASES
]


def driver_classes(module_name: str) -> list[type[DriverMixin]]:
    module = importlib.import_module(module_name)
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, DriverMixin)]
    return [cls for cls in found if cls.__module__ == module_name and not cls.__name__.startswith("_")]


DRIVERS = [cls for name in MODULES for cls in driver_classes(name)]
DRIVER_MODULES = sorted({cls.__module__ for cls in DRIVERS})


def tree(module_name: str) -> ast.Module:
    return ast.parse(Path(str(importlib.import_module(module_name).__file__)).read_text())


def test_there_are_drivers_to_walk() -> None:
    assert len(DRIVERS) >= 8


@pytest.mark.parametrize("cls", DRIVERS, ids=lambda cls: cls.__name__)
def test_a_driver_says_whether_it_was_ever_tried(cls: type[DriverMixin]) -> None:
    assert hasattr(cls, "verified_on_hardware")
    assert cls.verified_on_hardware is None or isinstance(cls.verified_on_hardware, str)


@pytest.mark.parametrize("cls", DRIVERS, ids=lambda cls: cls.__name__)
def test_a_driver_can_be_left_alone_safely(cls: type[DriverMixin]) -> None:
    if cls.__subclasses__():
        pytest.skip(f"{cls.__name__} is a base; its subclasses are walked")
    assert "safe_state" in {name for base in cls.__mro__ if base is not DriverMixin for name in vars(base)}
    assert cls.safe_state is not DriverMixin.safe_state
    assert (cls.__doc__ or "").strip()


@pytest.mark.parametrize("name", DRIVER_MODULES)
def test_a_driver_names_its_sources(name: str) -> None:
    assert "Source" in (importlib.import_module(name).__doc__ or "")


def _parameters_without_docstring(body: list[ast.stmt]) -> list[str]:
    lacking = []
    for at, statement in enumerate(body):
        if isinstance(statement, ast.AnnAssign | ast.Assign) and isinstance(statement.value, ast.Call):
            function = statement.value.func
            if isinstance(function, ast.Attribute) and function.attr == "add_parameter":
                after = body[at + 1] if at + 1 < len(body) else None
                is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if not (is_text and isinstance(statement, ast.AnnAssign)):
                    lacking.append(f"line {statement.lineno}")
    return lacking


@pytest.mark.parametrize("name", DRIVER_MODULES)
def test_every_parameter_is_typed_and_has_a_docstring(name: str) -> None:
    functions = [node for node in ast.walk(tree(name)) if isinstance(node, ast.FunctionDef)]
    assert [gap for node in functions for gap in _parameters_without_docstring(node.body)] == []


@pytest.mark.parametrize("name", DRIVER_MODULES)
def test_every_parameter_names_its_label_and_a_number_its_unit(name: str) -> None:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_parameter":
            words = {keyword.arg for keyword in node.keywords}
            assert "label" in words or None in words, f"{name}:{node.lineno} has no label"
            parses_numbers = any(
                isinstance(keyword.value, ast.Call) and getattr(keyword.value.func, "id", "") == "Numbers"
                for keyword in node.keywords
                if keyword.arg == "vals"
            )
            assert not parses_numbers or "unit" in words or None in words, f"{name}:{node.lineno} has no unit"


@pytest.mark.parametrize("name", MODULES)
def test_a_driver_simulates_nothing(name: str) -> None:
    text = Path(str(importlib.import_module(name).__file__)).read_text()
    assert "instruments.mocks" not in text
    assert "import random" not in text
