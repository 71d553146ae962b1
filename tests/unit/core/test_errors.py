"""The error tree: its shape, its manners, and that it survives a process border."""

import copyreg
import inspect
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from faintlink.core import errors
from faintlink.core.errors import FaintlinkError

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, FaintlinkError)]
STANDARD_KIN = {
    errors.ConfigError: ValueError,
    errors.ConnectionLostError: ConnectionError,
    errors.RoleError: TypeError,
    errors.TagOrderError: ValueError,
    errors.UnknownChannelError: KeyError,
    errors.FormatError: ValueError,
    errors.RunExistsError: FileExistsError,
    errors.KeyUnknownError: KeyError,
    errors.AccessDeniedError: PermissionError,
}


@pytest.mark.parametrize("kind", TREE)
def test_every_error_says_what_it_means(kind: type[FaintlinkError]) -> None:
    assert kind.__dict__.get("__doc__")


@pytest.mark.parametrize("kind", TREE)
def test_every_error_is_drawn_in_the_tree(kind: type[FaintlinkError]) -> None:
    assert errors.__doc__
    line = next(line for line in errors.__doc__.splitlines() if f" {kind.__name__} " in f" {line.strip()} ")
    kin = STANDARD_KIN.get(kind)
    assert kin is None or f"({kin.__name__})" in line


@pytest.mark.parametrize(("kind", "kin"), STANDARD_KIN.items())
def test_an_error_is_caught_by_its_standard_kin(kind: type[FaintlinkError], kin: type[Exception]) -> None:
    with pytest.raises(kin):
        raise kind("what")


@pytest.mark.parametrize("kind", TREE)
def test_message_hint_and_fields_are_kept(kind: type[FaintlinkError]) -> None:
    error = kind("what happened", hint="do this", path="a.h5", seen=3)
    assert str(error) == "what happened\n  hint: do this"
    assert error.fields == {"path": "a.h5", "seen": 3}
    assert str(kind("bare")) == "bare"


@pytest.mark.parametrize("kind", TREE)
def test_an_error_survives_being_rebuilt_from_its_reduced_form(kind: type[FaintlinkError]) -> None:
    rebuild, arguments = kind("what", hint="do", block=3).__reduce__()
    again = rebuild(*arguments)
    assert (type(again), str(again), again.fields) == (kind, "what\n  hint: do", {"block": 3})
    assert copyreg.dispatch_table.get(kind) is None


def raise_in_child() -> None:
    raise errors.CorruptBlockError("block 3 is broken", hint="recover", block=3)


def test_an_error_crosses_a_process_border_whole() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool,
        pytest.raises(errors.CorruptBlockError, match="block 3 is broken") as caught,
    ):
        pool.submit(raise_in_child).result()
    assert caught.value.hint == "recover"
    assert caught.value.fields == {"block": 3}
