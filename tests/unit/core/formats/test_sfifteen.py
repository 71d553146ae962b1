"""S-Fifteen time stamps: three encodings of one real capture, unwrapping, rounding, damage."""

import contextlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faintlink.core.errors import FormatError, TagOrderError
from faintlink.core.formats.detection import FormatName
from faintlink.core.formats.recording import open_recording
from faintlink.core.formats.sfifteen import LAYOUTS, StampDecoder, encode_stamps
from faintlink.core.tags import TagBlock, concatenate
from tests.data import shared_data

ROLLOVER = {
    FormatName.S15_A0: "time_tags/s15_rollover.a0f.ts",
    FormatName.S15_A1_LEGACY: "time_tags/s15_rollover.a1fX.ts",
    FormatName.S15_A2: "time_tags/s15_rollover.a2f.ts",
}
HEADERLESS = [name for name in LAYOUTS if name is not FormatName.QCRYPTO_T1]
CARD = [name for name in HEADERLESS if LAYOUTS[name].bits == 54]


def _read(path: Path, name: FormatName | None = None, max_tags: int = 131_072) -> TagBlock:
    return concatenate(open_recording(path, name).blocks(max_tags))


def _stamps(count: int = 400, *, largest_step: int = 50_000) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(3)
    units = 2**26 + np.cumsum(rng.integers(1, largest_step, count))
    return units, rng.integers(1, 16, count).astype(np.uint8)


def _expected(units: npt.NDArray[np.int64], patterns: npt.NDArray[np.uint8], name: FormatName) -> list[tuple[int, int]]:
    layout = LAYOUTS[name]
    tags = []
    for unit, pattern in zip(units.tolist(), patterns.tolist(), strict=True):
        time_ps = (2 * unit * layout.multiplier + (1 << layout.shift)) // (2 << layout.shift)
        tags += [(time_ps, detector + 1) for detector in range(4) if pattern >> detector & 1]
    return tags


def _pairs(block: TagBlock) -> list[tuple[int, int]]:
    return list(zip(block.times_ps.tolist(), block.channels.tolist(), strict=True))


@pytest.mark.parametrize(("name", "file"), ROLLOVER.items(), ids=str)
def test_a_real_capture_is_recognised_and_its_facts_come_out(name: FormatName, file: str) -> None:
    recording = open_recording(shared_data(file))
    block = concatenate(recording.blocks())
    assert recording.info.format is name
    assert recording.info.records_expected == 1000
    first, fourth = block.times_ps[block.channels == 1], block.times_ps[block.channels == 4]
    assert (len(first), len(fourth), len(block)) == (431, 431, 862)
    assert set((fourth - first) // 1000) == {138, 139}
    assert (recording.count.records, recording.count.without_tag) == (1000, 138)


def test_the_three_encodings_of_one_capture_hold_the_same_tags() -> None:
    a0, a1, a2 = (_pairs(_read(shared_data(file))) for file in ROLLOVER.values())
    assert a0 == a1 == a2


def test_late_words_of_a_real_capture_are_put_in_order_and_counted() -> None:
    recording = open_recording(shared_data(ROLLOVER[FormatName.S15_A0]))
    block = concatenate(recording.blocks(max_tags=40))
    assert bool(np.all(np.diff(block.times_ps) >= 0))
    assert recording.count.reordered == 38


def test_a_real_calibration_gives_one_tag_for_each_detector_of_a_word() -> None:
    block = _read(shared_data("time_tags/s15_qkd_calibration.a1.ts"))
    # 614/481/476/417 single patterns and 12 words of two detectors: 5 and 6, 9 and 10 (2, 2, 3, 3, 2 of them).
    assert np.bincount(block.channels, minlength=5)[1:].tolist() == [621, 488, 481, 422]
    assert len(block) == 614 + 481 + 476 + 417 + 2 * 12
    assert round((block.times_ps[-1] - block.times_ps[0]) / 1e9, 3) == 0.935


def test_the_raw_events_of_a_simulated_run_are_recognised() -> None:
    recording = open_recording(shared_data("qcrypto/lec/events.raw"))
    assert recording.info.format is FormatName.QCRYPTO_RAW
    assert sum(len(block) for block in recording.blocks()) == 150_513


@pytest.mark.parametrize("name", HEADERLESS, ids=str)
def test_stamps_survive_writing_recognition_and_reading(name: FormatName, tmp_path: Path) -> None:
    units, patterns = _stamps()
    path = tmp_path / "a"
    path.write_bytes(encode_stamps(units, patterns, name))
    assert open_recording(path).info.format is name
    assert _pairs(_read(path)) == _expected(units, patterns, name)


@given(
    steps=st.lists(st.integers(0, 2**25), min_size=1, max_size=40),
    patterns=st.lists(st.integers(1, 15), min_size=40, max_size=40),
    name=st.sampled_from(HEADERLESS),
    max_tags=st.integers(1, 60),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_block_size_gives_the_same_tags(
    steps: list[int], patterns: list[int], name: FormatName, max_tags: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    units = 100 + np.cumsum(steps)
    used = np.array(patterns[: len(steps)], np.uint8)
    path = tmp_path_factory.mktemp("stamps") / "a"
    path.write_bytes(encode_stamps(units, used, name))
    blocks = list(open_recording(path, name).blocks(max_tags))
    assert all(len(block) <= max_tags for block in blocks)
    start = int(units[0]) - int(units[0]) % (1 << LAYOUTS[name].bits)
    assert _pairs(concatenate(blocks)) == _expected(units - start, used, name)


@pytest.mark.parametrize("name", HEADERLESS, ids=str)
def test_a_counter_that_rolls_over_goes_on(name: FormatName, tmp_path: Path) -> None:
    full = 1 << LAYOUTS[name].bits
    units = np.arange(20, dtype=np.int64) * (full // 3) + full - 1000
    patterns = np.full(20, 2, np.uint8)
    path = tmp_path / "a"
    path.write_bytes(encode_stamps(units, patterns, name))
    assert _pairs(_read(path, name)) == _expected(units, patterns, name)


def test_a_dummy_moves_the_clock_and_gives_no_tag(tmp_path: Path) -> None:
    half = 1 << 53
    units = np.array([5, half - 1, 2 * half - 3, 2 * half + 5])
    dummies = np.array([False, True, True, False])
    data = encode_stamps(units, np.array([1, 8, 8, 4], np.uint8), FormatName.S15_A1, dummies=dummies)
    (tmp_path / "a").write_bytes(data)
    recording = open_recording(tmp_path / "a", FormatName.S15_A1)
    block = concatenate(recording.blocks())
    assert block.channels.tolist() == [1, 3]
    assert block.times_ps.tolist() == [20, ((2 * half + 5) * 125 + 16) // 32]
    assert recording.count.without_tag == 2


@pytest.mark.parametrize("units", [0, 1, 3, 4, 8, 2**53 + 1, 2**54 - 1])
def test_a_54_bit_time_is_rounded_to_the_nearest_picosecond(units: int, tmp_path: Path) -> None:
    stamps = encode_stamps(np.array([units]), np.array([1], np.uint8), FormatName.S15_A1)
    (tmp_path / "a").write_bytes(stamps)
    time_ps = int(_read(tmp_path / "a", FormatName.S15_A1).times_ps[0])
    assert abs(time_ps * 256 - units * 1000) * 2 <= 256


@pytest.mark.parametrize("name", HEADERLESS, ids=str)
def test_a_large_step_back_is_refused(name: FormatName, tmp_path: Path) -> None:
    units = np.arange(50, dtype=np.int64) * 1000 + 2**26
    units[30] -= 2**25 + 2**24
    late_ps = (2**25 + 2**24) * LAYOUTS[name].resolution_ps
    (tmp_path / "a").write_bytes(encode_stamps(units, np.ones(50, np.uint8), name))
    if late_ps < 1e9:
        assert len(_read(tmp_path / "a", name)) == 50
    else:
        with pytest.raises(TagOrderError):
            _read(tmp_path / "a", name)


@pytest.mark.parametrize("name", HEADERLESS, ids=str)
def test_a_file_cut_inside_a_stamp_is_refused(name: FormatName, tmp_path: Path) -> None:
    whole = encode_stamps(*_stamps(4), name)
    per_stamp = len(whole) // 4
    refused = 0
    for length in range(len(whole)):
        (tmp_path / "a").write_bytes(whole[:length])
        # A text whose last line end is missing is whole; so is a file that ends between two stamps.
        before_line_end = (length + 1) % per_stamp == 0 and whole[length : length + 1] == b"\n"
        if length and (length % per_stamp == 0 or before_line_end):
            assert len(_read(tmp_path / "a", name)) > 0
        else:
            refused += 1
            with pytest.raises(FormatError):
                _read(tmp_path / "a", name)
    assert refused >= 4 * (per_stamp - 2)


@pytest.mark.parametrize("name", HEADERLESS, ids=str)
def test_flipped_bytes_give_tags_or_a_refusal_and_nothing_else(name: FormatName, tmp_path: Path) -> None:
    whole = encode_stamps(*_stamps(60), name)
    rng = np.random.default_rng(11)
    for _ in range(250):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 5)):
            damaged[at] = rng.integers(0, 256)
        (tmp_path / "a").write_bytes(damaged)
        for chosen in (name, None):
            with contextlib.suppress(FormatError, TagOrderError):
                _read(tmp_path / "a", chosen, 16)


@pytest.mark.parametrize("name", CARD, ids=str)
def test_another_filler_is_refused_with_the_number_of_the_stamp(name: FormatName) -> None:
    layout = LAYOUTS[name]
    words = np.zeros((3, 2), np.uint32)
    words[:, 1 - layout.high] = 0b1100 << 6 | 1
    words[2, 1 - layout.high] = 1
    with pytest.raises(FormatError, match="time stamp 2 is not valid"):
        StampDecoder(layout).decode_into(words, np.empty(12, np.int64), np.empty(12, np.uint8))


def test_counters_that_jump_for_ever_are_refused_before_the_time_wraps_round(tmp_path: Path) -> None:
    units = np.arange(2000, dtype=np.int64) * ((1 << 53) - 1)
    (tmp_path / "a").write_bytes(encode_stamps(units, np.ones(2000, np.uint8), FormatName.S15_A1))
    with pytest.raises(FormatError, match="years from the others"):
        _read(tmp_path / "a", FormatName.S15_A1)


def test_lines_that_end_as_on_windows_are_read(tmp_path: Path) -> None:
    units, patterns = _stamps(30)
    unix = encode_stamps(units, patterns, FormatName.S15_A2)
    (tmp_path / "a").write_bytes(unix.replace(b"\n", b"\r\n"))
    assert _pairs(_read(tmp_path / "a")) == _expected(units, patterns, FormatName.S15_A2)


def test_a_line_that_is_not_hexadecimal_is_named(tmp_path: Path) -> None:
    text = bytearray(encode_stamps(*_stamps(30), FormatName.S15_A0))
    text[9 * 40 + 3] = ord("g")
    (tmp_path / "a").write_bytes(text)
    with pytest.raises(FormatError, match="line 41 is not 8 hexadecimal digits"):
        _read(tmp_path / "a", FormatName.S15_A0, max_tags=16)


def test_a_49_bit_file_cannot_hold_dummies() -> None:
    with pytest.raises(ValueError, match="no dummies"):
        encode_stamps(*_stamps(2), FormatName.QCRYPTO_RAW, dummies=np.zeros(2, np.bool_))
