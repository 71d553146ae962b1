"""An SCPI parser for emulated devices: short and long forms, numeric suffixes, ``;`` chains, error queue.

A device registers headers as its manual prints them, capitals for the short form: ``INPut{n}:ATTenuation``. The parser
accepts both forms in any case, follows the path rule of a chain, and reports -113 and -222 as SCPI demands. A block of
bytes, ``#`` with its length, may hold anything; a command sees `BLOCK` in its place and finds it in `ScpiDevice.block`.

Sources: SCPI-1999 volume 1 chapter 6 (headers, path of a chain), volume 2 chapter 21 (error queue and numbers);
IEEE 488.2-1992 chapter 10 (common commands), section 7.7.6 (blocks).
"""

import re
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from faintlink.instruments.emulators.kit.device import LineDevice, LineSession, Session

Handler: TypeAlias = Callable[..., str | None]
"""Takes the header's numbers (int) and then the parameters (str); a query returns its answer."""

_QUEUE = 30


class ScpiError(Exception):
    """A command is refused.

    Parameters
    ----------
    number, text
        As they go into the error queue.
    """

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number
        self.text = text


OUT_OF_RANGE = (-222, "Data out of range")
UNDEFINED = (-113, "Undefined header")
MISSING = (-109, "Missing parameter")
WRONG_TYPE = (-104, "Data type error")


BLOCK = "#0"
"""What stands for a block of bytes among a command's parameters."""
_BLOCK_START = re.compile(rb"#([1-9])")


class _ScpiSession(LineSession):
    """Takes blocks of bytes out of the lines before they are split."""

    def __init__(self, device: "ScpiDevice") -> None:
        super().__init__(device)
        self._scpi = device
        self._raw = b""

    def receive(self, data: bytes) -> bytes:
        """Answer each line that is complete, with its block."""
        self._raw += data
        answers = []
        while (taken := self._next_line()) is not None:
            line, block = taken
            with self._scpi.lock:
                self._scpi.block = block
                answers.append(super().receive(line))
        return b"".join(answers)

    def _next_line(self) -> tuple[bytes, bytes] | None:
        end = self._raw.find(self._scpi.terminator)
        start = _BLOCK_START.search(self._raw, 0, end if end >= 0 else len(self._raw))
        if start is not None:
            return self._block_line(start)
        if end < 0:
            return None
        after = end + len(self._scpi.terminator)
        line, self._raw = self._raw[:after], self._raw[after:]
        return line, b""

    def _block_line(self, start: re.Match[bytes]) -> tuple[bytes, bytes] | None:
        """Return a line that a block ends, as on buses that mark the end: over a socket no terminator need follow."""
        first = start.end() + int(start[1])
        digits = self._raw[start.end() : first]
        if len(digits) < int(start[1]) or len(self._raw) < first + int(digits):
            return None
        stop = first + int(digits)
        line = self._raw[: start.start()] + BLOCK.encode() + self._scpi.terminator
        block, self._raw = self._raw[first:stop], self._raw[stop:]
        return line, block


class ScpiDevice(LineDevice):
    """A device that speaks SCPI.

    Parameters
    ----------
    idn
        Answer to ``*IDN?``.
    """

    def __init__(self, idn: str) -> None:
        super().__init__()
        self.idn = idn
        self.block = b""
        """The block of bytes of the line that is being handled."""
        self.errors: deque[str] = deque(maxlen=_QUEUE)
        self._commands: list[tuple[re.Pattern[str], Handler]] = []
        self.on("*IDN?", lambda: self.idn)
        self.on("*OPC?", lambda: "1")
        self.on("*CLS", self.errors.clear)
        self.on("*RST", self._reset)
        self.on("SYSTem:ERRor[:NEXT]?", self._next_error)

    def session(self) -> Session:
        """Return a new connection."""
        return _ScpiSession(self)

    def on(self, header: str, handler: Handler) -> None:
        """Register a command; ``{n}`` is a number (1 if left out), ``[...]`` may be left out, ``?`` ends a query."""
        self._commands.append((_pattern(header), handler))

    def _reset(self) -> None:
        self.reboot()

    def _next_error(self) -> str:
        return self.errors.popleft() if self.errors else '0,"No error"'

    def handle(self, line: str) -> bytes:
        """Answer a line, which may be a chain of commands."""
        path = ""
        answers = []
        for part in _split(line, ";"):
            header, _, rest = part.strip().partition(" ")
            if not header:
                continue
            full = header[1:] if header.startswith(":") else header if header.startswith("*") else path + header
            if not header.startswith("*"):
                path = full.rpartition(":")[0] + ":" if ":" in full else ""
            answers.append(self._run(full, [word.strip() for word in _split(rest, ",") if word.strip()]))
        text = ";".join(answer for answer in answers if answer is not None)
        return text.encode("latin-1") + self.terminator if text else b""

    def _run(self, header: str, parameters: list[str]) -> str | None:
        for pattern, handler in self._commands:
            if match := pattern.fullmatch(header):
                numbers = [int(text) if text else 1 for text in match.groups()]
                return self._call(handler, numbers, parameters)
        self._refuse(ScpiError(*UNDEFINED))
        return None

    def _call(self, handler: Handler, numbers: list[int], parameters: list[str]) -> str | None:
        try:
            return handler(*numbers, *parameters)
        except ScpiError as error:
            self._refuse(error)
        except TypeError:
            self._refuse(ScpiError(*MISSING))
        except ValueError:
            self._refuse(ScpiError(*WRONG_TYPE))
        return None

    def _refuse(self, error: ScpiError) -> None:
        self.errors.append(f'{error.number},"{error.text}"')


def number_in(text: str, low: float, high: float, *, unit: str = "") -> float:
    """Return a numeric parameter, its unit stripped.

    Raises
    ------
    ScpiError
        It is out of range.
    ValueError
        It is no number.
    """
    if unit and text.lower().endswith(unit.lower()):
        text = text[: -len(unit)]
    value = float(text)
    if not low <= value <= high:
        raise ScpiError(*OUT_OF_RANGE)
    return value


def _split(text: str, separator: str) -> list[str]:
    """Split at separators outside quotes."""
    return re.split(rf'{separator}(?=(?:[^"]*"[^"]*")*[^"]*$)', text)


def _pattern(header: str) -> re.Pattern[str]:
    text = re.escape(header).replace(r"\{n\}", "{n}").replace(r"\[", "(?:").replace(r"\]", ")?")
    return re.compile(re.sub(r"[A-Za-z]+|\{n\}", _keyword, text), re.IGNORECASE)


def _keyword(match: re.Match[str]) -> str:
    word = match.group()
    if word in ("{n}", "n"):
        return r"(\d*)" if word == "{n}" else word
    short = "".join(letter for letter in word if letter.isupper())
    return f"{short}(?:{word[len(short) :]})?" if short and len(short) < len(word) else word
