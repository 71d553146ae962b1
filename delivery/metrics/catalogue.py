"""Every metric that faintlink exports, as data: the dashboard, the alerts and the documentation are checked against it.

Names follow Prometheus: base units, ``_total`` for what only grows. Beside each stands what it is called in ITU-T
Y.3807 (key performance indicators of QKD networks) or ETSI GS QKD 015 (YANG model) where these have a name for it.
No label ever holds a key or the name of a key.

Sources: ITU-T Y.3807 (2022-02); ETSI GS QKD 015 V2.1.1 (2022-04); Prometheus, "Metric and label naming".
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "faintlink_"


class Kind(StrEnum):
    """How a metric behaves."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Feeder(StrEnum):
    """Which process exports it."""

    SITE = "site"
    """The KME of a site."""
    LINK = "link"
    """`faintlink monitor`, from the statistics that a recording publishes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    """Without prefix."""
    kind: Kind
    feeder: Feeder
    text: str
    """What it says, with its unit."""
    labels: tuple[str, ...] = ()
    known_as: str = ""
    """Name in a standard."""

    @property
    def full_name(self) -> str:
        """As it is exported."""
        return PREFIX + self.name


SECONDS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)

_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_S, _L = Feeder.SITE, Feeder.LINK

CATALOGUE: Final[tuple[Metric, ...]] = (
    Metric("key_pool_bits", _G, _S, "Bits in the stock.", ("peer", "state", "direction"), "015: key pool"),
    Metric("key_age_seconds", _G, _S, "Age of the oldest key that waits to be fetched by its slave.", ("peer",)),
    Metric("keys_waiting", _G, _S, "Keys that wait to be fetched by their slave.", ("peer",)),
    Metric("blocks_ingested_total", _C, _S, "Distilled blocks brought into the store.", ("peer",)),
    Metric("secret_bits_total", _C, _S, "Distilled bits brought into the store.", ("peer",), "015: skr, its sum"),
    Metric("keys_delivered_total", _C, _S, "Keys handed out.", ("role",), "Y.3807: throughput, its sum"),
    Metric("keys_assigned_total", _C, _S, "Keys taken as another site promised them.", ("peer",)),
    Metric("keys_voided_total", _C, _S, "Keys given up.", (), "Y.3807: delivery loss ratio, its numerator"),
    Metric("keys_relayed_total", _C, _S, "Keys that passed this site, or began or ended here, by relay."),
    Metric(
        "key_deliveries_total",
        _C,
        _S,
        "Requests for keys that were answered, by HTTP status.",
        ("role", "code"),
        "Y.3807: delivery error ratio",
    ),
    Metric("kkrd_seconds", _H, _S, "Time from request to answer.", ("role",), "Y.3807: KSA-key response delay"),
    Metric("ledger_divergence_keys_total", _C, _S, "Keys and units on which two ledgers differed.", ("peer",)),
    Metric("auth_key_bits_remaining", _G, _S, "Bits kept for relay and authentication.", ("peer", "direction")),
    Metric("auth_failures_total", _C, _S, "Callers and requests that were refused."),
    Metric("peer_up", _G, _S, "1 if the other site answers.", ("peer",), "Y.3807: availability"),
    Metric("store_up", _G, _S, "1 while the key store answers.", (), "Y.3807: availability"),
    Metric("disk_free_bytes", _G, _S, "Room that the site may still write."),
    Metric("disk_size_bytes", _G, _S, "Size of the file system of the store."),
    Metric("audit_chain_ok", _G, _S, "1 while the audit log takes facts."),
    Metric("audit_records_total", _C, _S, "Facts in the audit log, by kind.", ("event",)),
    Metric("selftest_ok", _G, _S, "1 if all self-tests passed and keys may leave."),
    Metric("clock_steps_total", _C, _S, "Steps of the wall clock by more than 0.1 s."),
    Metric("clock_offset_seconds", _G, _S, "Wall clock against the clock it had at the start."),
    Metric("start_time_seconds", _G, _S, "When the process started, Unix time.", (), "Y.3807: service restoration"),
    Metric("link_up", _G, _L, "1 while statistics of the link come in."),
    Metric("link_qber_ratio", _G, _L, "Error rate since the last scrape.", ("basis",), "015: phys_perf QBER"),
    Metric("link_qber_limit_ratio", _G, _L, "Error rate above which no key is made."),
    Metric("sifted_bits_total", _C, _L, "Sifted detections.", ("basis",)),
    Metric("skr_bps", _G, _L, "Secret bits per second that the last seconds promise.", (), "015: skr"),
    Metric("eskr_bps", _G, _L, "Bits per second that came into the key folder.", (), "015: eskr"),
    Metric("block_seconds", _G, _L, "Length of a key block."),
    Metric("tagger_tags_total", _C, _L, "Time tags that came in."),
    Metric("tagger_lost_tags_total", _C, _L, "Time tags that are known to be missing."),
    Metric("tagger_gaps_total", _C, _L, "Stretches of time in which tags are missing, by cause.", ("cause",)),
    Metric("detector_rate_hz", _G, _L, "Clicks per second since the last scrape.", ("channel",)),
    Metric("clock_frequency_ppm", _G, _L, "Sender's clock against the receiver's."),
)

BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}
"""By name without prefix."""
