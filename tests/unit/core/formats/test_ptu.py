"""PTU recordings: agreement with an independent reader, exact times, any split, and damage refused."""

import struct
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import ptufile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faintlink.core.errors import FormatError, RunExistsError, TagOrderError, UnknownChannelError
from faintlink.core.formats.ptu_records import RecordDecoder, RecordType, layout_of
from faintlink.core.formats.ptu_writer import RecordEncoder, T3Block, write_ptu_t2, write_ptu_t3
from faintlink.core.formats.recording import open_recording
from faintlink.core.tags import TagBlock, concatenate
from tests.data import shared_data

T2_TYPES = [kind for kind in RecordType if kind.name.endswith("T2")]
T3_TYPES = [kind for kind in RecordType if kind.name.endswith("T3")]
PICOHARP = (RecordType.PICOHARP_T2, RecordType.PICOHARP_T3)
SYNC_RATE_HZ = 79_920_001
HBT = "time_tags/hydraharp400_t2_hbt_320MHz.ptu"


def _read(path: Path, max_tags: int = 131_072) -> TagBlock:
    return concatenate(open_recording(path).blocks(max_tags))


def _t2_tags(kind: RecordType, count: int = 5_000) -> TagBlock:
    rng = np.random.default_rng(int(kind))
    # Gaps of at most 100 overflows: ptufile 2026.2.6 keeps only 32 bits of the ticks of more than 127 at once.
    ticks = np.cumsum(rng.integers(0, 2**25, count) * rng.choice([0, 1, 25], count, p=[0.3, 0.6, 0.1]))
    channels = rng.integers(1, 5, count).astype(np.uint8)
    return TagBlock(ticks * 4, channels)


def _t3_events(kind: RecordType, count: int = 5_000) -> T3Block:
    rng = np.random.default_rng(int(kind))
    syncs = np.cumsum(rng.integers(1, 3000, count))
    dtimes = rng.integers(1, 3000, count).astype(np.uint16)
    channels = rng.integers(1, 5, count).astype(np.uint8)
    marked = rng.random(count) < 0.05
    channels[marked] = 240 + rng.integers(1, 16, int(marked.sum()))
    dtimes[marked] = 0
    return T3Block(syncs, dtimes, channels)


def _exact_t3_ps(events: T3Block, resolution_ps: int) -> list[int]:
    period = Fraction(10**12, SYNC_RATE_HZ)
    return [
        int(sync * period + Fraction(1, 2)) + int(dtime) * resolution_ps
        for sync, dtime in zip(events.syncs.tolist(), events.dtimes, strict=True)
    ]


def _ptufile_events(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return times in records' units, our channel numbers for what ptufile calls them, and dtimes."""
    with ptufile.PtuFile(path) as recording:
        records = recording.decode_records()
        first_is_zero = int(recording.record_type) == RecordType.PICOHARP_T2
    kept = records[(records["channel"] >= 0) | (records["marker"] > 0)]
    photon = kept["channel"] >= 0
    numbers = kept["channel"].astype(np.int64) + (0 if first_is_zero else 1)
    channels = np.where(photon, numbers, 240 + kept["marker"].astype(np.int64))
    dtimes = kept["dtime"] if "dtime" in (kept.dtype.names or ()) else np.zeros(len(kept))
    return kept["time"].astype(np.int64), channels, np.where(photon, dtimes, 0).astype(np.int64)


def test_a_real_hydraharp_recording_agrees_with_ptufile_record_for_record() -> None:
    path = shared_data(HBT)
    block = _read(path)
    times, channels, _ = _ptufile_events(path)
    assert np.array_equal(block.times_ps, times)
    assert np.array_equal(block.channels, channels)
    assert np.bincount(block.channels).tolist() == [0, 159_298, 224_721]


def test_the_facts_of_a_real_recording_are_told_before_any_record_is_read() -> None:
    info = open_recording(shared_data(HBT)).info
    assert (info.format, info.instrument, info.resolution_ps) == ("ptu", "HydraHarp 400", 1.0)
    assert (info.records_expected, info.comments, info.sync_rate_hz) == (409_482, "T2 Mode", None)
    assert info.channels == (0, 1, 2)
    assert info.channel_names[0] == "sync"
    assert info.created is not None
    assert info.created.isoformat() == "2020-02-04T12:37:00.579638"
    assert info.header["HWInpChan_CFDLevel"] == (50, 50)


def test_records_and_overflows_are_counted() -> None:
    recording = open_recording(shared_data(HBT))
    for _ in recording.blocks(1000):
        pass
    assert recording.count.records == 409_482
    assert recording.count.tags == 384_019
    assert recording.count.without_tag == 25_463
    assert recording.count.reordered == 0


@pytest.mark.parametrize("kind", T2_TYPES, ids=lambda kind: kind.name)
def test_t2_records_of_every_type_agree_with_ptufile(kind: RecordType, tmp_path: Path) -> None:
    tags = _t2_tags(kind)
    resolution_ps = 4 if kind in PICOHARP else 1
    write_ptu_t2(tmp_path / "a", [tags], resolution_ps=resolution_ps, record_type=kind)
    times, channels, _ = _ptufile_events(tmp_path / "a")
    block = _read(tmp_path / "a")
    assert np.array_equal(block.times_ps, times * resolution_ps)
    assert np.array_equal(block.channels, channels)
    assert np.array_equal(block.times_ps, tags.times_ps)


@pytest.mark.parametrize("kind", T3_TYPES, ids=lambda kind: kind.name)
def test_t3_records_of_every_type_agree_with_ptufile(kind: RecordType, tmp_path: Path) -> None:
    events = _t3_events(kind)
    write_ptu_t3(tmp_path / "a", [events], sync_rate_hz=SYNC_RATE_HZ, resolution_ps=4, record_type=kind)
    syncs, channels, dtimes = _ptufile_events(tmp_path / "a")
    assert np.array_equal(syncs, events.syncs)
    assert np.array_equal(dtimes, events.dtimes)
    expected = np.array(_exact_t3_ps(T3Block(syncs, dtimes.astype(np.uint16), events.channels), 4))
    order = np.argsort(expected, kind="stable")
    block = _read(tmp_path / "a")
    assert np.array_equal(block.times_ps, expected[order])
    assert np.array_equal(block.channels, channels[order])


@pytest.mark.parametrize("kind", T2_TYPES, ids=lambda kind: kind.name)
def test_sync_and_marker_records_have_channels_of_their_own(kind: RecordType, tmp_path: Path) -> None:
    channels = np.array([0, 1, 4, 241, 242, 248, 255], np.uint8)
    times_ps = np.arange(1, 8) * 6_400_000
    write_ptu_t2(tmp_path / "a", [TagBlock(times_ps, channels)], resolution_ps=4, record_type=kind)
    block = _read(tmp_path / "a")
    assert np.array_equal(block.channels, channels)
    assert np.array_equal(block.times_ps, times_ps)


def test_a_picoharp_marker_loses_the_four_time_bits_that_its_number_takes(tmp_path: Path) -> None:
    block = TagBlock(np.array([4 * 37]), np.array([243], np.uint8))
    write_ptu_t2(tmp_path / "a", [block], resolution_ps=4, record_type=RecordType.PICOHARP_T2)
    assert _read(tmp_path / "a").times_ps.tolist() == [4 * 32]


def test_a_long_silence_is_kept_where_the_overflow_count_exceeds_32_bits_of_ticks(tmp_path: Path) -> None:
    times_ps = np.array([5, 200 * 2**25 + 7, 2**60], np.int64)
    write_ptu_t2(tmp_path / "a", [TagBlock(times_ps, np.ones(3, np.uint8))])
    assert _read(tmp_path / "a").times_ps.tolist() == times_ps.tolist()


def test_an_overflow_record_without_count_stands_for_one_overflow() -> None:
    # HydraHarp V2 recorders of the first firmware wrote 0 where later ones write 1.
    decoder = RecordDecoder(layout_of(RecordType.HYDRAHARP_V2_T2), resolution_ps=1)
    times_ps, channels = np.empty(3, np.int64), np.empty(3, np.uint8)
    assert decoder.decode_into(np.array([0xFE000000, 5], np.uint32), times_ps, channels) == 1
    assert times_ps[0] == 2**25 + 5


def test_t3_times_stay_exact_over_many_syncs() -> None:
    syncs = np.array([10**11 + 1, 2 * 10**11 + 5], np.int64)
    events = T3Block(syncs, np.array([3, 4], np.uint16), np.ones(2, np.uint8))
    layout = layout_of(RecordType.GENERIC_T3)
    records = RecordEncoder(layout).encode(events.syncs, events.channels, events.dtimes)
    decoder = RecordDecoder(layout, resolution_ps=4, sync_period_ps=Fraction(10**12, SYNC_RATE_HZ))
    times_ps, channels = np.empty(len(records), np.int64), np.empty(len(records), np.uint8)
    assert decoder.decode_into(records, times_ps, channels) == 2
    assert times_ps[:2].tolist() == _exact_t3_ps(events, 4)


def test_the_decoder_can_keep_the_dtimes() -> None:
    events = _t3_events(RecordType.GENERIC_T3)
    layout = layout_of(RecordType.GENERIC_T3)
    records = RecordEncoder(layout).encode(events.syncs, events.channels, events.dtimes)
    decoder = RecordDecoder(layout, resolution_ps=5, sync_period_ps=Fraction(12_500))
    size = len(records)
    dtimes = np.empty(size, np.uint16)
    count = decoder.decode_into(records, np.empty(size, np.int64), np.empty(size, np.uint8), dtimes)
    assert np.array_equal(dtimes[:count], events.dtimes)


@pytest.mark.parametrize("kind", list(RecordType), ids=lambda kind: kind.name)
@given(cuts=st.lists(st.integers(0, 900), max_size=8))
@settings(max_examples=15, deadline=None)
def test_any_split_of_the_records_gives_the_same_tags(kind: RecordType, cuts: list[int]) -> None:
    layout = layout_of(kind)
    if layout.is_t3:
        events = _t3_events(kind, 300)
        records = RecordEncoder(layout).encode(events.syncs, events.channels, events.dtimes)
    else:
        tags = _t2_tags(kind, 300)
        records = RecordEncoder(layout).encode(tags.times_ps // 4, tags.channels)
    whole = _decode(kind, records, [])
    assert _decode(kind, records, sorted(min(cut, len(records)) for cut in cuts)) == whole


def _decode(kind: RecordType, records: npt.NDArray[np.uint32], cuts: list[int]) -> list[tuple[int, int]]:
    period = Fraction(10**12, SYNC_RATE_HZ)
    decoder = RecordDecoder(layout_of(kind), resolution_ps=4, sync_period_ps=period)
    tags: list[tuple[int, int]] = []
    for piece in np.split(records, cuts):
        times_ps, channels = np.empty(len(piece), np.int64), np.empty(len(piece), np.uint8)
        count = decoder.decode_into(piece, times_ps, channels)
        tags += zip(times_ps[:count].tolist(), channels[:count].tolist(), strict=True)
    return tags


@given(
    gaps=st.lists(st.one_of(st.integers(0, 100), st.integers(0, 2**40)), min_size=1, max_size=40),
    seed=st.integers(0, 2**16),
    max_tags=st.integers(1, 50),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_t2_survives_writing_and_reading(
    gaps: list[int], seed: int, max_tags: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("t2") / "a"
    channels = np.random.default_rng(seed).integers(0, 65, len(gaps)).astype(np.uint8)
    tags = TagBlock(np.cumsum(gaps), channels)
    half = len(gaps) // 2
    parts = [TagBlock(tags.times_ps[:half], channels[:half]), TagBlock(tags.times_ps[half:], channels[half:])]
    write_ptu_t2(path, parts, inputs=64)
    blocks = list(open_recording(path).blocks(max_tags))
    assert all(len(block) <= max_tags for block in blocks)
    read = concatenate(blocks)
    assert np.array_equal(read.times_ps, tags.times_ps)
    assert np.array_equal(read.channels, tags.channels)


def _small(path: Path) -> bytes:
    write_ptu_t2(path, [TagBlock(np.arange(1, 21) * 10**7, np.ones(20, np.uint8))])
    return path.read_bytes()


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    whole = _small(tmp_path / "a")
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(FormatError):
            _read(tmp_path / "cut")


@pytest.mark.parametrize("mode", ["T2", "T3"])
def test_flipped_bytes_give_tags_or_a_refusal_and_nothing_else(mode: str, tmp_path: Path) -> None:
    if mode == "T2":
        whole = _small(tmp_path / "a")
    else:
        write_ptu_t3(tmp_path / "a", [_t3_events(RecordType.GENERIC_T3, 50)], sync_rate_hz=10**8, resolution_ps=5)
        whole = (tmp_path / "a").read_bytes()
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "bad").write_bytes(damaged)
        try:
            _read(tmp_path / "bad", 16)
        except (FormatError, TagOrderError):
            refused += 1
    assert 0 < refused < 1500


def test_memory_is_bounded_by_the_block_and_not_by_the_file(tmp_path: Path) -> None:
    write_ptu_t2(tmp_path / "a", [TagBlock(np.arange(500_000) * 10**6, np.ones(500_000, np.uint8))])
    recording = open_recording(tmp_path / "a")
    next(recording.blocks(4096))
    tracemalloc.start()
    assert sum(len(block) for block in recording.blocks(4096)) == 500_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * 4096 * 9


def test_an_undefined_record_is_refused_with_its_number() -> None:
    decoder = RecordDecoder(layout_of(RecordType.GENERIC_T2), resolution_ps=1)
    out = np.empty(3, np.int64), np.empty(3, np.uint8)
    decoder.decode_into(np.array([1, 2], np.uint32), *out)
    with pytest.raises(FormatError, match=r"record 3 \(0xa8000000\) is no valid GENERIC_T2 record"):
        decoder.decode_into(np.array([3, 0xA8000000], np.uint32), *out)


@pytest.mark.parametrize("kind", list(RecordType), ids=lambda kind: kind.name)
def test_overflows_without_end_are_refused_before_the_time_wraps_round(kind: RecordType) -> None:
    layout = layout_of(kind)
    period = Fraction(10**12) if layout.is_t3 else Fraction(0)
    decoder = RecordDecoder(layout, resolution_ps=2**32, sync_period_ps=period)
    overflow = 0xF0000000 if layout.is_picoharp else 0xFFFFFFFF if not layout.is_t3 else 0xFE0003FF
    records = np.full(200_000, overflow, np.uint32)
    out = np.empty(200_000, np.int64), np.empty(200_000, np.uint8)
    with pytest.raises(FormatError, match="passes 2"):
        _repeat(100, lambda: decoder.decode_into(records, *out))


def _repeat(times: int, action: Callable[[], object]) -> None:
    for _ in range(times):
        action()


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ({"TTResultFormat_TTTRRecType": 0x00010999}, "unknown TTTR record type 0x00010999"),
        ({"TTResultFormat_BitsPerRecord": 64}, "32 bits"),
        ({"MeasDesc_GlobalResolution": 1.5e-12}, "whole number of ps"),
        ({"MeasDesc_GlobalResolution": float("nan")}, "finite number"),
        ({"MeasDesc_GlobalResolution": 0.0}, "whole number of ps"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(extra: dict[str, int | float], reason: str, tmp_path: Path) -> None:
    write_ptu_t2(tmp_path / "a", [TagBlock(np.array([1]), np.array([1], np.uint8))], extra=dict(extra))
    with pytest.raises(FormatError, match=reason):
        open_recording(tmp_path / "a")


def test_a_recorder_that_never_counted_its_records_has_them_all_read(tmp_path: Path) -> None:
    whole = _small(tmp_path / "a")
    at = whole.index(b"TTResult_NumberOfRecords") + 40
    (tmp_path / "b").write_bytes(whole[:at] + struct.pack("<q", 0) + whole[at + 8 :])
    assert len(_read(tmp_path / "b")) == 20


def test_the_writer_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    with pytest.raises(RunExistsError):
        write_ptu_t2(tmp_path / "a", [])
    assert (tmp_path / "a").read_text() == "precious"


@pytest.mark.parametrize(
    ("times", "channel", "error"),
    [([5, 4], 1, TagOrderError), ([-1, 4], 1, TagOrderError), ([1, 2], 70, UnknownChannelError)],
)
def test_the_writer_refuses_what_the_records_cannot_hold_and_leaves_no_file(
    times: list[int], channel: int, error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        write_ptu_t2(tmp_path / "a", [TagBlock(np.array(times), np.full(2, channel, np.uint8))])
    assert not (tmp_path / "a").exists()


def test_the_writer_does_not_round_times(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no multiple of 5 ps"):
        write_ptu_t2(tmp_path / "a", [TagBlock(np.array([7]), np.array([1], np.uint8))], resolution_ps=5)
