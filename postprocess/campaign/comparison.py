"""Two analyses side by side: what differs in their configurations and in their figures, and by how many sigma.

Reads ``analysis.json`` of both. What is different in any two analyses (key ids, times, versions) is not compared.

Sources: E. L. Lehmann, J. P. Romano, "Testing Statistical Hypotheses", 3rd ed. 2005, chapter 11 (difference of two
binomial proportions with the pooled variance); difference of Poisson rates by their observed counts.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faintlink.core.errors import SchemaError
from faintlink.postprocess.report.document import FORMAT

COMPARISON_FORMAT = "faintlink-comparison/1"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of two analyses."""

    name: str
    """What it is, with its unit."""
    a: float | int | str | None
    """Of the first; None where it has none."""
    b: float | int | str | None
    """Of the second."""
    sigma: float | None = None
    """Standard deviations by which b is above a, were the two independent; None where there are no statistics."""

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.a != self.b

    @property
    def difference(self) -> float | None:
        """The second less the first; None where that means nothing."""
        if isinstance(self.a, int | float) and isinstance(self.b, int | float):
            return self.b - self.a
        return None


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter that differs."""

    name: str
    """Path in the link file, joined by dots."""
    a: Any
    """Value in the first; None if it is not there."""
    b: Any
    """Value in the second."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two analyses differ."""

    is_same_run: bool
    """Whether both are of one run; then they share their data, and sigma, for independent runs, says little."""
    parameters: tuple[Parameter, ...]
    """Configuration differences."""
    figures: tuple[Figure, ...]
    """All figures, equal ones too."""

    def is_equal(self, within_sigma: float | None = None) -> bool:
        """Return whether configurations are the same and no figure differs.

        Parameters
        ----------
        within_sigma
            Figures with statistics may differ by so much, and other numbers are not looked at: key lengths follow
            from counts, and differ with them. None wants everything the same.
        """
        return not self.parameters and not any(_counts(one, within_sigma) for one in self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for JSON."""
        return {
            "format": COMPARISON_FORMAT,
            "is_same_run": self.is_same_run,
            "parameters": [asdict(one) for one in self.parameters],
            "figures": [{**asdict(one), "difference": one.difference, "differs": one.differs} for one in self.figures],
        }


def load_analysis(path: Path) -> dict[str, Any]:
    """Return the analysis of a folder or of an ``analysis.json``.

    Raises
    ------
    SchemaError
        There is none, or of another format.
    """
    file = path / "analysis.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        seen = data["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SchemaError(
            f"{file} holds no analysis: {getattr(error, 'strerror', None) or error}",
            hint="name the folder that `faintlink process` or `demo` made, not that of the run",
        ) from error
    if seen != FORMAT or not isinstance(data, dict):
        raise SchemaError(f"{file} is of format {seen!r}, expected {FORMAT!r}", expected=FORMAT, seen=seen)
    return data


def compare(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Return how two analyses differ, each as `load_analysis` gives it.

    Raises
    ------
    SchemaError
        An analysis lacks something that its format promises.
    """
    try:
        figures = (*_summary(a, b), *_errors(a, b), *_counts_of(a, b), *_blocks(a, b))
        return Comparison(a["run_id"] == b["run_id"], tuple(_parameters(a["link"], b["link"])), figures)
    except (KeyError, TypeError, AttributeError) as error:
        raise SchemaError(f"an analysis is not whole: {error!r}", hint="process the run again") from error


def _counts(one: Figure, within_sigma: float | None) -> bool:
    if within_sigma is None or not one.differs:
        return one.differs
    if one.sigma is None:
        return one.difference is None
    return not abs(one.sigma) <= within_sigma


def _parameters(a: Any, b: Any) -> Iterator[Parameter]:
    left, right = dict(_flat(a)), dict(_flat(b))
    for name in sorted(left.keys() | right.keys()):
        if left.get(name) != right.get(name):
            yield Parameter(name, left.get(name), right.get(name))


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for name, inner in node.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, node


def _summary(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Figure]:
    for name in ("key_bits", "key_rate_hz", "blocks", "blocks_with_key", "blocks_refused", "duration_s", "epsilon"):
        yield Figure(name, a["summary"][name], b["summary"][name])
    yield Figure("left_over", a["left_over"], b["left_over"])


def _errors(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Figure]:
    for basis in ("key", "test"):
        (n_a, m_a), (n_b, m_b) = (_bits(one["series"]["points"], basis) for one in (a, b))
        rate_a, rate_b = (m / n if n else None for n, m in ((n_a, m_a), (n_b, m_b)))
        yield Figure(f"qber_{basis}", rate_a, rate_b, proportions_sigma(m_a, n_a, m_b, n_b))
        yield Figure(f"sifted_{basis}_bits", n_a, n_b, _rate_sigma(n_a, n_b, a, b))


def _counts_of(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Figure]:
    for name in a["sift"]:
        n_a, n_b = a["sift"][name], b["sift"][name]
        yield Figure(f"sift {name}", n_a, n_b, _rate_sigma(n_a, n_b, a, b))
    parties = sorted(a["losses"].keys() | b["losses"].keys())
    for party in parties:
        left, right = a["losses"].get(party, {}), b["losses"].get(party, {})
        for name in ("tags", "lost"):
            yield Figure(f"{party} {name}", left.get(name), right.get(name))


def _blocks(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Figure]:
    for number in range(max(len(a["blocks"]), len(b["blocks"]))):
        left, right = (one["blocks"][number] if number < len(one["blocks"]) else None for one in (a, b))
        yield Figure(f"block {number} key_bits", left and left["key_bits"], right and right["key_bits"])
        yield Figure(f"block {number} refusal", _refusal(left), _refusal(right))


def _refusal(block: Mapping[str, Any] | None) -> str | None:
    return block["refusal"]["kind"] if block and block["refusal"] else None


def _bits(points: Mapping[str, list[int]], basis: str) -> tuple[int, int]:
    return sum(points[f"{basis}_bits"]), sum(points[f"{basis}_errors"])


def _rate_sigma(n_a: int, n_b: int, a: Mapping[str, Any], b: Mapping[str, Any]) -> float | None:
    return poisson_sigma(n_a, a["summary"]["duration_s"], n_b, b["summary"]["duration_s"])


def proportions_sigma(m_a: int, n_a: int, m_b: int, n_b: int) -> float | None:
    """Return by how many standard deviations ``m_b`` of ``n_b`` is above ``m_a`` of ``n_a``; None without trials."""
    if not n_a or not n_b:
        return None
    pooled = (m_a + m_b) / (n_a + n_b)
    spread = math.sqrt(pooled * (1.0 - pooled) * (1.0 / n_a + 1.0 / n_b))
    return (m_b / n_b - m_a / n_a) / spread if spread else 0.0


def poisson_sigma(n_a: int, t_a: float, n_b: int, t_b: float) -> float | None:
    """Return by how many standard deviations the rate of ``n_b`` events in ``t_b`` s is above that of the first."""
    if not t_a or not t_b:
        return None
    spread = math.sqrt(n_a / t_a**2 + n_b / t_b**2)
    return (n_b / t_b - n_a / t_a) / spread if spread else 0.0
