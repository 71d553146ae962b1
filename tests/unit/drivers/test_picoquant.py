"""PicoQuant MultiHarp and HydraHarp: calls, T2 stream, flags, faults; the maker's library where it is installed."""

import ctypes
import os

import numpy as np
import pytest

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, HardwareError, LocalProtocolError
from faintlink.core.tags import GapCause, TagBlock
from faintlink.drivers.timetaggers.picoquant_hhlib import PicoQuantHydraHarp
from faintlink.drivers.timetaggers.picoquant_library import MULTIHARP_SIGNATURES, PicoQuantLibrary, load_library
from faintlink.drivers.timetaggers.picoquant_mhlib import PicoQuantMultiHarp
from faintlink.drivers.timetaggers.picoquant_stream import Flag
from faintlink.instruments.conformance.suites import TimeTaggerTests
from faintlink.instruments.emulators.picoquant import FakePicoQuant, t2_records
from tests.taggers import assert_same, bench_source, played, random_tags, read_until, recorded

MODELS = {"MultiHarp": (PicoQuantMultiHarp, 5), "HydraHarp": (PicoQuantHydraHarp, 1)}


@pytest.fixture(params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened(model: str, fake: FakePicoQuant, *, watches_sync: bool = True) -> PicoQuantMultiHarp:
    return MODELS[model][0]("harp", library=fake, watches_sync=watches_sync)


class TestConformance(TimeTaggerTests):
    @pytest.fixture
    def instrument(self, model: str) -> object:
        return opened(model, FakePicoQuant(bench_source(), resolution_ps=MODELS[model][1]))


def test_t2_records_are_those_of_the_manual() -> None:
    # Channel in bits 30..25 (input 2 is 1), tag in 24..0; overflow is special (bit 31) channel 63 with its count.
    tags = TagBlock(np.array([35, 5 * (3 * 2**25 + 7), 5 * (3 * 2**25 + 9)]), np.array([2, 1, 0], np.uint8))
    records, wraps = t2_records(tags, resolution_ps=5, wraps_done=0)
    assert records.tolist() == [0x02000007, 0xFE000003, 0x00000007, 0x80000009]
    assert wraps == 3


@pytest.mark.parametrize("fifo_piece", [1000, 1 << 16])
def test_every_tag_arrives(model: str, fifo_piece: int) -> None:
    step_ps = MODELS[model][1]
    truth = random_tags(150_000, step_ps=step_ps, mean_steps=50_000)
    harp = opened(model, FakePicoQuant(played(truth, piece=fifo_piece), resolution_ps=step_ps))
    got = recorded(harp.stream(), len(truth))
    assert_same(got, truth)
    assert got.gaps == ()


def test_blocks_are_not_written_again(model: str) -> None:
    truth = random_tags(30_000, step_ps=5)
    harp = opened(model, FakePicoQuant(played(truth, piece=1000), resolution_ps=5))
    stream = harp.stream()
    stream.start()
    first = stream.read(0.1)
    kept = first.times_ps.copy()
    for _ in range(10):
        stream.read(0.1)
    np.testing.assert_array_equal(first.times_ps, kept)


@pytest.mark.parametrize(
    ("flag", "cause"),
    [
        (Flag.OVERFLOW, GapCause.DEVICE_OVERFLOW),
        (Flag.FIFO_FULL, GapCause.DEVICE_OVERFLOW),
        (Flag.COUNTS_DROPPED, GapCause.DEVICE_OVERFLOW),
        (Flag.SYNC_LOST, GapCause.REFERENCE_LOST),
        (Flag.REFERENCE_LOST, GapCause.REFERENCE_LOST),
    ],
)
def test_a_flag_is_a_gap_around_the_part_after_which_it_was_seen(model: str, flag: Flag, cause: GapCause) -> None:
    truth = random_tags(10_000, step_ps=5)
    fake = FakePicoQuant(played(truth, piece=1000), resolution_ps=5)
    harp = opened(model, fake)
    fake.raise_flags(0, times=2)
    fake.raise_flags(int(flag))
    got = recorded(harp.stream(), len(truth))
    [gap] = got.gaps
    assert gap.cause is cause
    assert (gap.start_ps, gap.end_ps) == (truth.times_ps[1999], truth.times_ps[3000])
    assert_same(got, truth)


def test_a_lost_sync_is_no_gap_where_nothing_is_plugged_into_sync() -> None:
    truth = random_tags(3000, step_ps=5)
    fake = FakePicoQuant(played(truth, piece=1000))
    fake.raise_flags(int(Flag.SYNC_LOST), times=3)
    assert recorded(opened("MultiHarp", fake, watches_sync=False).stream(), 3000).gaps == ()


def test_a_fifo_that_overran_leaves_a_gap_over_all_that_is_missing(model: str) -> None:
    truth = random_tags(10_000, step_ps=5)
    fake = FakePicoQuant(played(truth, piece=1000), resolution_ps=5, fifo_records=1500)
    harp = opened(model, fake)
    stream = harp.stream()
    stream.start()
    fake.fill(4)
    got = read_until(stream, lambda block: len(block) >= 7500)
    [gap] = got.gaps
    missing = np.setdiff1d(truth.times_ps, got.times_ps)
    assert len(missing) == 2500
    assert gap.start_ps <= missing[0]
    assert missing[-1] <= gap.end_ps


def test_a_record_of_no_kind_is_a_gap_and_the_others_are_kept(model: str) -> None:
    truth = random_tags(3000, step_ps=5)
    fake = FakePicoQuant(played(truth, piece=1000), resolution_ps=5)
    harp = opened(model, fake)
    stream = harp.stream()
    stream.start()
    fake.fill(2)
    fake.spoil(0xF0000000, 0xE0000001)
    got = read_until(stream, lambda block: len(block) >= 3000)
    assert_same(got, truth)
    assert {gap.cause for gap in got.gaps} == {GapCause.RECORD_DAMAGED}


def test_a_pulled_cable_raises_on_reading_and_on_setting(model: str) -> None:
    fake = FakePicoQuant(played(random_tags(3000, step_ps=5), piece=1000))
    harp = opened(model, fake)
    stream = harp.stream()
    stream.start()
    stream.read(0.1)
    fake.pull_cable()
    with pytest.raises(ConnectionLostError, match=r"ReadFiFo.*USB"):
        stream.read(0.1)
    with pytest.raises(DeviceReportedError):
        stream.stop()
    with pytest.raises(DeviceReportedError, match="SetSyncDiv"):
        harp.sync_divider(2)


def test_a_measurement_that_ended_by_itself_raises(model: str) -> None:
    fake = FakePicoQuant(played(random_tags(1000, step_ps=5)))
    stream = opened(model, fake).stream()
    stream.start()
    assert len(stream.read(0.1)) == 1000
    fake.end_measurement()
    with pytest.raises(DeviceReportedError, match="ended its measurement"):
        stream.read(0.1)


def test_a_system_error_raises(model: str) -> None:
    fake = FakePicoQuant(played(random_tags(1000, step_ps=5)))
    fake.raise_flags(int(Flag.SYSTEM_ERROR))
    stream = opened(model, fake).stream()
    stream.start()
    with pytest.raises(DeviceReportedError, match="system error"):
        stream.read(0.1)


def test_a_device_that_is_not_there_is_said_so() -> None:
    fake = FakePicoQuant(played(TagBlock.empty()))
    with pytest.raises(ConnectionLostError, match=r"MH_OpenDevice|others answered"):
        PicoQuantMultiHarp("harp", "9999999", library=fake)
    assert PicoQuantMultiHarp("harp", "1045678", library=fake).serial == "1045678"


def test_settings_reach_the_library_in_its_units() -> None:
    fake = FakePicoQuant(played(TagBlock.empty()))
    harp = opened("MultiHarp", fake)
    harp.ch2.trigger_level(-0.12)
    assert fake.settings["SetInputEdgeTrg"] == (1, -120, 0)
    harp.ch2.trigger_edge("rising")
    assert fake.settings["SetInputEdgeTrg"] == (1, -120, 1)
    harp.sync.delay(250)
    assert fake.settings["SetSyncChannelOffset"] == (250,)
    harp.close()
    hydra = opened("HydraHarp", fake)
    hydra.ch1.trigger_level(-0.1)
    assert fake.settings["SetInputCFD"] == (0, 100, 10)


def test_settings_are_refused_while_it_streams() -> None:
    harp = opened("MultiHarp", FakePicoQuant(played(TagBlock.empty())))
    stream = harp.stream()
    stream.start()
    with pytest.raises(LocalProtocolError, match="streaming"):
        harp.ch1.trigger_level(-0.1)
    stream.stop()
    harp.ch1.trigger_level(-0.1)


def test_a_missing_library_is_said_so() -> None:
    with pytest.raises(HardwareError, match="no PicoQuant library"):
        PicoQuantMultiHarp("harp", library="/nowhere/libmhlib.so")


def test_the_makers_library_takes_the_signatures_of_the_calls_without_a_device() -> None:
    """Needs FAINTLINK_MHLIB, the path of the maker's libmhlib.so; it belongs to its owner and is not shipped."""
    path = os.environ.get("FAINTLINK_MHLIB", "")
    if not path:
        pytest.skip("FAINTLINK_MHLIB does not name the maker's libmhlib.so")
    library = PicoQuantLibrary(load_library([path]), "MH_", MULTIHARP_SIGNATURES)
    (version,) = library.texts("GetLibraryVersion")
    assert float(version) >= 3.0
    assert library.error_text(-1) == "MH_ERROR_DEVICE_OPEN_FAIL"
    with pytest.raises(ConnectionLostError, match="MH_ERROR_DEVICE_OPEN_FAIL"):
        library.call("OpenDevice", 0, ctypes.create_string_buffer(64))
