"""Feeds bring what is there, say what went wrong, and end when they are told to."""

import socket
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from faintlink.acquisition.live.feeds import Feed, open_feed, published_feed, relay, run_folder
from faintlink.acquisition.live.model import LiveModel
from faintlink.acquisition.live.text import watch_in_terminal
from faintlink.acquisition.statistics.companions import publisher_here
from faintlink.acquisition.statistics.publishing import StatisticsPublisher
from faintlink.acquisition.statistics.snapshot import RunFacts, Snapshot
from faintlink.core.errors import ConfigError, SchemaError
from tests.acquisition_fakes import eventually, run_in_thread
from tests.pulses import PulsedLink, link_text, write_pulsed_run

DONE = Snapshot(
    phase="sealed", state="locked", tags=3, elapsed_s=2.0, facts=RunFacts(link="demo", events=("12:00:00 stop",))
)


def fed(*snapshots: Snapshot, error: Exception | None = None) -> Feed:
    def work(emit: Callable[[Snapshot], None]) -> None:
        for one in snapshots:
            emit(one)
        if error is not None:
            raise error

    return Feed(work)


def drained(feed: Feed, into: list[Snapshot]) -> bool:
    """Move what has come into a list; return whether nothing more will come."""
    into.extend(feed.take())
    return feed.has_ended


def printed(feed: Feed) -> tuple[int, str]:
    out = StringIO()
    code = watch_in_terminal(feed, LiveModel(), Console(file=out, width=120))
    return code, out.getvalue()


def test_a_feed_hands_over_everything_in_order_and_then_ends() -> None:
    with fed(Snapshot(tags=1), Snapshot(tags=2)) as feed:
        taken: list[Snapshot] = []
        assert eventually(lambda: drained(feed, taken))
    assert [one.tags for one in taken] == [1, 2]


def test_a_feed_that_nobody_reads_drops_the_oldest_and_never_waits() -> None:
    feed = Feed()
    for tags in range(20_000):
        feed.put(Snapshot(tags=tags))
    taken = feed.take()
    assert len(taken) < 20_000
    assert taken[-1].tags == 19_999
    assert not feed.has_ended


def test_the_terminal_says_that_the_run_is_over_and_prints_the_log() -> None:
    code, text = printed(fed(Snapshot(tags=1), DONE))
    assert code == 0
    assert "files sealed" in text
    assert "12:00:00 stop" in text
    assert "demo" in text


def test_the_terminal_says_why_a_source_failed_and_so_does_the_exit_code() -> None:
    code, text = printed(fed(Snapshot(tags=1), error=SchemaError("the file is damaged")))
    assert code == 3
    assert "stopped: the file is damaged" in text


def test_texts_from_outside_are_printed_as_they_are() -> None:
    facts = RunFacts(link="[bold]x", events=("[red]no markup[/red]",))
    assert "[red]no markup[/red]" in printed(fed(Snapshot(phase="sealed", facts=facts)))[1]


def test_a_published_run_is_seen_to_its_end() -> None:
    with StatisticsPublisher("tcp://127.0.0.1:*") as publisher, published_feed(publisher.address) as feed:
        assert eventually(lambda: bool(publisher.send(Snapshot(tags=1)) and feed.take(0.05)))
        publisher.send_last(DONE)
        taken: list[Snapshot] = []
        assert eventually(lambda: drained(feed, taken))
        assert taken[-1].is_over


def test_a_publisher_that_never_ends_is_left_when_the_feed_is_closed() -> None:
    with published_feed("tcp://127.0.0.1:1") as feed:
        pass
    assert eventually(lambda: feed.has_ended)


def test_a_relay_passes_on_what_comes_and_the_end() -> None:
    is_heard = threading.Event()

    def work(emit: Callable[[Snapshot], None]) -> None:
        # A listener that connects late hears nothing of what was said before.
        while not is_heard.wait(0.02):
            emit(Snapshot(tags=1))
        emit(DONE)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    results: list[int] = []
    thread = run_in_thread(lambda: results.append(relay(Feed(work), address)))
    with published_feed(address) as listener:
        assert eventually(lambda: bool(listener.take(0.05)))
        is_heard.set()
        taken: list[Snapshot] = []
        assert eventually(lambda: drained(listener, taken))
    thread.join(20.0)
    assert (results, taken[-1].is_over) == ([0], True)


def test_the_newest_run_of_a_link_is_found_by_its_exact_name(tmp_path: Path) -> None:
    link = tmp_path / "x.link.yaml"
    link.write_text(link_text())
    for name in ("20260101T000000Z-small-pulsed", "20260102T000000Z-small-pulsed", "20260103T000000Z-not-small-pulsed"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert run_folder(link, tmp_path / "runs").name == "20260102T000000Z-small-pulsed"
    with pytest.raises(ConfigError, match="no run of link small-pulsed"):
        run_folder(link, tmp_path / "elsewhere")


def test_a_file_names_the_run_folder_around_it(tmp_path: Path) -> None:
    folder = write_pulsed_run(tmp_path / "run", PulsedLink(seconds=0.2).make())
    assert run_folder(folder / "bob-0000.h5") == run_folder(folder) == folder


@pytest.mark.parametrize("target", ["tcp://127.0.0.1", "what://x"])
def test_a_strange_address_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="cannot use"):
        open_feed(target)


def test_a_run_is_heard_where_it_speaks(tmp_path: Path) -> None:
    with publisher_here() as publisher, published_feed(publisher.address, folder=tmp_path) as feed:
        taken: list[Snapshot] = []

        def is_heard() -> bool:
            publisher.send(Snapshot(tags=7))
            taken.extend(feed.take(0.02))
            return bool(taken)

        assert eventually(is_heard)
        publisher.send_last(DONE)
        assert eventually(lambda: drained(feed, taken))
    assert (taken[0].tags, taken[-1].is_over, feed.error) == (7, True, None)


def test_a_run_that_falls_silent_is_read_from_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faintlink.acquisition.live.feeds._SILENCE_S", 0.1)
    folder = write_pulsed_run(tmp_path / "run", PulsedLink(seconds=0.2).make())
    with published_feed("tcp://127.0.0.1:9", folder=folder) as feed:
        taken: list[Snapshot] = []
        assert eventually(lambda: drained(feed, taken))
    assert taken[-1].is_over
    assert taken[-1].counts.key.bits > 100
