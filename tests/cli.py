"""Run the command line inside the test process and look at what a person would see."""

from dataclasses import dataclass

import pytest

from faintlink.core import cli


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


def faintlink(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run ``faintlink`` with arguments and return exit code and output."""
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    seen = capsys.readouterr()
    return Outcome(code, seen.out, seen.err)
