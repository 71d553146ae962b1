"""Known-answer tests: each algorithm must give the answer of its vector, or the site does not start.

The vectors lie in ``vectors.json`` beside this file, each with the publication that it was taken from; those of the
project's own hashes were computed from their definition by other means, which the tests repeat.

Sources: FIPS 140-3 and ISO/IEC 19790:2012, on pre-operational and conditional self-tests (by title).
"""

import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from faintlink.core.errors import SelfTestError
from faintlink.delivery.selftest.algorithms import ALGORITHMS

_FILE = "vectors.json"
_HINT = "hand out nothing; install faintlink anew from a trusted source, and test the memory of the machine"


@dataclass(frozen=True, slots=True)
class Vector:
    """Inputs of an algorithm and the one right answer."""

    name: str
    algorithm: str
    origin: str
    """Publication, or how the answer was computed."""
    inputs: Mapping[str, bytes]
    expected: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """How one test ended."""

    name: str
    origin: str
    has_passed: bool
    seconds: float


def vectors() -> tuple[Vector, ...]:
    """Return the vectors that are installed.

    Raises
    ------
    SelfTestError
        Their file cannot be read.
    """
    try:
        rows = json.loads((files("faintlink.delivery.selftest") / _FILE).read_text("utf-8"))
        return tuple(_vector(row) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SelfTestError(f"{_FILE} holds no vectors: {type(error).__name__}", hint=_HINT) from error


def _vector(row: Mapping[str, Any]) -> Vector:
    inputs = {name: bytes.fromhex(text) for name, text in row["inputs"].items()}
    return Vector(row["name"], row["algorithm"], row["origin"], inputs, bytes.fromhex(row["expected"]))


def try_all(given: Iterable[Vector]) -> list[Result]:
    """Return how the tests of all vectors end, the failed ones included.

    Raises
    ------
    SelfTestError
        There is an algorithm without any vector: it would go untested.
    """
    chosen = list(given)
    untested = sorted(set(ALGORITHMS) - {vector.algorithm for vector in chosen})
    if untested:
        raise SelfTestError(f"no vector tests {', '.join(untested)}", hint=_HINT, failed=untested)
    return [_try(vector) for vector in chosen]


def _try(vector: Vector) -> Result:
    start = time.perf_counter()
    algorithm = ALGORITHMS.get(vector.algorithm)
    try:
        has_passed = algorithm is not None and hmac.compare_digest(algorithm(vector.inputs), vector.expected)
    except Exception:  # a broken library may raise anything, and each is a failed test, not the end of testing
        has_passed = False
    return Result(vector.name, vector.origin, has_passed, time.perf_counter() - start)


def require_passed(results: Iterable[Result]) -> None:
    """Refuse to go on if a test failed.

    Raises
    ------
    SelfTestError
        One did; the message names them all.
    """
    failed = [result.name for result in results if not result.has_passed]
    if failed:
        raise SelfTestError(f"{len(failed)} known-answer tests failed: {', '.join(failed)}", hint=_HINT, failed=failed)
