"""The monitor between a publisher and Prometheus."""

import asyncio
import logging

import aiohttp
import pytest

from faintlink.acquisition.statistics.codec import encode
from faintlink.acquisition.statistics.publishing import StatisticsPublisher
from faintlink.core.errors import ConfigError
from faintlink.delivery.metrics.monitor import LinkMonitor, run_monitor
from tests.unit.delivery.kme.sites import free_ports
from tests.unit.delivery.metrics.test_link_feed import FIRST


def test_a_flood_of_messages_that_are_none_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    monitor = LinkMonitor("link")
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            monitor.take(b"no snapshot")
    assert len(caplog.records) == 1
    assert b'"degraded"' in monitor.monitoring.reply("GET", "/health").body


def test_a_snapshot_makes_the_link_healthy() -> None:
    monitor = LinkMonitor("link")
    monitor.take(encode(FIRST))
    monitor.take(None)
    assert b'"ok"' in monitor.monitoring.reply("GET", "/health").body
    assert b"faintlink_tagger_tags_total 1000.0" in monitor.monitoring.reply("GET", "/metrics").body


async def scraped(address: str, publisher: StatisticsPublisher) -> str:
    ports: asyncio.Queue[int] = asyncio.Queue()
    running = asyncio.create_task(run_monitor(address, host="127.0.0.1", port=0, on_ready=ports.put_nowait))
    try:
        port = await asyncio.wait_for(ports.get(), 20)
        async with aiohttp.ClientSession() as session, asyncio.timeout(20):
            while True:
                publisher.send(FIRST)
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    text = await answer.text()
                if "faintlink_link_up 1.0" in text:
                    return text
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_what_a_recording_publishes_is_scraped() -> None:
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    with StatisticsPublisher(address) as publisher:
        text = asyncio.run(scraped(address, publisher))
    assert "faintlink_skr_bps 250.0" in text


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        asyncio.run(run_monitor("nonsense", host="127.0.0.1", port=0, on_ready=print))
