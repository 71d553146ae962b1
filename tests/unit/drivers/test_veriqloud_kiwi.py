"""VeriQloud Kiwi: layouts of its words, the stream over a named pipe and a mapped file, losses and faults."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from faintlink.core.errors import ConfigError, ConnectionLostError, FormatError
from faintlink.core.tags import GapCause, TagBlock, concatenate
from faintlink.drivers.timetaggers import veriqloud_kiwi_codec as codec
from faintlink.drivers.timetaggers.veriqloud_kiwi import VeriqloudKiwi
from faintlink.instruments.conformance.suites import TimeTaggerTests
from faintlink.instruments.emulators.veriqloud_kiwi import EmulatedKiwi
from tests.taggers import GatedStream, assert_same, bench_source, played, random_tags, read_until, recorded

SLOTS = hn.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, codec.COUNTER_SLOTS - 1))


@pytest.fixture(params=["clicks", "time-tags"])
def records(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def on_grid(truth: TagBlock, records: str) -> TagBlock:
    step_ps = codec.SLOT_PS if records == "clicks" else codec.STEP_PS
    return TagBlock(truth.times_ps // step_ps * step_ps, truth.channels)


def opened(card: EmulatedKiwi, records: str) -> VeriqloudKiwi:
    return VeriqloudKiwi("kiwi", str(card.registers), clicks=str(card.clicks), records=records)


TRUTH = random_tags(40_000, step_ps=20, channels=2, mean_steps=50_000)


@pytest.fixture
def card(tmp_path: Path, records: str) -> Iterator[EmulatedKiwi]:
    with EmulatedKiwi(tmp_path, played(TRUTH, piece=1000), records=records) as card:
        yield card


class TestConformance(TimeTaggerTests):
    @pytest.fixture
    def instrument(self, tmp_path: Path, records: str) -> Iterator[object]:
        with EmulatedKiwi(tmp_path, bench_source(), records=records) as card:
            kiwi = opened(card, records)
            yield kiwi
            kiwi.close()


def test_a_click_record_is_laid_out_as_the_gateware_says() -> None:
    # gc/2 as u48 little-endian, then bit 0 the lowest bit of the slot and bit 1 the result; 16 bytes a record.
    data = codec.encode_clicks(np.array([2 * 0x0102030405 + 1]), np.array([1], np.uint8))
    assert data == bytes([5, 4, 3, 2, 1, 0, 0b11]) + bytes(9)


def test_a_time_tag_word_is_laid_out_as_the_gateware_says() -> None:
    # Time in 20 ps over the 25 ns of two slots in 14 bits, gc in bytes 4 to 9, slot bit and result in byte 10.
    clicks = codec.Clicks(np.array([2 * 0x0A0B + 1]), np.array([1], np.uint8), np.array([4000]))
    data = codec.encode_time_tags(clicks)
    assert int.from_bytes(data[:2], "little") == 4000 // 20 + 625
    assert data[4:] == bytes([0x0B, 0x0A, 0, 0, 0, 0, 0b11, 0, 0, 0, 0, 0])


def test_angles_are_two_a_byte_with_the_low_nibble_first() -> None:
    angles = codec.decode_angles(bytes([0b0110_0001, 0b1011]), 3)
    assert angles.angles.tolist() == [1, 2, 3]
    assert angles.decoys.tolist() == [0, 1, 0]
    assert angles.free.tolist() == [0, 0, 1]


@given(nibbles=hn.arrays(np.uint8, st.integers(0, 33), elements=st.integers(0, 15)))
def test_angles_survive_a_round_trip(nibbles: npt.NDArray[np.uint8]) -> None:
    angles = codec.Angles(*(part.astype(np.uint8) for part in (nibbles & 3, nibbles >> 2 & 1, nibbles >> 3)))
    back = codec.decode_angles(codec.encode_angles(angles), len(nibbles))
    np.testing.assert_array_equal(back.angles | back.decoys << 2 | back.free << 3, nibbles)


@given(slots=SLOTS)
def test_words_survive_a_round_trip(slots: npt.NDArray[np.int64]) -> None:
    results = (slots % 2).astype(np.uint8)
    arrivals = slots % 625 * 20
    clicks = codec.decode_clicks(codec.encode_clicks(slots, results))
    np.testing.assert_array_equal(clicks.slots, slots)
    np.testing.assert_array_equal(clicks.results, results)
    tags = codec.decode_time_tags(codec.encode_time_tags(codec.Clicks(slots, results, arrivals)))
    for got, want in ((tags.slots, slots), (tags.results, results), (tags.arrivals_ps, arrivals)):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("data", [bytes(15), bytes(6) + b"\x04" + bytes(9), bytes(7) + b"\x01" + bytes(8)])
def test_bytes_that_are_no_click_records_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode_clicks(data)


def test_results_are_one_byte_each() -> None:
    assert codec.decode_results(b"\0\1\1").tolist() == [0, 1, 1]
    assert codec.encode_results(np.array([0, 1, 1], np.uint8)) == b"\0\1\1"
    with pytest.raises(FormatError, match="byte 2"):
        codec.decode_results(b"\0\1\2")
    with pytest.raises(FormatError, match="byte 0"):
        codec.encode_results(np.array([7], np.uint8))


def test_the_counter_goes_on_across_its_end() -> None:
    top = codec.COUNTER_SLOTS
    first = codec.unwrapped(np.array([top - 2, top - 1, 3]), None)
    assert first.tolist() == [top - 2, top - 1, top + 3]
    assert codec.unwrapped(np.array([9]), int(first[-1])).tolist() == [top + 9]


def test_every_click_arrives_with_its_time(card: EmulatedKiwi, records: str) -> None:
    kiwi = opened(card, records)
    assert_same(recorded(kiwi.stream(), len(TRUTH)), on_grid(TRUTH, records))
    assert kiwi.counts.get()[0] >= len(TRUTH)
    kiwi.close()


def test_a_full_buffer_is_a_gap(card: EmulatedKiwi, records: str) -> None:
    kiwi = opened(card, records)
    stream = kiwi.stream()
    stream.start()
    read_until(stream, lambda block: len(block) > 0)
    card.set_fifo_status(codec.GC_OUT_FULL)
    assert kiwi.fifo_status.get() == 4
    got = read_until(stream, lambda block: bool(block.gaps))
    assert got.gaps[0].cause is GapCause.DEVICE_OVERFLOW
    stream.stop()
    kiwi.close()


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def gated(tmp_path: Path, records: str, gate: threading.Event) -> Iterator[EmulatedKiwi]:
    """A card that stops after half of the tags until the gate is opened."""
    half = len(TRUTH) // 2
    with EmulatedKiwi(tmp_path, lambda: GatedStream(TRUTH, first=half, piece=1000, gate=gate), records=records) as card:
        yield card


@pytest.mark.parametrize("damage", [b"\xff\x00\x81?garbage\xfe", b"\xff" * 5, b"\xff" * 160])
def test_garbage_is_a_gap_and_the_tags_around_it_are_true(
    gated: EmulatedKiwi, gate: threading.Event, records: str, damage: bytes
) -> None:
    half = len(TRUTH) // 2
    kiwi = opened(gated, records)
    stream = kiwi.stream()
    stream.start()
    first = read_until(stream, lambda block: len(block) == half)
    gated.inject.append(damage)
    gate.set()
    rest = read_until(stream, lambda block: len(block) > half - 20)
    stream.stop()
    got = concatenate([first, rest, stream.read(0.0)])
    [gap] = got.gaps
    assert gap.cause is GapCause.RECORD_DAMAGED
    assert gap.start_ps == first.times_ps[-1]
    assert np.isin(got.times_ps, on_grid(TRUTH, records).times_ps).all()
    assert len(got) > len(TRUTH) - 20
    kiwi.close()


def test_a_torn_record_is_a_gap(gated: EmulatedKiwi, gate: threading.Event, records: str) -> None:
    half = len(TRUTH) // 2
    kiwi = opened(gated, records)
    stream = kiwi.stream()
    stream.start()
    first = read_until(stream, lambda block: len(block) == half)
    gated.lose_bytes = 7
    gate.set()
    rest = read_until(stream, lambda block: len(block) > half - 20)
    assert rest.gaps[0].cause is GapCause.RECORD_DAMAGED
    assert np.isin(rest.times_ps, on_grid(TRUTH, records).times_ps).all()
    assert rest.gaps[0].start_ps == first.times_ps[-1]
    stream.stop()
    kiwi.close()


def test_a_card_that_is_gone_ends_the_stream(card: EmulatedKiwi, records: str) -> None:
    kiwi = opened(card, records)
    stream = kiwi.stream()
    stream.start()
    read_until(stream, lambda block: len(block) > 0)
    card.cut()
    with pytest.raises(ConnectionLostError, match="click stream ended"):
        read_until(stream, lambda _: False)
    stream.stop()
    kiwi.close()


def test_a_card_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConnectionLostError, match="cannot be mapped"):
        VeriqloudKiwi("kiwi", str(tmp_path / "none"))


def test_unknown_records_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="clicks or time-tags"):
        VeriqloudKiwi("kiwi", str(tmp_path / "none"), records="photons")


def test_a_sender_is_told_the_angles_of_the_slots_it_names(card: EmulatedKiwi, tmp_path: Path, records: str) -> None:
    paths = tmp_path / "h2c_0", tmp_path / "c2h_3"
    for path in paths:
        os.mkfifo(path)
    kiwi = VeriqloudKiwi("kiwi", str(card.registers), slots_out=str(paths[0]), angles=str(paths[1]))
    slots = np.array([5, 6, 1001], np.int64)
    seen: list[bytes] = []

    def play() -> None:
        with paths[0].open("rb") as source:
            seen.append(source.read(16 * len(slots)))
        with paths[1].open("wb") as target:
            target.write(bytes([0x21, 0x07]))

    thread = threading.Thread(target=play)
    thread.start()
    angles = kiwi.angles_at(slots)
    thread.join()
    assert codec.decode_clicks(seen[0]).slots.tolist() == slots.tolist()
    assert angles.angles.tolist() == [1, 2, 3]
    assert angles.decoys.tolist() == [0, 0, 1]
    kiwi.close()


def test_settings_are_latched(card: EmulatedKiwi, records: str) -> None:
    kiwi = opened(card, records)
    kiwi.fibre_delay(1234)
    assert kiwi.fibre_delay.get() == 1234
    assert kiwi.registers.read(codec.GC + codec.LATCH) == 1
    kiwi.close()
