"""Recognition by content: what is refused says why, and a name given is obeyed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faintlink.core.errors import FormatError, TagOrderError
from faintlink.core.formats.detection import FormatName, detect_format
from faintlink.core.formats.qcrypto import write_t1
from faintlink.core.formats.qcrypto_epochs import Type1Epoch
from faintlink.core.formats.recording import open_recording
from faintlink.core.formats.sfifteen import encode_stamps
from faintlink.core.tags import concatenate
from tests.data import shared_data


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ptu").touch()
    with pytest.raises(FormatError, match="is empty"):
        open_recording(tmp_path / "a.ptu")


def test_a_text_is_refused_with_the_reason_of_each_format() -> None:
    text = b"time, channel\n1, 2\n3, 4\n" * 10
    with pytest.raises(FormatError) as caught:
        detect_format(text, len(text))
    assert set(caught.value.fields["tried"]) == set(FormatName)
    assert "ptu: does not start with PQTTTR" in str(caught.value)
    assert "s15-a0: lines are not 8 hexadecimal digits" in str(caught.value)


def test_the_ending_of_the_name_plays_no_part(tmp_path: Path) -> None:
    units = np.arange(1, 100, dtype=np.int64) * 777
    (tmp_path / "misleading.ptu").write_bytes(encode_stamps(units, np.ones(99, np.uint8), FormatName.S15_A1))
    assert open_recording(tmp_path / "misleading.ptu").info.format is FormatName.S15_A1


def test_a_format_given_by_name_is_obeyed_and_checked(tmp_path: Path) -> None:
    units = np.arange(1, 100, dtype=np.int64) * 777
    (tmp_path / "a").write_bytes(encode_stamps(units, np.ones(99, np.uint8), FormatName.S15_A1))
    with pytest.raises(FormatError, match="bits 6 to 9"):
        list(open_recording(tmp_path / "a", "s15-a1x").blocks())
    with pytest.raises(FormatError, match="starts with"):
        open_recording(tmp_path / "a", "ptu")


def test_an_unknown_name_of_a_format_lists_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(FormatError, match="the formats are ptu, s15-a0"):
        open_recording(tmp_path / "a", "ttbin")


@pytest.mark.parametrize("size", [64, 4096])
def test_a_file_of_zeros_or_ones_is_refused(size: int) -> None:
    for byte in (b"\0", b"\xff"):
        with pytest.raises(FormatError):
            detect_format(byte * size, size)


def test_a_few_bare_words_are_not_guessed_at() -> None:
    few = encode_stamps(np.arange(1, 9) * 100, np.ones(8, np.uint8), FormatName.S15_TDC1)
    with pytest.raises(FormatError, match="too few words to tell"):
        detect_format(few, len(few))


@pytest.mark.parametrize("kind", ["t2", "t3", "t4"])
def test_an_epoch_file_that_is_no_recording_is_named_in_the_hint(kind: str) -> None:
    side = "hec" if kind == "t4" else "lec"
    data = shared_data(f"qcrypto/{side}/{kind}/0000976b").read_bytes()
    with pytest.raises(FormatError, match=f"looks like a qcrypto type-{kind[1]} epoch file"):
        detect_format(data, len(data))


def test_a_type_1_epoch_is_a_recording(tmp_path: Path) -> None:
    units = (5 << 32) + np.arange(1, 50, dtype=np.int64) * 1000
    (tmp_path / "00000005").write_bytes(write_t1(Type1Epoch(5, units, np.full(49, 4, np.uint8))))
    recording = open_recording(tmp_path / "00000005")
    (block,) = recording.blocks()
    assert recording.info.format is FormatName.QCRYPTO_T1
    assert np.array_equal(block.times_ps, units * 125)
    assert set(block.channels.tolist()) == {3}


def test_a_type_1_epoch_without_its_terminator_is_refused(tmp_path: Path) -> None:
    units = (5 << 32) + np.arange(1, 50, dtype=np.int64) * 1000
    whole = write_t1(Type1Epoch(5, units, np.full(49, 4, np.uint8)))
    for damaged in (whole[:-8], whole[:-1] + b"\1", whole[:19], whole[:24]):
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(FormatError):
            open_recording(tmp_path / "a", FormatName.QCRYPTO_T1)


def test_a_whole_recording_is_its_blocks_joined(tmp_path: Path) -> None:
    units = np.arange(1, 5000, dtype=np.int64) * 777
    (tmp_path / "a").write_bytes(encode_stamps(units, np.full(4999, 15, np.uint8), FormatName.S15_A1))
    recording = open_recording(tmp_path / "a")
    joined, whole = concatenate(recording.blocks(100)), recording.read()
    assert len(whole) == 4 * 4999
    assert np.array_equal(whole.times_ps, joined.times_ps)
    assert np.array_equal(whole.channels, joined.channels)


def test_blocks_of_no_tags_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(encode_stamps(np.array([1]), np.array([1], np.uint8), FormatName.S15_A1))
    with pytest.raises(ValueError, match="at least 1"):
        open_recording(tmp_path / "a").blocks(0)


@given(data=st.binary(min_size=1, max_size=300), name=st.sampled_from([None, *FormatName]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_raise_anything_but_a_refusal(
    data: bytes, name: FormatName | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    try:
        blocks = list(open_recording(path, name).blocks(16))
    except (FormatError, TagOrderError):
        return
    assert all(bool(np.all(np.diff(block.times_ps) >= 0)) for block in blocks)
