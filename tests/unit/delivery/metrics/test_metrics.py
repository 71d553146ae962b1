"""Metrics: strict names and labels, fed from facts and stock, no keys in sight."""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from faintlink.core.errors import AuditError, ConfigError, SelfTestError, StoreError
from faintlink.delivery.keystore.model import Assignment, KeyRecord, KeyState, Pool, Role, Stock
from faintlink.delivery.metrics.catalogue import BY_NAME, CATALOGUE, PREFIX, Feeder, Kind
from faintlink.delivery.metrics.clocks import ClockWatch
from faintlink.delivery.metrics.disk import DiskWatch
from faintlink.delivery.metrics.feeding import CountingWitness, Witnesses, count_answer
from faintlink.delivery.metrics.registry import MAX_SERIES, Metrics
from faintlink.delivery.metrics.sampling import SiteSampler
from faintlink.delivery.witness import Event, Fact

SAMPLE = re.compile(r"^faintlink_(\w+?)(?:\{(.*)\})? ([-+.e0-9]+|NaN)$", re.MULTILINE)


def values(metrics: Metrics) -> dict[str, float]:
    """Every sample by name and labels, as a scraper sees it."""
    found = SAMPLE.findall(metrics.render().decode())
    return {name + (f"{{{labels}}}" if labels else ""): float(value) for name, labels, value in found}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Feeder.SITE)


def test_names_and_labels_follow_prometheus_and_the_rules_of_the_house() -> None:
    allowed = {"peer", "state", "direction", "role", "code", "event", "basis", "channel", "cause"}
    for one in CATALOGUE:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", one.name)
        assert set(one.labels) <= allowed, one.name
        assert (one.kind is Kind.COUNTER) == one.name.endswith("_total"), one.name
        assert one.text.endswith("."), one.name
    assert len(BY_NAME) == len(CATALOGUE)


@pytest.mark.parametrize("feeder", list(Feeder))
def test_a_process_exports_its_own_metrics_only(feeder: Feeder) -> None:
    helped = set(re.findall(rf"^# HELP {PREFIX}(\w+)", Metrics(feeder).render().decode(), re.MULTILINE))
    own = {one.name for one in CATALOGUE if one.feeder is feeder}
    assert {name for name in helped if not name.endswith("_created")} == own


def test_two_sites_in_one_process_do_not_mix(metrics: Metrics) -> None:
    other = Metrics(Feeder.SITE)
    metrics.count("auth_failures_total")
    assert values(metrics)["auth_failures_total"] == 1
    assert values(other)["auth_failures_total"] == 0


@pytest.mark.parametrize(
    ("call", "arguments", "labels"),
    [
        ("set", ("no_such", 1), {}),
        ("set", ("auth_failures_total", 1), {}),
        ("count", ("selftest_ok", 1), {}),
        ("set", ("link_up", 1), {}),
        ("set", ("key_age_seconds", 1), {}),
        ("set", ("key_age_seconds", 1), {"peer": "b", "key": "x"}),
        ("observe", ("key_age_seconds", 1), {"peer": "b"}),
    ],
)
def test_what_is_not_in_the_catalogue_is_refused(
    metrics: Metrics, call: str, arguments: tuple[str, float], labels: Mapping[str, str]
) -> None:
    with pytest.raises(ConfigError):
        getattr(metrics, call)(*arguments, **labels)


@pytest.mark.parametrize(
    "value",
    ["7e48d7f4-dfb3-4ed9-845c-38d5d184615b", "55d934199ba543148eebdf978b4c0e59", "a" * 97, "x\ny", 'x"', "", "ab" * 12],
)
def test_a_label_that_may_be_a_key_or_its_name_is_refused_and_not_repeated(metrics: Metrics, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        metrics.set("key_age_seconds", 1, peer=value)
    assert not value or value not in str(refused.value)
    assert "key_age_seconds{" not in metrics.render().decode()


def test_a_flood_of_labels_ends_as_other(metrics: Metrics) -> None:
    for number in range(MAX_SERIES + 50):
        metrics.count("keys_assigned_total", peer=f"site-{number}")
    found = {name: value for name, value in values(metrics).items() if name.startswith("keys_assigned_total")}
    assert len(found) == MAX_SERIES + 1
    assert found['keys_assigned_total{peer="other"}'] == 50


@pytest.mark.parametrize(
    ("fact", "name", "value"),
    [
        (
            Fact(Event.BLOCK_INGESTED, "node", {"block": str(uuid.uuid4()), "peer": "b", "bits": 5000}),
            'secret_bits_total{peer="b"}',
            5000,
        ),
        (Fact(Event.BLOCK_INGESTED, "node", {"peer": "b", "bits": 1}), 'blocks_ingested_total{peer="b"}', 1),
        (
            Fact(Event.KEYS_DELIVERED, "a", {"role": "slave", "key_ids": ["1", "2"]}),
            'keys_delivered_total{role="slave"}',
            2,
        ),
        (Fact(Event.KEYS_ASSIGNED, "site-b", {"key_ids": ["1"]}), 'keys_assigned_total{peer="site-b"}', 1),
        (Fact(Event.KEYS_VOIDED, "site-b", {"key_ids": ["1", "2", "3"], "reason": "x"}), "keys_voided_total", 3),
        (Fact(Event.KEYS_RELAYED, "site-b", {"key_ids": ["1"]}), "keys_relayed_total", 1),
        (
            Fact(Event.LEDGERS_COMPARED, "site-b", {"given_up": 1, "voided": 2, "retired": 3, "suspected": 0}),
            'ledger_divergence_keys_total{peer="site-b"}',
            6,
        ),
        (Fact(Event.ACCESS_DENIED, "x", {"reason": "y"}), "auth_failures_total", 1),
        (Fact(Event.STARTED, "a"), 'audit_records_total{event="started"}', 1),
    ],
)
def test_facts_are_counted(metrics: Metrics, fact: Fact, name: str, value: float) -> None:
    CountingWitness(metrics).note(fact)
    assert values(metrics)[name] == value


@pytest.mark.parametrize("event", list(Event))
@pytest.mark.parametrize("about", [{}, {"key_ids": "x", "bits": "y", "peer": ["z"], "role": 5, "passed": "no"}])
def test_no_fact_however_odd_stops_a_release(metrics: Metrics, event: Event, about: dict[str, str]) -> None:
    CountingWitness(metrics).note(Fact(event, str(uuid.uuid4()), about))


class Full:
    """Cannot write."""

    def note(self, fact: Fact) -> None:
        raise AuditError("full", hint="free it")


def test_what_the_audit_log_cannot_keep_is_not_counted(metrics: Metrics) -> None:
    with pytest.raises(AuditError):
        Witnesses(Full(), CountingWitness(metrics)).note(Fact(Event.ACCESS_DENIED, "x"))
    assert values(metrics)["auth_failures_total"] == 0


def test_answers_are_counted_by_status_and_timed(metrics: Metrics) -> None:
    count_answer(metrics, role="master", code=200, seconds=0.02)
    count_answer(metrics, role="master", code=503, seconds=0.4)
    count_answer(metrics, role="../../etc", code=401, seconds=0.0)
    found = values(metrics)
    assert found['key_deliveries_total{code="503",role="master"}'] == 1
    assert found['key_deliveries_total{code="401",role="other"}'] == 1
    assert found['kkrd_seconds_bucket{le="0.3",role="master"}'] == 1
    assert found['kkrd_seconds_count{role="master"}'] == 2


class Stocked:
    """A store with known stock and one waiting key."""

    def __init__(self) -> None:
        self.is_broken = False

    def stock(self) -> dict[tuple[str, Pool], Stock]:
        if self.is_broken:
            raise StoreError("it is broken", hint="mend it")
        return {("b", Pool.OURS): Stock(3, 768), ("b", Pool.RESERVE_THEIRS): Stock(1, 256)}

    def waiting(self, peer: str) -> list[KeyRecord]:
        ages = [5, 60] if peer == "b" else []
        return [
            KeyRecord(
                Assignment(str(uuid.uuid4()), 256, "m", "s", ()),
                peer,
                Role.SLAVE,
                KeyState.READY,
                1e-10,
                (),
                (datetime.now(UTC) - timedelta(seconds=age)).isoformat(),
                None,
            )
            for age in ages
        ]


def shut() -> None:
    raise SelfTestError("no", hint="x")


def sampler(metrics: Metrics, store: Stocked, tmp_path: str, **more: object) -> SiteSampler:
    from pathlib import Path

    return SiteSampler(metrics, store, ["b", "c"], DiskWatch(Path(tmp_path)), lambda: None, shut, **more)  # type: ignore[arg-type]


def test_gauges_are_those_of_the_moment_of_the_scrape(metrics: Metrics, tmp_path: str) -> None:
    sampling = sampler(metrics, Stocked(), tmp_path, peers_up=lambda: {"b": True, "c": False})
    sampling.render()
    found = values(metrics)
    assert found['key_pool_bits{direction="ours",peer="b",state="free"}'] == 768
    assert found['key_pool_bits{direction="ours",peer="c",state="free"}'] == 0
    assert found['auth_key_bits_remaining{direction="theirs",peer="b"}'] == 256
    assert found['keys_waiting{peer="b"}'] == 2
    assert 60 <= found['key_age_seconds{peer="b"}'] < 90
    assert found['peer_up{peer="c"}'] == 0
    assert found["audit_chain_ok"] == 1
    assert found["selftest_ok"] == 0
    assert found["store_up"] == 1
    assert found["disk_size_bytes"] >= found["disk_free_bytes"] > 0


def test_a_broken_store_leaves_the_other_numbers(metrics: Metrics, tmp_path: str) -> None:
    store = Stocked()
    store.is_broken = True

    def fail() -> None:
        raise AuditError("no", hint="x")

    sampling = sampler(metrics, store, tmp_path)
    sampling.require_audit = fail
    sampling.render()
    assert values(metrics)["audit_chain_ok"] == 0
    assert values(metrics)["store_up"] == 0


def test_steps_of_the_wall_clock_are_counted_and_slow_drift_is_not() -> None:
    wall, monotonic = [1000.0], [0.0]
    watch = ClockWatch(wall=lambda: wall[0], monotonic=lambda: monotonic[0])
    for step in (0.0, 0.09, -0.09, 3600.0, 0.0, -1.0):
        monotonic[0] += 10
        wall[0] += 10 + step
        watch.look()
    assert watch.steps == 2
    assert watch.look() == pytest.approx(3599.0)
