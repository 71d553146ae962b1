"""What a bound is computed from: counts, intensities, the leak of the reconciliation and the epsilons.

Read from JSON by the command and built from a block's statistics by the pipeline. Every fault is reported at
once. No bound looks at anything else, so that a length can be recomputed by a third party from this alone.
"""

import itertools
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from faintlink.core.errors import ConfigError
from faintlink.core.records import DecoyCounts
from faintlink.core.symbols import MAX_INTENSITIES

MAX_PHOTONS = 100.0
"""A mean photon number above this is a unit error, not a weak pulse."""
PROBABILITY_TOLERANCE = 1e-9
"""How far the probabilities may sum from one: the last digit of decimal fractions."""


@dataclass(frozen=True, slots=True)
class BoundInput:
    """Everything that a bound reads.

    Raises
    ------
    ConfigError
        Something is out of range or disagrees; the message lists every fault.
    """

    counts: DecoyCounts
    """Sifted detections and errors of the block."""
    intensities: tuple[float, ...]
    """Mean photon number per pulse, brightest first; empty for a source without intensities."""
    probabilities: tuple[float, ...]
    """Probability with which each intensity is sent; empty for a source without intensities."""
    leak_ec: int
    """Bits made public by reconciliation, all attempts included, verification tag excluded."""
    eps_sec: float
    """Secrecy parameter of the key."""
    eps_cor: float
    """Correctness parameter of the key."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Options of the chosen bound."""
    has_key_errors: bool = True
    """Whether ``counts.m_key`` was measured; zeros that merely fill a gap must not pass for measured ones."""

    def __post_init__(self) -> None:
        raise_all("bound input", _source_faults(self) + _scalar_faults(self))


def _source_faults(given: BoundInput) -> list[str]:
    entries, mu, p = len(given.counts.n_key), given.intensities, given.probabilities
    faults = []
    if len(mu) != len(p):
        faults.append(f"intensities and probabilities need the same length, got {len(mu)} and {len(p)}")
    if mu and len(mu) != entries:
        faults.append(f"intensities: need one per entry of the counts, which have {entries}, got {len(mu)}")
    if not all(_is_number(x) and 0.0 <= x <= MAX_PHOTONS for x in mu):
        faults.append(f"intensities must be mean photon numbers in 0..{MAX_PHOTONS:g}, got {list(mu)}")
    elif not all(bright > dim for bright, dim in itertools.pairwise(mu)):
        faults.append(f"intensities must differ and stand brightest first, got {list(mu)}")
    if not all(_is_number(x) and 0.0 < x <= 1.0 for x in p):
        faults.append(f"probabilities must lie in (0, 1], got {list(p)}")
    elif p and abs(math.fsum(p) - 1.0) > PROBABILITY_TOLERANCE:
        faults.append(f"probabilities must sum to 1, got {math.fsum(p):.12g}")
    return faults


def _scalar_faults(given: BoundInput) -> list[str]:
    faults = []
    if not _is_count(given.leak_ec):
        faults.append(f"leak_ec must be a whole number of bits >= 0, got {given.leak_ec!r}")
    for name, eps in (("eps_sec", given.eps_sec), ("eps_cor", given.eps_cor)):
        if not (_is_number(eps) and 0.0 < eps < 1.0):
            faults.append(f"{name} must lie between 0 and 1, got {eps!r}")
    return faults


def _is_number(value: object) -> bool:
    # The comparison is exact for integers of any size and false for nan.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def raise_all(where: str, faults: list[str]) -> None:
    """Raise a `ConfigError` that lists ``faults``, if there are any."""
    if faults:
        raise ConfigError(f"{where}: " + "; ".join(faults), hint="correct each of these", faults=tuple(faults))


_COUNTS = ("n_key", "n_test", "m_key", "m_test")
_FIELDS = (*_COUNTS, "intensities", "probabilities", "leak_ec", "eps_sec", "eps_cor", "options")
_NEEDED = ("n_key", "n_test", "m_test", "leak_ec", "eps_sec", "eps_cor")


def from_json(text: str, path: str) -> BoundInput:
    """Return the input that a JSON object describes.

    Parameters
    ----------
    text
        The JSON: lists ``n_key n_test m_test`` and, where known, ``m_key`` (integers, brightest intensity
        first), ``intensities``, ``probabilities``, the numbers ``leak_ec eps_sec eps_cor``, and ``options``.
    path
        Where it came from, for messages.

    Raises
    ------
    ConfigError
        It is not such an object; the message lists every fault.
    """
    data, faults = _parse(text, path)
    unknown = [key for key in data if key not in _FIELDS]
    faults += [f"unknown field {key}; known: {', '.join(_FIELDS)}" for key in unknown]
    faults += [f"{key} is missing" for key in _NEEDED if key not in data]
    lists = {key: data.get(key, []) for key in ("intensities", "probabilities")}
    for key, value in lists.items():
        if not (isinstance(value, list) and all(map(_is_number, value))):
            faults.append(f"{key} must be a list of numbers, got {value!r}")
            lists[key] = []
    if not isinstance(data.get("options", {}), dict):
        faults.append("options must be an object")
    wrong_counts = _count_faults(data)
    faults += wrong_counts
    countable = not wrong_counts and all(key in data for key in ("n_key", "n_test", "m_test"))
    # Counts that match stand in for wrong ones, so that the checks of the other fields still run.
    counts = _counts(data) if countable else DecoyCounts.zero(min(len(lists["intensities"]) or 1, MAX_INTENSITIES))
    try:
        given = BoundInput(
            counts,
            tuple(lists["intensities"]),
            tuple(lists["probabilities"]),
            data.get("leak_ec", 0),
            data.get("eps_sec", 0.5),
            data.get("eps_cor", 0.5),
            data.get("options", {}),
            "m_key" in data,
        )
    except ConfigError as error:
        faults += error.fields["faults"]
    raise_all(path, faults)
    return given


def _parse(text: str, path: str) -> tuple[dict[str, Any], list[str]]:
    twice: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice.extend(f"field {key} stands twice" for key in dict.fromkeys(keys) if keys.count(key) > 1)
        return dict(pairs)

    try:
        data = json.loads(text, object_pairs_hook=collect)
    except ValueError as error:
        message = f"{path}: not JSON: {error}"
        raise ConfigError(message, hint="see `faintlink bound --help` for an example", faults=(message,)) from error
    if not isinstance(data, dict):
        raise_all(path, [f"expected a JSON object, got {type(data).__name__}"])
    return data, twice


def _count_faults(data: Mapping[str, Any]) -> list[str]:
    faults, good = [], {}
    for key in _COUNTS:
        value = data.get(key)
        if key not in data:
            continue
        if isinstance(value, list) and value and all(map(_is_count, value)):
            good[key] = value
        else:
            faults.append(f"{key} must be a non-empty list of whole numbers >= 0, got {value!r}")
    lengths = {key: len(value) for key, value in good.items()}
    if len(set(lengths.values())) > 1 or max(lengths.values(), default=1) > MAX_INTENSITIES:
        faults.append(f"the counts need one entry per intensity, at most {MAX_INTENSITIES}, got lengths {lengths}")
    for events, errors in (("n_key", "m_key"), ("n_test", "m_test")):
        pairs = zip(good.get(events, ()), good.get(errors, ()), strict=False)
        if any(m > n for n, m in pairs):
            faults.append(f"{errors} exceeds {events}: {good[errors]} of {good[events]}")
    return faults


def _counts(data: Mapping[str, Any]) -> DecoyCounts:
    none = [0] * len(data["n_key"])
    return DecoyCounts(
        tuple(data["n_key"]), tuple(data["n_test"]), tuple(data.get("m_key", none)), tuple(data["m_test"])
    )
