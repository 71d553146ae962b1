"""Execute the blocks of one page, in order, in one folder and one namespace, as a reader does."""

import contextlib
import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from faintlink.acquisition.shipped import shipped_link
from faintlink.core import cli
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_yaml
from faintlink.instruments.station_file import read_station_file
from faintlink.postprocess.campaign.plan import load_campaign
from tests.data import ROOT
from tests.docs.blocks import Block

SHELL = ("console", "bash")
SHOWN = ("", "text", "json", "promql", "ini", "sql")
"""Languages of blocks that only show something: drawings, output, files of other programs."""


class Page:
    """What the blocks of one page share: a folder with the example links, and the names of Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}
        for name in ("lab_configs", "docs", "examples"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))

    def execute(self, block: Block) -> None:
        """Execute a block; whatever it lacks is an AssertionError or its own exception."""
        for command in block.first:
            self._command(command, block, 0)
        if block.saved_as:
            (self.folder / block.saved_as).write_text(block.text + "\n", encoding="utf-8")
        elif block.language in SHELL:
            commands = block.commands
            assert commands, f"{block.where} holds no command"
            codes = block.exit_codes
            for command, code in zip(commands, [*[0] * (len(commands) - len(codes)), *codes], strict=True):
                self._command(command, block, code)
        elif block.language == "python":
            exec(compile(block.text, block.where, "exec"), self._names)
        elif block.language in ("yaml", "yml"):
            self._validate(block)
        else:
            assert block.language in SHOWN, f"{block.where}: nobody knows how to execute {block.language!r}"

    def _command(self, command: str, block: Block, expected: int) -> None:
        program, *words = shlex.split(command, comments=True)
        arguments = [found for word in words for found in self._expanded(word, command)]
        if Path(program).name == "faintlink":
            code, said = _faintlink(arguments)
        elif Path(program).name == "python":
            code, said = self._python(arguments)
        else:
            raise AssertionError(f"{block.where}: {program!r} is not executed here: say why with `not run`")
        assert code == expected, f"{block.where}: `{command}` ended with {code}, not {expected}:\n{said[-2000:]}"

    def _expanded(self, word: str, command: str) -> list[str]:
        """Return what a shell makes of a word: the files of a pattern, unless it is quoted."""
        if "*" not in word or f"'{word}'" in command:
            return [word]
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.glob(word)) or [word]

    def _python(self, arguments: list[str]) -> tuple[int, str]:
        # The sources of the tests are not installed; those of the package are.
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        return done.returncode, done.stdout + done.stderr

    def _validate(self, block: Block) -> None:
        data = yaml.safe_load(block.text)
        if block.link:
            base = yaml.safe_load(shipped_link(block.link).read_text(encoding="utf-8"))
            text = yaml.safe_dump({**base, **_merged(base, data)}, sort_keys=False)
            parse_yaml(text, LinkConfig, block.where)
        elif str(data.get("format", "")).startswith("faintlink.link/"):
            parse_yaml(block.text, LinkConfig, block.where)
        elif str(data.get("format", "")).startswith("faintlink.campaign/"):
            path = self.folder / "page.campaign.yaml"
            path.write_text(block.text)
            load_campaign(path)
        elif "instruments" in data:
            path = self.folder / "page.station.yaml"
            path.write_text(block.text)
            read_station_file(path)
        else:
            raise AssertionError(f"{block.where}: YAML of no known kind: name its `link`, or say why with `not run`")


def _merged(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return sections with the entries of ``data`` in place of those of ``base``."""
    return {
        name: {**base[name], **section} if isinstance(section, dict) and isinstance(base.get(name), dict) else section
        for name, section in data.items()
    }


def _faintlink(arguments: list[str]) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.run(arguments)
    return code, said.getvalue()
