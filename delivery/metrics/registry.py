"""The metrics of one process, strict about names and labels; renders the text that Prometheus scrapes.

Each site has a registry of its own, so that two sites in one process do not mix. A label value that looks like the
name of a key is refused: metrics go where keys' names do not belong.
"""

import re
import threading
from typing import TYPE_CHECKING, Any

from faintlink.core.errors import ConfigError
from faintlink.delivery.metrics.catalogue import BY_NAME, CATALOGUE, SECONDS_BUCKETS, Feeder, Kind, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES = 256
"""Combinations of labels that one metric may have; more come under the value ``other``."""
_LABEL = re.compile(r"[A-Za-z0-9_.:/@ -]{1,96}")
_KEY_NAME = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}|[0-9A-Fa-f]{24}", re.IGNORECASE)
OTHER = "other"


class Metrics:
    """The metrics of one process.

    Parameters
    ----------
    feeders
        Whose metrics it has.
    """

    def __init__(self, *feeders: Feeder) -> None:
        try:
            import prometheus_client
        except ModuleNotFoundError as error:
            raise ConfigError("metrics need prometheus-client", hint='pip install "faintlink[delivery]"') from error
        self._registry: CollectorRegistry = prometheus_client.CollectorRegistry()
        self._lock = threading.Lock()
        kinds: dict[Kind, Any] = {
            Kind.GAUGE: prometheus_client.Gauge,
            Kind.COUNTER: prometheus_client.Counter,
            Kind.HISTOGRAM: prometheus_client.Histogram,
        }
        self._series: dict[str, set[tuple[str, ...]]] = {}
        self._metrics: dict[str, Any] = {}
        for one in CATALOGUE:
            if one.feeder in feeders:
                extra = {"buckets": SECONDS_BUCKETS} if one.kind is Kind.HISTOGRAM else {}
                made = kinds[one.kind](one.full_name, one.text, one.labels, registry=self._registry, **extra)
                self._metrics[one.name] = made
                self._series[one.name] = set()

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge.

        Raises
        ------
        ConfigError
            There is no such gauge, or the labels are not its own.
        """
        self._find(name, Kind.GAUGE, labels).set(value)

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter.

        Raises
        ------
        ConfigError
            There is no such counter, or the labels are not its own.
        """
        self._find(name, Kind.COUNTER, labels).inc(by)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put a value into a histogram.

        Raises
        ------
        ConfigError
            There is no such histogram, or the labels are not its own.
        """
        self._find(name, Kind.HISTOGRAM, labels).observe(value)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        from prometheus_client import generate_latest

        text: bytes = generate_latest(self._registry)
        return text

    def _find(self, name: str, kind: Kind, labels: dict[str, str]) -> Any:
        metric = BY_NAME.get(name)
        if metric is None or metric.kind is not kind or name not in self._metrics or set(labels) != set(metric.labels):
            raise ConfigError(
                f"there is no {kind} {name!r} with labels {sorted(labels)}", hint="see delivery/metrics/catalogue.py"
            )
        found = self._metrics[name]
        return found.labels(*self._values(metric, labels)) if labels else found

    def _values(self, metric: Metric, labels: dict[str, str]) -> tuple[str, ...]:
        values = tuple(_checked(metric.name, labels[label]) for label in metric.labels)
        with self._lock:
            seen = self._series[metric.name]
            if values not in seen and len(seen) >= MAX_SERIES:
                return tuple(OTHER for _ in values)
            seen.add(values)
        return values


def _checked(name: str, value: str) -> str:
    if not _LABEL.fullmatch(value) or _KEY_NAME.search(value):
        # The value is not repeated: it may be the name of a key, or worse.
        raise ConfigError(
            f"a label of {name} is no short plain name, or looks like the name of a key",
            hint="labels are sites, roles, codes, bases and channels",
        )
    return value
