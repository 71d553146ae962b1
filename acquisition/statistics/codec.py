"""Snapshots as JSON messages, with limits on everything that comes from outside.

A message holds counts, rates and short texts. A reader refuses what is too long, of another version, or not what a
publisher sends; texts lose their control characters, since they end in a terminal.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final, get_args

import numpy as np

from faintlink.acquisition.statistics.snapshot import BINS, Phase, RunFacts, Snapshot
from faintlink.core.errors import SchemaError
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import MAX_INTENSITIES

VERSION: Final = 1
MAX_BYTES: Final = 32_768
MAX_LINES: Final = 24
"""Lines of events, and of calibrations."""
MAX_TEXT: Final = 200
"""Characters of a text."""
MAX_NAMES: Final = 64
"""Detectors or causes."""
_MAX_COUNT = 2**62
_HINT = "viewer and acquisition need the same version of faintlink"


def encode(snapshot: Snapshot) -> bytes:
    """Return a snapshot as one message; texts are cut to what a reader accepts."""
    data = {one.name: getattr(snapshot, one.name) for one in fields(Snapshot)}
    data["counts"] = asdict(snapshot.counts)
    data["histogram"] = snapshot.histogram.tolist()
    data["state"] = snapshot.state[:MAX_TEXT]
    data["facts"] = _facts_as_data(snapshot.facts)
    return json.dumps({"version": VERSION, **data}, separators=(",", ":"), allow_nan=False).encode()


def _facts_as_data(facts: RunFacts | None) -> dict[str, Any] | None:
    if facts is None:
        return None
    data = asdict(facts)
    for name in ("calibrations", "events"):
        data[name] = [line[:MAX_TEXT] for line in data[name][-MAX_LINES:]]
    return data


def decode(message: bytes) -> Snapshot:
    """Return the snapshot of a message.

    Raises
    ------
    SchemaError
        It is none, too long, or of another version.
    """
    data = _parsed(message)
    if data.pop("version", None) != VERSION:
        raise SchemaError(f"a message of another version than {VERSION}", hint=_HINT)
    try:
        _require_names(data, _SNAPSHOT)
        return Snapshot(**{name: read(data[name]) for name, read in _SNAPSHOT.items()})
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise SchemaError(f"a message that is no snapshot: {error}", hint=_HINT) from error


def _parsed(message: bytes) -> dict[str, Any]:
    if len(message) > MAX_BYTES:
        raise SchemaError(f"a message of {len(message)} bytes, at most {MAX_BYTES} are expected", hint=_HINT)
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{len(message)} bytes that are no JSON", hint=_HINT) from error
    if not isinstance(data, dict):
        raise SchemaError("a message that is no JSON object", hint=_HINT)
    return data


def _require_names(data: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    if set(data) != set(expected):
        raise ValueError(f"expected the fields {sorted(expected)}")


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_COUNT:
        raise ValueError("a count is not a whole number in range")
    return value


def _sum(value: object) -> int:
    if type(value) is not int or abs(value) > _MAX_COUNT:
        raise ValueError("a sum is not a whole number in range")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]  # just checked
        raise ValueError("expected a finite number")
    return float(value)  # type: ignore[arg-type]  # just checked


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"expected a text of at most {MAX_TEXT} characters")
    return "".join(letter if letter.isprintable() else " " for letter in value)


def _phase(value: object) -> Any:
    if value not in get_args(Phase):
        raise ValueError(f"a phase is one of {get_args(Phase)}")
    return value


def _row(read: Callable[[object], Any], *, most: int, least: int = 0) -> Callable[[object], tuple[Any, ...]]:
    def row(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"expected a list of {least} to {most} entries")
        return tuple(read(one) for one in value)

    return row


def _by_name(read: Callable[[object], Any]) -> Callable[[object], dict[str, Any]]:
    def table(value: object) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > MAX_NAMES:
            raise ValueError(f"expected an object of at most {MAX_NAMES} entries")
        return {_text(name): read(one) for name, one in value.items()}

    return table


def _optional(read: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else read(value)


def _histogram(value: object) -> np.ndarray[Any, Any]:
    rows = _row(_row(_count, most=BINS, least=BINS), most=4, least=4)(value)
    return np.array(rows, np.int64)


def _decoy(value: object) -> DecoyCounts:
    data = _by_name(_row(_count, most=MAX_INTENSITIES, least=1))(value)
    return DecoyCounts(**data)


def _facts(value: object) -> RunFacts | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("facts are an object")
    _require_names(value, _FACTS)
    return RunFacts(**{name: read(value[name]) for name, read in _FACTS.items()})


_lines = _row(_text, most=MAX_LINES)
_FACTS: dict[str, Callable[[object], Any]] = {
    "run_id": _text,
    "link": _text,
    "origin": _text,
    "max_qber": _number,
    "bound": _text,
    "block_s": _number,
    "intensities": _row(_number, most=MAX_INTENSITIES),
    "axis": _text,
    "first_ps": _number,
    "bin_ps": _number,
    "gate_ps": _row(_number, most=2, least=2),
    "calibrations": _lines,
    "events": _lines,
}
_SNAPSHOT: dict[str, Callable[[object], Any]] = {
    "phase": _phase,
    "state": _text,
    "elapsed_s": _number,
    "sifted_s": _number,
    "tags": _count,
    "lost": _count,
    "gaps": _by_name(_count),
    "clicks": _by_name(_count),
    "spans_s": _by_name(_number),
    "counts": _decoy,
    "matrix": _row(_count, most=8, least=8),
    "histogram": _histogram,
    "arrival": _row(_sum, most=2, least=2),
    "clock_ppm": _optional(_number),
    "key_rate_bps": _optional(_number),
    "pool_bits": _optional(_count),
    "rates_hz": _by_name(_number),
    "made_ns": _count,
    "facts": _facts,
}
