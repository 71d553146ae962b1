"""The command line: exit codes, messages, quick help, and plug-ins that do not work."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest

from faintlink.core import cli, errors

HEAVY = ["numpy", "scipy", "h5py", "numba", "pydantic", "qcodes", "matplotlib", "pyvisa", "rich"]
CODES = [
    (errors.ConfigError, 2),
    (errors.SchemaError, 3),
    (errors.CorruptBlockError, 3),
    (errors.FormatError, 3),
    (errors.RunExistsError, 3),
    (errors.QberTooHighError, 4),
    (errors.NotEnoughSignalsError, 4),
    (errors.MonitorVetoError, 4),
    (errors.VerificationFailedError, 4),
    (errors.ConnectionLostError, 5),
    (errors.RoleError, 5),
    (errors.TagOverflowError, 5),
    (errors.UnknownChannelError, 5),
    (errors.RemoteProtocolError, 6),
    (errors.AuthenticationError, 6),
    (errors.KeyExhaustedError, 7),
    (errors.KeyUnknownError, 7),
    (errors.FaintlinkError, 1),
    (PermissionError, 3),
    (KeyboardInterrupt, 130),
    (BrokenPipeError, 0),
]


def install(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: points)


def point(name: str, value: str = "json:loads") -> EntryPoint:
    return EntryPoint(name, value, cli.GROUP)


def raising(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    @click.command()
    def fails() -> None:
        if issubclass(kind, errors.FaintlinkError):
            raise kind("what went wrong", hint="what to do")
        raise kind

    install(monkeypatch, point("fails"))
    monkeypatch.setattr(EntryPoint, "load", lambda self: fails)


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_each_error_ends_with_its_exit_code_and_no_traceback(
    kind: type[BaseException], code: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, kind)
    if kind is BrokenPipeError:
        monkeypatch.setattr("faintlink.core.cli.os.dup2", lambda a, b: None)
    assert cli.run(["fails"]) == code
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    if issubclass(kind, errors.FaintlinkError):
        assert captured.err == f"{kind.__name__}: what went wrong\n  hint: what to do\n"


def test_every_branch_of_the_tree_has_an_exit_code() -> None:
    branches = [kind for kind in errors.FaintlinkError.__subclasses__() if kind.__module__ == errors.__name__]
    for branch in branches:
        assert any(branch is kind for kind, _ in cli.EXIT_CODES)


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        cli.run(["fails"])


@pytest.mark.parametrize("arguments", [["no-such-command"], ["--no-such-option"], []])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    assert "Usage: faintlink" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("faintlink, version ")


BROKEN = [
    ("faintlink.core.no_such_module:command", "ModuleNotFoundError"),
    ("faintlink.core.errors:no_such_command", "AttributeError"),
    ("json:loads", "is not a command"),
]


@pytest.mark.parametrize(("value", "reason"), BROKEN)
def test_a_broken_plug_in_is_listed_as_not_available(
    value: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, point("broken", value), point("good", "faintlink.core.commands.recover:recover"))
    assert cli.run(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"broken (not available: {reason}" in shown or f"broken (not available: entry point {value}" in shown
    assert "good" in shown


@pytest.mark.parametrize(("value", "reason"), BROKEN)
def test_a_broken_plug_in_says_why_when_it_is_called(
    value: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, point("broken", value))
    assert cli.run(["broken", "file", "--option", "3"]) == 2
    shown = capsys.readouterr().err
    assert "the command broken is not available" in shown
    assert reason in shown


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from faintlink.core.cli import run\n"
        f"code = run(['--help']); heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
