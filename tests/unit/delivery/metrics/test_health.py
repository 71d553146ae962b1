"""Health over HTTP: what is down, what is degraded, and nothing else."""

import asyncio
import json

import pytest

from faintlink.core.errors import AuditError, ConfigError, PeerUnavailableError
from faintlink.delivery.health import Check, Monitoring, serve_monitoring


def good() -> None:
    """All is well."""


def bad() -> None:
    raise AuditError("the disk is full", hint="free it")


def lonely() -> None:
    raise PeerUnavailableError("site-b does not answer", hint="wait")


def monitoring(**checks: Check) -> Monitoring:
    return Monitoring("site-a", checks, lambda: b"faintlink_up 1\n")


@pytest.mark.parametrize(
    ("checks", "code", "status"),
    [
        ({}, 200, "ok"),
        ({"audit": Check(good), "peer": Check(good, is_vital=False)}, 200, "ok"),
        ({"audit": Check(good), "peer": Check(lonely, is_vital=False)}, 200, "degraded"),
        ({"audit": Check(bad), "peer": Check(good)}, 503, "down"),
        ({"audit": Check(bad), "peer": Check(lonely, is_vital=False)}, 503, "down"),
    ],
)
def test_health_is_the_worst_of_its_checks(checks: dict[str, Check], code: int, status: str) -> None:
    reply = monitoring(**checks).reply("GET", "/health")
    assert (reply.status, json.loads(reply.body)["status"]) == (code, status)


def test_health_says_what_is_wrong() -> None:
    body = json.loads(monitoring(audit=Check(bad), store=Check(good)).reply("GET", "/health").body)
    assert body == {"site": "site-a", "status": "down", "checks": {"audit": "the disk is full", "store": "ok"}}


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/live", 200),
        ("HEAD", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/api/v1/keys/x/enc_keys", 404),
        ("POST", "/health", 405),
        ("DELETE", "/metrics", 405),
    ],
)
def test_there_are_three_pages_and_they_are_read_only(method: str, path: str, code: int) -> None:
    assert monitoring().reply(method, path).status == code


def test_a_fault_of_the_monitoring_shows_no_insides(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> bytes:
        raise RuntimeError("insides")

    reply = Monitoring("a", {}, fail).reply("GET", "/metrics")
    assert (reply.status, reply.body) == (500, b"see the log\n")
    assert "insides" in caplog.text


async def _ask(path: str) -> tuple[int, str, bytes, str]:
    import aiohttp

    runner = await serve_monitoring(monitoring(audit=Check(bad)), host="127.0.0.1", port=0)
    try:
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}{path}") as answer:
            return answer.status, answer.headers["Content-Type"], await answer.read(), answer.headers["Cache-Control"]
    finally:
        await runner.cleanup()


def test_the_port_answers_what_the_monitoring_says() -> None:
    status, content_type, body, cache = asyncio.run(_ask("/health"))
    assert (status, content_type, cache) == (503, "application/json", "no-store")
    assert json.loads(body)["status"] == "down"
    status, content_type, body, _ = asyncio.run(_ask("/metrics"))
    assert (status, body) == (200, b"faintlink_up 1\n")
    assert content_type.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_others_than_the_machine_itself_are_not_answered_unless_allowed(host: str) -> None:
    with pytest.raises(ConfigError, match="open to others"):
        asyncio.run(serve_monitoring(monitoring(), host=host, port=0))
