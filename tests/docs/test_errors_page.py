"""Every error of the tree stands on its page with what it means, what to do, and the standard error that it also is."""

import inspect
import re

from faintlink.core import errors
from tests.data import ROOT

PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
ROWS = {
    name: (kin, when.strip(), remedy.strip())
    for name, kin, when, remedy in re.findall(
        r"^\| `(\w+)`(?: \(`(\w+)`\))? \| ([^|]+) \|([^|]*)\|$", PAGE, re.MULTILINE
    )
}
CLASSES = {
    name: kind for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.FaintlinkError)
}


def test_every_class_has_a_row_and_every_row_a_class() -> None:
    assert set(ROWS) == set(CLASSES)


def test_every_row_says_when_and_what_to_do() -> None:
    assert not [name for name, (_, when, remedy) in ROWS.items() if not when or not remedy]


def test_the_kin_in_brackets_is_a_base_class_and_none_is_left_out() -> None:
    for name, kind in CLASSES.items():
        kin = [base.__name__ for base in kind.__bases__ if not issubclass(base, errors.FaintlinkError)]
        assert ROWS[name][0] == (kin[0] if kin and kin != ["Exception"] else ""), name


def test_remedies_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", PAGE):
        assert (ROOT / "docs" / "reference" / target).exists(), target
