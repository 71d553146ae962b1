"""A link's metrics from the very messages that a recording publishes."""

import json
from dataclasses import replace

import pytest

from faintlink.acquisition.statistics.codec import encode
from faintlink.acquisition.statistics.snapshot import RunFacts, Snapshot
from faintlink.core.errors import SchemaError
from faintlink.core.records import DecoyCounts
from faintlink.delivery.metrics.catalogue import Feeder
from faintlink.delivery.metrics.link import MAX_BYTES, SILENT_AFTER_S, LinkFeed
from faintlink.delivery.metrics.registry import Metrics
from tests.unit.delivery.metrics.test_metrics import values

FACTS = RunFacts("run-1", "link", max_qber=0.08, block_s=10.0)
FIRST = Snapshot(
    "recording",
    elapsed_s=1.0,
    tags=1000,
    lost=3,
    gaps={"overflow": 1},
    clicks={"Z0": 500},
    spans_s={"Z0": 1.0},
    counts=DecoyCounts((80, 20), (30, 10), (1, 1), (2, 0)),
    clock_ppm=1.5,
    key_rate_bps=250.0,
    pool_bits=4096,
    facts=FACTS,
)
SECOND = replace(
    FIRST,
    elapsed_s=3.0,
    tags=5000,
    clicks={"Z0": 2500},
    spans_s={"Z0": 3.0},
    counts=DecoyCounts((280, 20), (30, 10), (21, 1), (2, 0)),
    pool_bits=6144,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Feeder.LINK)


def test_totals_become_counters_and_differences_become_rates(metrics: Metrics) -> None:
    feed = LinkFeed(metrics)
    feed.receive(encode(FIRST))
    assert values(metrics)['link_qber_ratio{basis="key"}'] == pytest.approx(2 / 100)
    assert "eskr_bps 0" in metrics.render().decode()
    feed.receive(encode(SECOND))
    found = values(metrics)
    assert found['link_qber_ratio{basis="key"}'] == pytest.approx(20 / 200)
    assert found['link_qber_ratio{basis="test"}'] == pytest.approx(2 / 40)
    assert found['sifted_bits_total{basis="key"}'] == 300
    assert found["tagger_tags_total"] == 5000
    assert found["tagger_lost_tags_total"] == 3
    assert found['tagger_gaps_total{cause="overflow"}'] == 1
    assert found['detector_rate_hz{channel="Z0"}'] == pytest.approx(1000)
    assert found["eskr_bps"] == pytest.approx(1024)
    assert found["skr_bps"] == 250
    assert found["link_qber_limit_ratio"] == pytest.approx(0.08)
    assert found["clock_frequency_ppm"] == 1.5
    assert found["link_up"] == 1


def test_a_new_run_begins_its_totals_anew_and_counters_go_on(metrics: Metrics) -> None:
    feed = LinkFeed(metrics)
    feed.receive(encode(SECOND))
    feed.receive(encode(replace(FIRST, facts=replace(FACTS, run_id="run-2"))))
    assert values(metrics)["tagger_tags_total"] == 6000


def test_a_new_run_that_has_not_said_its_name_yet_is_counted_once(metrics: Metrics) -> None:
    feed = LinkFeed(metrics)
    feed.receive(encode(SECOND))
    fresh = replace(FIRST, facts=replace(FACTS, run_id="run-2"))
    feed.receive(encode(replace(fresh, elapsed_s=0.5, tags=600, facts=None)))
    feed.receive(encode(fresh))
    feed.receive(encode(replace(fresh, elapsed_s=2.0, tags=1100)))
    assert values(metrics)["tagger_tags_total"] == 6100


def test_a_link_that_falls_silent_is_down(metrics: Metrics) -> None:
    now = [0.0]
    feed = LinkFeed(metrics, monotonic=lambda: now[0])
    assert values(metrics)["link_up"] == 0
    feed.receive(encode(FIRST))
    now[0] = SILENT_AFTER_S
    feed.tick()
    assert values(metrics)["link_up"] == 0


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version": 2}',
        b'{"version": 1}',
        b"x" * (MAX_BYTES + 1),
        b"[" * 20_000,
        json.dumps({**json.loads(encode(FIRST)), "tags": "many"}).encode(),
        json.dumps({**json.loads(encode(FIRST)), "lost": -1}).encode(),
        json.dumps({**json.loads(encode(FIRST)), "gaps": {"0123456789ab-0123-0123": 1}}).encode(),
        encode(FIRST).replace(b'"tags":1000', b'"tags":NaN'),
    ],
)
def test_what_is_no_snapshot_is_refused(metrics: Metrics, message: bytes) -> None:
    with pytest.raises(SchemaError):
        LinkFeed(metrics).receive(message)
    assert values(metrics)["link_up"] == 0
