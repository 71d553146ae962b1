"""What a site's metrics are fed from: the facts that its witness is told, and its answers.

`Witnesses` tells several witnesses one after the other: the audit log first, so that nothing is counted that was not
written down. Counting never stops a release: a fact that cannot be counted is logged and passed over.
"""

import logging

from faintlink.core.errors import ConfigError
from faintlink.delivery.metrics.registry import OTHER, Metrics
from faintlink.delivery.witness import Event, Fact, Witness

_log = logging.getLogger(__name__)

_DIVERGED = ("given_up", "voided", "retired", "suspected")
_ROLES = frozenset({"master", "slave"})


class Witnesses:
    """Tells several witnesses; stops at the first that cannot keep the fact."""

    def __init__(self, *witnesses: Witness) -> None:
        self._witnesses = witnesses

    def note(self, fact: Fact) -> None:
        """Tell all.

        Raises
        ------
        AuditError
            One cannot keep it; those after it were not told.
        """
        for witness in self._witnesses:
            witness.note(fact)


class CountingWitness:
    """Counts facts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def note(self, fact: Fact) -> None:
        """Count a fact."""
        try:
            self._count(fact)
        except (ConfigError, TypeError, ValueError) as error:
            _log.warning("a fact %s cannot be counted: %s", fact.event, type(error).__name__)

    def _count(self, fact: Fact) -> None:
        metrics, about = self._metrics, fact.about
        metrics.count("audit_records_total", event=str(fact.event))
        keys = _length(about.get("key_ids"))
        match fact.event:
            case Event.BLOCK_INGESTED:
                peer = str(about.get("peer", OTHER))
                metrics.count("blocks_ingested_total", peer=peer)
                metrics.count("secret_bits_total", _number(about.get("bits")), peer=peer)
            case Event.KEYS_DELIVERED:
                metrics.count("keys_delivered_total", keys, role=_role(about.get("role")))
            case Event.KEYS_ASSIGNED:
                metrics.count("keys_assigned_total", keys, peer=fact.subject)
            case Event.KEYS_VOIDED:
                metrics.count("keys_voided_total", keys)
            case Event.KEYS_RELAYED:
                metrics.count("keys_relayed_total", keys)
            case Event.LEDGERS_COMPARED:
                differing = sum(_number(about.get(name)) for name in _DIVERGED)
                metrics.count("ledger_divergence_keys_total", differing, peer=fact.subject)
            case Event.ACCESS_DENIED:
                metrics.count("auth_failures_total")
            case _:
                pass


def count_answer(metrics: Metrics, *, role: str, code: int, seconds: float) -> None:
    """Count one answered request for keys: the interface to applications calls it after each.

    Parameters
    ----------
    metrics
        Of the site.
    role
        ``master`` for new keys, ``slave`` for keys by name.
    code
        HTTP status.
    seconds
        From the request's arrival to its answer.
    """
    metrics.count("key_deliveries_total", role=_role(role), code=str(code))
    metrics.observe("kkrd_seconds", seconds, role=_role(role))


def _role(value: object) -> str:
    return str(value) if value in _ROLES else OTHER


def _length(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _number(value: object) -> float:
    return max(0.0, float(value)) if isinstance(value, (int, float)) else 0.0
