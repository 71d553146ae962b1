"""Messages of Single Quantum's WebSQ server: JSON objects on one port, lines of counts on another.

Sources: Single Quantum's own example client (WebSQControl, MIT licence, 2020): the client sends bare JSON, the server
ends each message with 0x17 and may put several objects into one. Unverified on a device.
"""

import json
from dataclasses import dataclass
from typing import Any

from faintlink.core.errors import FormatError

END = b"\x17"
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class CountRecord:
    """One line of counts."""

    time_s: float
    """When, by the server's clock."""
    counts: tuple[float, ...]
    """Clicks of each detector in the measurement period."""


def encode(**message: Any) -> bytes:
    """Return the bytes of a message to the server."""
    return json.dumps(message).encode()


def take_objects(text: str) -> tuple[list[dict[str, Any]], str]:
    """Return the whole objects at the beginning of a text, and the rest, which may be the beginning of another."""
    objects = []
    text = text.lstrip()
    while text:
        try:
            found, end = _decoder.raw_decode(text)
        except json.JSONDecodeError:
            break
        if not isinstance(found, dict):
            break
        objects.append(found)
        text = text[end:].lstrip()
    return objects, text


def parse_message(message: bytes) -> list[dict[str, Any]]:
    """Return the objects of one message of the server, with or without its end.

    Raises
    ------
    FormatError
        It is not made of JSON objects.
    """
    text = message.removesuffix(END).decode("utf-8", "replace")
    objects, rest = take_objects(text)
    if rest:
        raise FormatError(f"not JSON: {rest[:80]!r}", hint="is this WebSQ's control port (12000)?")
    return objects


def label_value(message: dict[str, Any]) -> Any:
    """Return the value of a label: the server sends it bare, or in an object with unit and bounds."""
    value = message.get("value")
    return value["value"] if isinstance(value, dict) and "value" in value else value


def parse_counts(line: bytes) -> CountRecord:
    """Return the record of one line ``t,c1,c2,...``.

    Raises
    ------
    FormatError
        It is no such line.
    """
    try:
        time_s, *counts = (float(word) for word in line.decode("ascii").strip().split(","))
    except ValueError as error:
        raise FormatError(f"no line of counts: {line[:80]!r}", hint="is this WebSQ's counts port (12345)?") from error
    return CountRecord(time_s, tuple(counts))
