"""What the counts of the last seconds promise, and what is in the key store.

The promise is the link's own bound, fed with the counts of a stretch scaled to a whole block, and with the leak of a
reconciliation of the usual efficiency. It is a forecast: monitors, verification and the block's real counts decide
what becomes key, and only `faintlink process` or a node makes it.

Sources: `faintlink.postprocess.security.length` (length of a key), `faintlink.postprocess.security.decoy` (leak).
"""

import logging
from collections import deque
from dataclasses import replace
from pathlib import Path

from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ConfigError, FaintlinkError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.security import registry
from faintlink.postprocess.security.decoy import scaled, whole_counts
from faintlink.postprocess.security.estimation import DecoyBlock
from faintlink.postprocess.security.length import decide
from faintlink.postprocess.security.rounding import FLOATS

_log = logging.getLogger(__name__)
EFFICIENCY = 1.16
"""Assumed leak of the reconciliation over the Shannon limit, as `faintlink plan` assumes."""

_STRETCH_S = 10.0
"""From which the key rate is forecast."""
_STEP_S = 0.5


def forecast_bps(link: LinkConfig, counts: DecoyCounts, span_s: float) -> float | None:
    """Return the secret bits per second that blocks like this stretch give; None where the link makes no key.

    Parameters
    ----------
    link
        Bound, epsilons and length of a block.
    counts
        Sifted detections and errors of the stretch.
    span_s
        Its length.
    """
    if not link.protocol.makes_keys or span_s <= 0.0 or not counts.key.bits or not counts.test.bits:
        return None
    policy = link.security
    if max(counts.key.rate, counts.test.rate) > policy.max_qber:
        return 0.0
    leak = EFFICIENCY * counts.key.bits * FLOATS.entropy(counts.key.rate)
    mu, p = (link.source.intensities, link.source.probabilities) if link.source else ((), ())
    rows = (counts.n_key, counts.n_test, counts.m_key, counts.m_test)
    block = scaled(DecoyBlock(*rows, mu, p, leak, policy.eps_sec, policy.eps_cor), policy.block_s / span_s)
    try:
        given = replace(whole_counts(block), options=dict(policy.options))
        return decide(registry.get(policy.bound), given, policy).length / policy.block_s
    except ConfigError as error:
        _log.debug("no forecast of the key rate: %s", error.message)
        return None


class Forecast:
    """What the last seconds of a run promise, renewed twice a second of its time at most.

    Parameters
    ----------
    link
        As for `forecast_bps`.
    """

    def __init__(self, link: LinkConfig) -> None:
        self._link = link
        self._recent: deque[Snapshot] = deque()
        self._bps: float | None = None

    def at(self, now: Snapshot) -> float | None:
        """Return the secret bits per second at a moment of the run; moments come in order."""
        if self._recent and not now.is_over and now.sifted_s - self._recent[-1].sifted_s < _STEP_S:
            return self._bps
        self._recent.append(now)
        while len(self._recent) > 2 and now.sifted_s - self._recent[1].sifted_s >= _STRETCH_S:
            self._recent.popleft()
        stretch = now.since(self._recent[0])
        self._bps = forecast_bps(self._link, stretch.counts, stretch.sifted_s)
        return self._bps


class KeyPool:
    """Bits of the finished keys of a store, without ever reading a key.

    Parameters
    ----------
    folder
        Of a `FileKeyStore`.
    """

    def __init__(self, folder: Path) -> None:
        self._store = FileKeyStore(folder)
        self._bits: dict[str, int] = {}

    def bits(self) -> int:
        """Return the bits of all keys that may be used now."""
        names = self._store.key_ids()
        self._bits = {name: self._bits.get(name) or self._size(name) for name in names}
        return sum(self._bits.values())

    def _size(self, name: str) -> int:
        try:
            return int(self._store.about(name)["bits"])
        except (FaintlinkError, KeyError, TypeError, ValueError) as error:
            # Taken away between the listing and this look, or its description is damaged: it counts as nothing.
            _log.debug("key store: %s", error)
            return 0
