"""The audit log: durable before it returns, sound after a crash, anchored in time."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from faintlink.core.errors import AuditError
from faintlink.delivery.audit import files
from faintlink.delivery.audit.files import HEAD, lines, read_anchors, segments
from faintlink.delivery.audit.limits import AuditLimits
from faintlink.delivery.audit.records import LogEvent, content, decode, encode
from faintlink.delivery.audit.signing import AuditKey, AuditPublicKey
from faintlink.delivery.audit.verify import acknowledged
from faintlink.delivery.witness import Event, Fact
from tests.unit.delivery.audit.logs import Home, fact


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.make(tmp_path)


def written(home: Home) -> list[str]:
    return [decode(line.data).event for path in segments(home.folder) for line in lines(path)]


def test_a_fact_is_on_the_disk_when_note_returns(home: Home) -> None:
    log = home.open()
    log.note(Fact(Event.KEYS_DELIVERED, "urn:sae:a", {"key_ids": ["1", "2"], "epsilon": 1e-10}))
    record = decode(segments(home.folder)[0].read_bytes().splitlines()[-1])
    assert (record.event, record.subject, record.about["key_ids"]) == ("keys_delivered", "urn:sae:a", ["1", "2"])
    assert home.verified().records == 2
    assert home.verified().unacknowledged_bytes == 0


def test_a_log_goes_on_where_it_ended(home: Home) -> None:
    home.filled(3).filled(2)
    assert written(home).count(LogEvent.OPENED) == 2
    assert home.verified().is_sound
    assert home.verified().records == 7


def test_a_second_process_is_refused(home: Home) -> None:
    log = home.open()
    with pytest.raises(AuditError, match=f"process {os.getpid()}"):
        home.open()
    log.close()
    home.open().close()


def test_closing_twice_does_no_harm_and_a_closed_log_takes_nothing(home: Home) -> None:
    log = home.open()
    log.close()
    log.close()
    with pytest.raises(AuditError, match="closed"):
        log.note(fact(1))


@pytest.mark.parametrize("about", [{"rate": float("nan")}, {"n": object()}, {"names": ["x" * 2_000_000]}])
def test_a_fact_that_cannot_be_written_harms_no_other(home: Home, about: dict[str, Any]) -> None:
    log = home.open()
    with pytest.raises(AuditError):
        log.note(Fact(Event.STARTED, "site-a", about))
    log.note(fact(1))
    log.close()
    assert home.verified().records == 2


def test_a_newline_in_a_name_makes_no_second_record(home: Home) -> None:
    log = home.open()
    log.note(Fact(Event.ACCESS_DENIED, 'x"}\n{"n": 5', {"path": "\r\n\u2028"}))
    log.close()
    assert home.verified().is_sound
    assert home.verified().records == 2


def test_facts_of_many_threads_are_all_there_and_share_synchronisations(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = home.open()
    calls: list[int] = []
    gate = threading.Event()
    synchronise = os.fdatasync

    def slow(handle: int) -> None:
        calls.append(handle)
        gate.wait(10)
        synchronise(handle)

    monkeypatch.setattr(os, "fdatasync", slow)
    threads = [threading.Thread(target=log.note, args=(fact(number),)) for number in range(24)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    log.close()
    assert home.verified().is_sound
    assert home.verified().records == 25
    assert len(calls) < 2 * 24


def test_segments_rotate_and_stay_chained(home: Home) -> None:
    home.filled(25, AuditLimits(segment_records=10))
    assert [path.name for path in segments(home.folder)] == [
        "audit-000000000000.jsonl",
        "audit-000000000010.jsonl",
        "audit-000000000020.jsonl",
    ]
    assert home.verified().is_sound
    home.filled(10, AuditLimits(segment_records=10))
    assert home.verified().records == 37


def test_anchors_come_by_number_and_by_time_and_at_the_end(home: Home) -> None:
    now = [0.0]
    limits = AuditLimits(anchor_records=5, anchor_seconds=3600, head_seconds=0)
    log = home.open(limits, monotonic=lambda: now[0])
    for number in range(4):
        log.note(fact(number))
    now[0] = 3599.0
    log.note(fact(4))
    now[0] = 3600.0 + 3599.0
    log.note(fact(5))
    log.note(fact(6))
    log.close()
    assert [one.records for one in read_anchors(home.anchors, home.key.public())[0]] == [5, 7, 8]


def test_a_log_that_rests_is_anchored_when_it_is_time(home: Home) -> None:
    now = [0.0]
    log = home.open(AuditLimits(anchor_seconds=3600, head_seconds=0.02), monotonic=lambda: now[0])
    log.note(fact(1))
    now[0] = 3600.0
    deadline = time.monotonic() + 30
    while not read_anchors(home.anchors, home.key.public())[0]:
        assert time.monotonic() < deadline
    log.close()
    assert [one.records for one in read_anchors(home.anchors, home.key.public())[0]] == [2]


def test_a_line_cut_off_by_a_crash_is_set_aside_and_noted(home: Home) -> None:
    home.filled(3)
    torn = b'{"n": 4, "utc": "2026'
    with segments(home.folder)[-1].open("ab") as file:
        file.write(torn)
    assert home.verified().unacknowledged_bytes == len(torn)
    home.open().close()
    assert home.verified().is_sound
    assert home.verified().unacknowledged_bytes == 0
    record = next(one for one in acknowledged(home.folder, until=6) if one.event == LogEvent.SET_ASIDE)
    assert (home.folder / record.about["file"]).read_bytes() == torn


def test_sealed_records_behind_an_older_head_are_kept_after_a_crash_of_the_machine(home: Home) -> None:
    home.filled(3)
    head = (home.folder / HEAD).read_bytes()
    anchors = home.anchors.read_bytes()
    home.filled(2, AuditLimits(segment_records=1))
    (home.folder / HEAD).write_bytes(head)
    home.anchors.write_bytes(anchors)
    assert home.verified().records == 7
    assert home.verified().unacknowledged_bytes == 0
    home.open().close()
    assert home.verified().is_sound
    assert home.verified().records == 8
    assert not list(home.folder.glob("aside-*"))


def test_an_anchor_that_is_newer_than_the_head_says_where_the_log_goes_on(home: Home) -> None:
    home.filled(3)
    head = (home.folder / HEAD).read_bytes()
    home.filled(2)
    (home.folder / HEAD).write_bytes(head)
    home.open().close()
    assert home.verified().is_sound
    assert home.verified().records == 8


def test_records_that_the_site_did_not_seal_are_set_aside(home: Home) -> None:
    home.filled(3)
    path = segments(home.folder)[-1]
    last = decode(path.read_bytes().splitlines()[-1])
    stranger = AuditKey(bytes(32))
    forged, _ = encode(4, last.utc, content("keys_voided", "x", {}), last.hash, stranger.seal)
    with path.open("ab") as file:
        file.write(forged)
    home.open().close()
    assert home.verified().is_sound
    assert written(home)[-2:] == [LogEvent.SET_ASIDE, LogEvent.OPENED]
    assert next(home.folder.glob("aside-*")).read_bytes() == forged


def test_the_head_is_on_the_disk_with_the_first_fact_after_its_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    log = home.open(AuditLimits(head_seconds=600), monotonic=lambda: now[0])
    calls: list[str] = []
    monkeypatch.setattr(files.Head, "synchronise", lambda _: calls.append("head"))
    log.note(fact(1))
    assert calls == []
    now[0] += 600
    log.note(fact(2))
    assert calls == ["head"]
    log.close()


def test_the_head_of_a_log_that_rests_is_on_the_disk_in_time(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    log = home.open(AuditLimits(head_seconds=0.05))
    is_durable = threading.Event()
    monkeypatch.setattr(files.Head, "synchronise", lambda _: is_durable.set())
    log.note(fact(1))
    assert is_durable.wait(30)
    log.close()


def test_a_crash_in_the_middle_of_a_head_leaves_the_other_place(home: Home) -> None:
    home.filled(3)
    head = home.folder / HEAD
    data = head.read_bytes()
    for at in (0, files.SLOT_BYTES):
        head.write_bytes(data[:at] + b"torn" + data[at + 4 :])
        assert home.verified().records >= 4


def test_a_log_that_lost_acknowledged_records_is_not_opened(home: Home) -> None:
    home.filled(3)
    path = segments(home.folder)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(AuditError, match="acknowledged up to record 3"):
        home.open()


def test_an_edited_last_segment_is_not_opened(home: Home) -> None:
    home.filled(3)
    path = segments(home.folder)[-1]
    path.write_bytes(path.read_bytes().replace(b"key-1", b"key-9"))
    with pytest.raises(AuditError, match="hash does not fit"):
        home.open()


def test_a_log_whose_anchors_are_gone_is_not_opened(home: Home) -> None:
    home.filled(3)
    home.anchors.unlink()
    with pytest.raises(AuditError, match="1 anchors were made"):
        home.open()


def test_a_log_that_was_put_back_whole_is_found_by_its_anchors(home: Home) -> None:
    home.filled(3)
    older = {path: path.read_bytes() for path in home.folder.iterdir()}
    home.filled(3)
    for path, data in older.items():
        path.write_bytes(data)
    with pytest.raises(AuditError, match="acknowledged up to record 7"):
        home.open()


def test_the_audit_key_shows_its_fingerprint_only_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    key = AuditKey.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    secret = path.read_text().strip()
    assert secret not in repr(key)
    assert AuditPublicKey.open(tmp_path / "audit.key.pub") == key.public()
    path.write_text(secret[:-1])
    with pytest.raises(AuditError) as refused:
        AuditKey.open(path)
    assert secret[:20] not in str(refused.value)


def test_an_audit_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    AuditKey.create(path)
    path.chmod(0o640)
    with pytest.raises(AuditError, match="owner's only"):
        AuditKey.open(path)
