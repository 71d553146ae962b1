"""A link's metrics, from the snapshots that a recording publishes (`faintlink run --publish`).

A snapshot is a JSON message of totals since the start of the run, see docs/howto/monitor.md. Totals become counters,
differences between two snapshots become rates and error rates. A message that is none is counted as nothing and said
so; nobody is trusted to send a well-formed one.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from faintlink.core.errors import ConfigError, SchemaError
from faintlink.delivery.metrics.registry import Metrics

VERSION = 1
"""Of the messages."""
MAX_BYTES = 32_768
SILENT_AFTER_S = 10.0
"""A link that said nothing for so long is down."""
_HINT = "monitor and acquisition need the same version of faintlink"
_BASES = (("key", "n_key", "m_key"), ("test", "n_test", "m_test"))


class LinkFeed:
    """Turns snapshots of one link into metrics.

    Parameters
    ----------
    metrics
        With those of `Feeder.LINK`.
    monotonic
        Clock in seconds.
    """

    def __init__(self, metrics: Metrics, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._monotonic = metrics, monotonic
        self._totals: dict[tuple[str, ...], float] = {}
        self._heard = -math.inf
        self._run = ""
        metrics.set("link_up", 0)

    @property
    def is_up(self) -> bool:
        """Whether the link has said something of late."""
        return self._monotonic() - self._heard < SILENT_AFTER_S

    def tick(self) -> None:
        """Say whether the link is up; call it every second or so."""
        self._metrics.set("link_up", self.is_up)

    def receive(self, message: bytes) -> None:
        """Take a snapshot.

        Raises
        ------
        SchemaError
            It is none.
        """
        try:
            data = _parsed(message)
            self._begin_anew(data)
            self._facts(data.get("facts"))
            self._counts(data)
            self._rates(data)
        except (TypeError, ValueError, KeyError, AttributeError, ConfigError, RecursionError) as error:
            raise SchemaError(f"a message that is no snapshot: {type(error).__name__}", hint=_HINT) from error
        self._heard = self._monotonic()
        self.tick()

    def _begin_anew(self, data: Mapping[str, Any]) -> None:
        """Forget the totals of the run before: a new one shows by its name, or sooner by its time."""
        run = data["facts"]["run_id"] if data.get("facts") else self._run
        if data["elapsed_s"] < self._totals.get(("elapsed",), 0.0):
            self._totals.clear()
            self._run = ""
        elif self._run and run != self._run:
            self._totals.clear()
        self._run = run if data.get("facts") else self._run

    def _facts(self, facts: Mapping[str, Any] | None) -> None:
        if facts is None:
            return
        self._metrics.set("link_qber_limit_ratio", float(facts["max_qber"]))
        self._metrics.set("block_seconds", float(facts["block_s"]))

    def _counts(self, data: Mapping[str, Any]) -> None:
        self._add("tagger_tags_total", data["tags"])
        self._add("tagger_lost_tags_total", data["lost"])
        for cause, count in data["gaps"].items():
            self._add("tagger_gaps_total", count, cause=cause)
        for basis, detections, errors in _BASES:
            sifted = self._add("sifted_bits_total", sum(data["counts"][detections]), basis=basis)
            wrong = self._grown(("errors", basis), sum(data["counts"][errors]))
            if sifted > 0:
                self._metrics.set("link_qber_ratio", wrong / sifted, basis=basis)

    def _rates(self, data: Mapping[str, Any]) -> None:
        for channel, clicks in data["clicks"].items():
            grown = self._grown(("clicks", channel), clicks)
            span_s = self._grown(("span", channel), data["spans_s"].get(channel, 0.0))
            if span_s > 0:
                self._metrics.set("detector_rate_hz", grown / span_s, channel=channel)
        for name, key in (("skr_bps", "key_rate_bps"), ("clock_frequency_ppm", "clock_ppm")):
            if data.get(key) is not None:
                self._metrics.set(name, float(data[key]))
        elapsed_s = self._grown(("elapsed",), data["elapsed_s"])
        if data.get("pool_bits") is not None:
            # The folder may have held keys before this run: the first number is where counting begins.
            is_first = ("pool",) not in self._totals
            bits = self._grown(("pool",), data["pool_bits"])
            if elapsed_s > 0 and not is_first:
                self._metrics.set("eskr_bps", bits / elapsed_s)

    def _add(self, name: str, total: float, **labels: str) -> float:
        grown = self._grown((name, *labels.values()), total)
        self._metrics.count(name, grown, **labels)
        return grown

    def _grown(self, key: tuple[str, ...], total: float) -> float:
        if not math.isfinite(total) or total < 0:
            raise ValueError("a total that is no number")
        before = self._totals.get(key, 0.0)
        self._totals[key] = total
        return max(0.0, total - before)


def _parsed(message: bytes) -> dict[str, Any]:
    if len(message) > MAX_BYTES:
        raise SchemaError(f"a message of {len(message)} bytes, at most {MAX_BYTES} are expected", hint=_HINT)
    data = json.loads(message)
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise SchemaError(f"a message that is no snapshot of version {VERSION}", hint=_HINT)
    return data
