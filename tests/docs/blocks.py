"""Fenced blocks of Markdown pages, with what comments on the lines before them ask for.

Directives are comments, which no reader sees, on lines of their own directly before the fence::

    <!-- not run: REASON -->          the block is not executed
    <!-- slow -->                     it is executed with the slow tests only
    <!-- ends with 0 4 -->            exit codes of the block's last commands, 0 by default
    <!-- first: COMMAND -->           executed before the block, in the same folder
    <!-- saved as NAME -->            it is written into this file, for the commands that follow
    <!-- link: NAME -->               YAML: sections that take the place of those of the shipped link NAME
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)")
_DIRECTIVE = re.compile(r"^\s*<!-- (?P<name>not run|slow|ends with|first|saved as|link)\b:?\s*(?P<value>.*?) ?-->\s*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    """Of the fence, from 1."""
    language: str
    text: str
    not_run: str = ""
    """Why it is not executed; empty if it is."""
    is_slow: bool = False
    exit_codes: tuple[int, ...] = ()
    first: tuple[str, ...] = ()
    saved_as: str = ""
    link: str = ""

    @property
    def where(self) -> str:
        """Page and line, as a terminal makes a link of it."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a block for the shell: all lines, or those after a prompt, and what continues them."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    return [*_blocks(page, page.read_text(encoding="utf-8").splitlines())]


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            number += 1
            continue
        start = number
        end = opened["indent"] + opened["fence"]
        number += 1
        while number < len(lines) and lines[number].rstrip() != end:
            number += 1
        assert number < len(lines), f"{page}:{start + 1}: the block is never closed"
        text = textwrap.dedent("\n".join(lines[start + 1 : number]))
        yield _block(page, start, opened["language"], text, lines)
        number += 1


def _block(page: Path, start: int, language: str, text: str, lines: list[str]) -> Block:
    found: dict[str, list[str]] = {}
    at = start - 1
    while at >= 0 and (directive := _DIRECTIVE.match(lines[at])):
        found.setdefault(directive["name"], []).insert(0, directive["value"])
        at -= 1
    return Block(
        page,
        start + 1,
        language,
        text,
        not_run="; ".join(found.get("not run", [])),
        is_slow="slow" in found,
        exit_codes=tuple(int(code) for text in found.get("ends with", []) for code in text.split()),
        first=tuple(found.get("first", [])),
        saved_as="".join(found.get("saved as", [])),
        link="".join(found.get("link", [])),
    )
