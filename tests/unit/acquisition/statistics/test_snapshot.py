"""Snapshots add and subtract, and survive the wire; anything else that comes over it is refused."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faintlink.acquisition.statistics.codec import MAX_BYTES, MAX_LINES, MAX_TEXT, decode, encode
from faintlink.acquisition.statistics.snapshot import BINS, PLANNED, RunFacts, Snapshot
from faintlink.core.errors import SchemaError
from faintlink.core.records import DecoyCounts

COUNTS = st.integers(0, 10**15)
TEXTS = st.text(st.characters(categories=("L", "N", "P"), include_characters=" "), max_size=20)
NAMES = st.dictionaries(st.sampled_from(["Z0", "Z1", "X0", "ch 9"]), COUNTS, max_size=4)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    size = draw(st.integers(1, 4))
    right, wrong = (draw(st.lists(COUNTS, min_size=2 * size, max_size=2 * size)) for _ in range(2))
    sums = tuple(a + b for a, b in zip(right, wrong, strict=True))
    clicks = draw(NAMES)
    return Snapshot(
        phase=draw(st.sampled_from(["waiting", "recording", "sealed"])),
        state=draw(TEXTS).strip(),
        elapsed_s=draw(st.integers(0, 10**6)) / 8,
        sifted_s=draw(st.integers(0, 10**6)) / 8,
        tags=draw(COUNTS),
        lost=draw(COUNTS),
        gaps=draw(st.dictionaries(st.sampled_from(["buffer full", PLANNED]), COUNTS)),
        clicks=clicks,
        spans_s=dict.fromkeys(clicks, 0.5),
        counts=DecoyCounts(sums[:size], sums[size:], tuple(wrong[:size]), tuple(wrong[size:])),
        matrix=tuple(draw(st.lists(COUNTS, min_size=8, max_size=8))),
        histogram=np.full((4, BINS), draw(COUNTS), np.int64),
        arrival=(draw(COUNTS), draw(st.integers(-(10**15), 10**15))),
        clock_ppm=draw(st.none() | st.floats(-100, 100)),
        key_rate_bps=draw(st.none() | st.floats(0, 1e9)),
        pool_bits=draw(st.none() | COUNTS),
        made_ns=draw(COUNTS),
        facts=draw(st.none() | st.builds(RunFacts, run_id=TEXTS, intensities=st.just((0.5, 0.1)))),
    )


def as_data(snapshot: Snapshot) -> Any:
    return json.loads(encode(snapshot))


@settings(max_examples=40)
@given(snapshots())
def test_a_snapshot_survives_the_codec(one: Snapshot) -> None:
    assert encode(decode(encode(one))) == encode(one)


@settings(max_examples=40)
@given(snapshots(), snapshots())
def test_what_came_since_is_the_difference(earlier: Snapshot, stretch: Snapshot) -> None:
    later = earlier + stretch
    back = later.since(earlier)
    assert (back.elapsed_s, back.tags, back.lost) == (stretch.elapsed_s, stretch.tags, stretch.lost)
    assert all(back.clicks[name] == count for name, count in stretch.clicks.items())
    assert sum(back.counts.n_key) == sum(stretch.counts.n_key)
    assert (back.matrix, back.arrival) == (stretch.matrix, stretch.arrival)
    assert np.array_equal(back.histogram, stretch.histogram)


def test_planned_dead_time_is_no_unplanned_gap() -> None:
    assert Snapshot(gaps={PLANNED: 3, "buffer full": 2}).gaps_unplanned == 2


def test_a_message_names_no_bit_of_key() -> None:
    assert set(as_data(Snapshot(facts=RunFacts()))) == {
        *("version", "phase", "state", "elapsed_s", "sifted_s", "tags", "lost", "gaps", "clicks", "spans_s", "counts"),
        *("matrix", "histogram", "arrival", "clock_ppm", "key_rate_bps", "pool_bits", "rates_hz", "made_ns", "facts"),
    }


def test_texts_and_logs_are_cut_to_what_a_reader_takes() -> None:
    facts = RunFacts(events=tuple(f"{number:03d}" + "x" * 500 for number in range(90)))
    back = decode(encode(Snapshot(state="s" * 999, facts=facts)))
    assert back.facts is not None
    assert len(back.state) == MAX_TEXT
    assert len(back.facts.events) == MAX_LINES
    assert back.facts.events[-1].startswith("089")


def test_control_characters_never_reach_a_terminal() -> None:
    data = as_data(Snapshot())
    data["state"] = "a\x1b[2Jb\r\n"
    assert decode(json.dumps(data).encode()).state == "a [2Jb  "


@pytest.mark.parametrize("message", [b"", b"[]", b"{}", b'{"version":99}', b'{"version":1}', b"\xff", b"[" * 9999])
def test_what_is_no_snapshot_is_refused(message: bytes) -> None:
    with pytest.raises(SchemaError):
        decode(message)


def test_a_message_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(SchemaError, match="at most"):
        decode(b" " * (MAX_BYTES + 1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tags", -1),
        ("tags", True),
        ("tags", 2**70),
        ("tags", 1.0),
        ("elapsed_s", "1"),
        ("elapsed_s", float("inf")),
        ("phase", "over"),
        ("state", "x" * (MAX_TEXT + 1)),
        ("gaps", [1]),
        ("clicks", {str(number): 1 for number in range(99)}),
        ("counts", {"n_key": [1], "n_test": [1], "m_key": [2], "m_test": [0]}),
        ("counts", {"n_key": [1], "n_test": [1], "m_key": [1], "other": [0]}),
        ("matrix", [1] * 7),
        ("histogram", [[0] * BINS] * 3),
        ("histogram", [[0] * (BINS + 1)] * 4),
        ("histogram", [[-1] * BINS] * 4),
        ("clock_ppm", "fast"),
        ("facts", {"run_id": "x"}),
        ("facts", []),
        ("rates_hz", {"a": None}),
    ],
)
def test_a_field_out_of_its_limits_is_refused(name: str, value: object) -> None:
    data = as_data(Snapshot())
    data[name] = value
    with pytest.raises(SchemaError):
        decode(json.dumps(data).encode())


def test_a_field_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SchemaError, match="expected the fields"):
        decode(json.dumps({**as_data(Snapshot()), "key": "0"}).encode())
