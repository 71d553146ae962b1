"""Ten thousand records; whatever is done to any one of them is found, at that record."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faintlink.delivery.audit.files import HEAD, SLOT_BYTES, Line, lines, read_anchors, read_head, segments
from faintlink.delivery.audit.limits import AuditLimits
from faintlink.delivery.audit.records import GENESIS, content, decode, encode
from faintlink.delivery.audit.signing import AuditKey, Checkpoint
from faintlink.delivery.audit.verify import Chain, Fault, Walk
from tests.unit.delivery.audit.logs import Home

RECORDS = 10_000
STRANGER = AuditKey(bytes(32))
"""Whoever has not the site's key signs with another one."""
LIMITS = AuditLimits(anchor_records=1000, segment_records=2500)
SAMPLE = [0, 1, 2, 999, 1000, 2499, 2500, 5000, 7777, 9998, 9999]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        # The disk's own time is not what is tested here.
        patch.setattr(os, "fdatasync", lambda _: None)
        yield Home.make(tmp_path_factory.mktemp("audit")).filled(RECORDS - 1, LIMITS)


@pytest.fixture(scope="module")
def all_lines(pristine: Home) -> list[Line]:
    return [line for path in segments(pristine.folder) for line in lines(path)]


@pytest.fixture(scope="module")
def checkpoints(pristine: Home) -> list[Checkpoint]:
    key = pristine.key.public()
    return [*read_anchors(pristine.anchors, key)[0], read_head(pristine.folder / HEAD, key)]


@pytest.fixture
def home(pristine: Home) -> Iterator[Home]:
    """The log, put back as it was after the test."""
    paths = [*pristine.folder.iterdir(), pristine.anchors]
    kept = {path: path.read_bytes() for path in paths}
    yield pristine
    for path, data in kept.items():
        path.write_bytes(data)


def state_before(log: list[Line], n: int) -> Chain:
    return Chain(n, decode(log[n - 1].data).hash if n else GENESIS)


def walked(log: list[Line], checkpoints: list[Checkpoint], start: int, tampered: list[Line]) -> Fault | None:
    return Walk(checkpoints, STRANGER.public(), state_before(log, start)).through(tampered)


def replaced(line: Line, data: bytes) -> Line:
    return Line(line.path, line.number, data, line.is_whole, line.start)


def test_the_log_is_sound_before_anybody_touches_it(pristine: Home) -> None:
    found = pristine.verified()
    assert found.is_sound
    assert (found.records, found.segments, found.anchors) == (RECORDS, 4, 10)
    assert found.unacknowledged_bytes == 0


def test_an_edit_of_any_record_is_found_there(all_lines: list[Line], checkpoints: list[Checkpoint]) -> None:
    for n, line in enumerate(all_lines):
        changed = bytearray(line.data)
        changed[n % len(changed)] ^= 1
        fault = walked(all_lines, checkpoints, n, [replaced(line, bytes(changed)), *all_lines[n + 1 : n + 3]])
        assert fault is not None
        assert fault.record == n


def test_the_deletion_of_any_record_is_found_there(all_lines: list[Line], checkpoints: list[Checkpoint]) -> None:
    for n in range(RECORDS):
        fault = walked(all_lines, checkpoints, n, all_lines[n + 1 : n + 3])
        assert fault is not None
        assert fault.record == n


def test_any_two_neighbours_that_changed_places_are_found(all_lines: list[Line], checkpoints: list[Checkpoint]) -> None:
    for n in range(RECORDS - 1):
        fault = walked(all_lines, checkpoints, n, [all_lines[n + 1], all_lines[n], *all_lines[n + 2 : n + 4]])
        assert fault is not None
        assert fault.record == n


def test_the_end_cut_off_anywhere_is_found(all_lines: list[Line], checkpoints: list[Checkpoint]) -> None:
    for n in range(RECORDS):
        fault = walked(all_lines, checkpoints, n, [])
        assert fault is not None
        assert fault.record == n
        assert f"{n} to {RECORDS - 1}" in fault.what


def test_any_repeated_record_is_found(all_lines: list[Line], checkpoints: list[Checkpoint]) -> None:
    for n in range(RECORDS - 1):
        fault = walked(all_lines, checkpoints, n, [all_lines[n], all_lines[n], *all_lines[n + 1 : n + 3]])
        assert fault is not None
        assert fault.record == n + 1


def test_every_single_bit_of_a_record_counts(all_lines: list[Line], checkpoints: list[Checkpoint]) -> None:
    line = all_lines[5000]
    for at, bit in itertools.product(range(len(line.data)), range(8)):
        changed = bytearray(line.data)
        changed[at] ^= 1 << bit
        fault = walked(all_lines, checkpoints, 5000, [replaced(line, bytes(changed))])
        assert fault is not None
        assert fault.record == 5000


@pytest.mark.parametrize("n", SAMPLE)
@pytest.mark.parametrize("deed", ["edit", "delete", "swap", "truncate"])
def test_what_is_done_to_the_files_is_found_at_its_record(home: Home, n: int, deed: str) -> None:
    if deed == "swap" and n == RECORDS - 1:
        n -= 1
    tamper(home.folder, n, deed)
    found = home.verified()
    assert found.faults[0].record == n
    assert found.records == n


@pytest.mark.slow
@pytest.mark.parametrize("deed", ["edit", "delete", "swap", "truncate"])
@pytest.mark.timeout(3600)
def test_what_is_done_to_the_files_is_found_wherever_it_is_done(home: Home, deed: str) -> None:
    for n in range(0, RECORDS - 1, 37):
        path = segment_of(home.folder, n)
        kept = {one: one.read_bytes() for one in segments(home.folder)}
        tamper(home.folder, n, deed)
        assert home.verified().faults[0].record == n, f"{deed} at {n} in {path}"
        for one, data in kept.items():
            one.write_bytes(data)


def segment_of(folder: Path, n: int) -> Path:
    return [path for path in segments(folder) if int(path.stem.split("-")[1]) <= n][-1]


def tamper(folder: Path, n: int, deed: str) -> None:
    log = [raw for path in segments(folder) for raw in path.read_bytes().splitlines(keepends=True)]
    if deed == "edit":
        log[n] = log[n].replace(b"urn:sae:a", b"urn:sae:b") if b"urn:sae:a" in log[n] else log[n][:9] + log[n][10:]
    elif deed == "delete":
        del log[n]
    elif deed == "swap":
        log[n], log[n + 1] = log[n + 1], log[n]
    else:
        del log[n:]
    for first, path in zip(range(0, RECORDS, 2500), segments(folder), strict=True):
        path.write_bytes(b"".join(log[first : first + 2500]))


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_a_segment_that_is_gone_is_found(home: Home, which: int) -> None:
    segments(home.folder)[which].unlink()
    assert home.verified().faults[0].record == 2500 * which


@pytest.mark.parametrize("start", [0, 1, 4321, 9000, 9998, 9999])
def test_a_chain_written_anew_without_the_key_is_found_by_anchor_or_head(home: Home, start: int) -> None:
    path = segments(home.folder)[0]
    log = [line for one in segments(home.folder) for line in lines(one)]
    for one in segments(home.folder)[1:]:
        one.unlink()
    prev = decode(log[start - 1].data).hash if start else GENESIS
    forged = [line.data + b"\n" for line in log[:start]]
    for n, line in enumerate(log[start:], start):
        record = decode(line.data)
        raw, prev = encode(n, record.utc, content(record.event, "urn:sae:forged", record.about), prev, STRANGER.seal)
        forged.append(raw)
    path.write_bytes(b"".join(forged))
    found = home.verified()
    good = max(
        (one.records for one in read_anchors(home.anchors, home.key.public())[0] if one.records <= start), default=0
    )
    assert found.faults[0].record == good
    assert "written anew" in found.faults[0].what


def test_a_record_added_without_the_key_is_no_record(home: Home) -> None:
    log = [line for one in segments(home.folder) for line in lines(one)]
    last = decode(log[-1].data)
    raw, _ = encode(RECORDS, last.utc, content("keys_voided", "urn:sae:forged", {}), last.hash, STRANGER.seal)
    with segments(home.folder)[-1].open("ab") as file:
        file.write(raw)
    found = home.verified()
    assert found.records == RECORDS
    assert found.unacknowledged_bytes == len(raw)


def test_records_cut_off_with_an_older_head_are_found_by_the_anchors(home: Home) -> None:
    key = home.key.public()
    anchors = read_anchors(home.anchors, key)[0]
    log = [line for one in segments(home.folder) for line in lines(one)]
    older = Checkpoint(9500, decode(log[9499].data).hash, 9, anchors[8].utc)
    (home.folder / HEAD).write_bytes(home.key.sign(older).ljust(SLOT_BYTES) * 2)
    tamper(home.folder, 9500, "truncate")
    found = home.verified()
    assert found.faults[0].record == 9500


@pytest.mark.parametrize("line", [0, 4, 9])
def test_an_anchor_that_is_gone_or_changed_is_found(home: Home, line: int) -> None:
    anchors = home.anchors.read_bytes().splitlines(keepends=True)
    home.anchors.write_bytes(b"".join(anchors[:line] + anchors[line + 1 :]))
    assert not home.verified().is_sound
    anchors[line] = anchors[line].replace(b'"records":', b'"records":1')
    home.anchors.write_bytes(b"".join(anchors))
    assert f"line {line + 1}" in home.verified().faults[0].place


def test_a_head_that_is_gone_or_of_another_key_is_found(home: Home) -> None:
    head = home.folder / HEAD
    head.write_bytes(STRANGER.sign(Checkpoint(5, GENESIS, 0, "")).ljust(SLOT_BYTES) * 2)
    assert home.verified().faults[0].record is None
    head.unlink()
    assert "gone" in home.verified().faults[0].what
