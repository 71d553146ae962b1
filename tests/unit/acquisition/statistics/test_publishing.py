"""A publisher waits for nobody, keeps to its limits, and says the end more than once."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faintlink.acquisition.statistics.codec import MAX_BYTES
from faintlink.acquisition.statistics.companions import publisher_here
from faintlink.acquisition.statistics.publishing import (
    BYTES_PER_S,
    StatisticsPublisher,
    StatisticsSubscriber,
    require_free,
)
from faintlink.acquisition.statistics.snapshot import BINS, RunFacts, Snapshot
from faintlink.core.errors import ConfigError, SchemaError
from tests.acquisition_fakes import eventually

ANYWHERE = "tcp://127.0.0.1:*"
FULL = Snapshot(facts=RunFacts(events=tuple("x" * 200 for _ in range(24)), calibrations=("y" * 200,) * 24))


@pytest.fixture
def publisher() -> Iterator[StatisticsPublisher]:
    with StatisticsPublisher(ANYWHERE) as one:
        yield one


def received(publisher: StatisticsPublisher, subscriber: StatisticsSubscriber, sent: Snapshot) -> list[Snapshot]:
    """Publish until something arrives: a publisher does not wait for its listeners."""
    found: list[Snapshot] = []

    def arrived() -> bool:
        publisher.send(sent)
        found.extend(subscriber.poll(0.01))
        return bool(found)

    assert eventually(arrived)
    return found


def test_a_listener_gets_what_is_published(publisher: StatisticsPublisher) -> None:
    with StatisticsSubscriber(publisher.address) as subscriber:
        assert received(publisher, subscriber, Snapshot(tags=7, state="locked"))[-1].tags == 7


def test_a_listener_that_never_reads_holds_nobody_up(publisher: StatisticsPublisher) -> None:
    with StatisticsSubscriber(publisher.address) as subscriber:
        received(publisher, subscriber, Snapshot(tags=1))
        start = time.monotonic()
        for _ in range(20_000):
            publisher.send(FULL)
        # A send that waited once for the listener would wait for ever.
        assert time.monotonic() - start < 20.0


class Watch:
    """A clock that is set by hand."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_no_more_is_sent_than_twenty_messages_and_a_hundred_kilobytes_a_second() -> None:
    clock = Watch()
    full = replace(FULL, histogram=np.full((4, BINS), 2**50))
    for snapshot in (Snapshot(), full):
        with StatisticsPublisher(ANYWHERE, clock=clock) as publisher:
            went = 0
            for _ in range(1000):
                clock.now_s += 0.01
                went += publisher.send(snapshot)
            # A message that went out just before the ten seconds were over counts into the next ones.
            assert 10 <= went <= 201
            assert publisher.sent_bytes <= 10 * BYTES_PER_S + MAX_BYTES


def test_facts_come_every_two_seconds_only() -> None:
    clock = Watch()
    sizes = []
    with StatisticsPublisher(ANYWHERE, clock=clock) as publisher:
        for _ in range(5):
            before = publisher.sent_bytes
            assert publisher.send(FULL)
            sizes.append(publisher.sent_bytes - before)
            clock.now_s += 1.0
    assert [size > 5000 for size in sizes] == [True, False, True, False, True]


def test_the_last_word_is_sent_more_than_once(publisher: StatisticsPublisher) -> None:
    with StatisticsSubscriber(publisher.address) as subscriber:
        received(publisher, subscriber, Snapshot(tags=1))
        publisher.send_last(Snapshot(phase="sealed", tags=2))
        last: list[Snapshot] = []

        def has_come_thrice() -> bool:
            last.extend(subscriber.poll(0.01))
            return sum(one.is_over for one in last) == 3

        assert eventually(has_come_thrice)


def test_something_else_on_the_wire_is_refused() -> None:
    import zmq

    socket: Any = zmq.Context.instance().socket(zmq.PUB)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    try:
        with StatisticsSubscriber(f"tcp://127.0.0.1:{port}") as subscriber:

            def arrived() -> bool:
                socket.send(b"hello")
                return bool(subscriber.poll(0.01))

            with pytest.raises(SchemaError):
                eventually(arrived)
    finally:
        socket.close(0)


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "tcp://127.0.0.1:99999999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="cannot use"):
        StatisticsPublisher(address)
    with pytest.raises(ConfigError, match="cannot use"):
        StatisticsSubscriber(address)


def test_a_publisher_for_this_computer_holds_nothing_back() -> None:
    with publisher_here() as here:
        assert here.address.startswith("tcp://127.0.0.1:")
        assert [here.send(Snapshot(tags=number)) for number in range(5)] == [True] * 5


def test_an_address_in_use_is_refused_before_anything_starts(publisher: StatisticsPublisher) -> None:
    with pytest.raises(ConfigError, match="in use"):
        require_free(publisher.address)
