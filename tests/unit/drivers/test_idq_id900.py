"""IDQ ID900: sub-acquisitions to tags, the emulator over real ZeroMQ sockets, losses and faults."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, UnsupportedFeatureError
from faintlink.core.tags import GapCause, TagBlock
from faintlink.drivers.timetaggers.idq_id900 import IDQTimeController
from faintlink.drivers.timetaggers.idq_stream import DEAD_PS, merged
from faintlink.instruments.conformance.suites import TimeTaggerTests
from faintlink.instruments.emulators.idq_id900 import EmulatedDataLink, EmulatedID900
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.emulators.kit.zmq_server import ZmqServer
from tests.taggers import bench_source, played, random_tags, read_until

PERIOD_PS = 200_000_000_000 + DEAD_PS


@dataclass
class Lab:
    """An emulated controller, its servers and its driver."""

    device: EmulatedID900
    data_link: EmulatedDataLink
    server: ZmqServer
    link_server: ZmqServer
    driver: IDQTimeController


def free_port() -> int:
    """Return a port whose four successors are free too, most likely."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def laboratory(source: TagSource) -> Iterator[Lab]:
    device = EmulatedID900(source)
    data_link = EmulatedDataLink(device)
    with ZmqServer(device) as server, ZmqServer(data_link) as link_server:
        driver = IDQTimeController(
            "id900", server.address, data_link=link_server.address, stream_port=free_port() % 20_000 + 40_000
        )
        driver.sub_acquisition(0.2)
        try:
            yield Lab(device, data_link, server, link_server, driver)
        finally:
            data_link.close()
            driver.close()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(IDQTimeController, "timeout_s", 0.5)
    monkeypatch.setattr(IDQTimeController, "silence_s", 0.0)
    with laboratory(played(random_tags(400_000, step_ps=1000, mean_steps=5000), piece=5000)) as found:
        yield found


class TestConformance(TimeTaggerTests):
    @pytest.fixture
    def instrument(self) -> Iterator[object]:
        with laboratory(bench_source()) as lab:
            yield lab.driver


def expected(truth: TagBlock) -> TagBlock:
    """Return tags as the controller shows them: from its start, without those in dead times."""
    times = truth.times_ps - truth.times_ps[0]
    live = times % PERIOD_PS < PERIOD_PS - DEAD_PS
    return TagBlock(times[live], truth.channels[live])


def test_tags_of_all_channels_come_in_order_across_sub_acquisitions(lab: Lab) -> None:
    want = expected(random_tags(400_000, step_ps=1000, mean_steps=5000))
    stream = lab.driver.stream()
    stream.start()
    got = read_until(stream, lambda block: len(block) >= 200_000)
    stream.stop()
    np.testing.assert_array_equal(got.times_ps, want.times_ps[: len(got)])
    np.testing.assert_array_equal(got.channels, want.channels[: len(got)])
    assert {(gap.start_ps + DEAD_PS) % PERIOD_PS for gap in got.gaps} == {0}
    assert {gap.end_ps - gap.start_ps for gap in got.gaps} == {DEAD_PS}
    assert {gap.cause for gap in got.gaps} == {GapCause.PLANNED_DEAD_TIME}


def test_a_disabled_input_is_not_streamed(lab: Lab) -> None:
    lab.driver.ch2.enabled(False)
    assert lab.driver.ch2.enabled.get() is False
    stream = lab.driver.stream()
    stream.start()
    got = read_until(stream, lambda block: len(block) >= 20_000)
    stream.stop()
    assert set(np.unique(got.channels)) == {1, 3, 4}


def test_lost_time_stamps_are_a_gap_with_their_number(lab: Lab) -> None:
    stream = lab.driver.stream()
    stream.start()
    read_until(stream, lambda block: len(block) > 0)
    lab.device.lost[2] = 77
    got = read_until(stream, lambda block: any(gap.lost == 77 for gap in block.gaps))
    [gap] = [gap for gap in got.gaps if gap.lost == 77]
    assert gap.cause is GapCause.DEVICE_OVERFLOW
    assert gap.end_ps - gap.start_ps >= 200_000_000_000
    stream.stop()
    assert lab.device.lost[2] == 0


def test_a_channel_that_ceases_to_send_ends_the_stream(lab: Lab) -> None:
    stream = lab.driver.stream()
    stream.start()
    read_until(stream, lambda block: len(block) > 0)
    lab.data_link.streams["stream-3"].close()
    with pytest.raises(ConnectionLostError, match=r"abreast|sent nothing"):
        read_until(stream, lambda _: False)
    stream.stop()


def test_a_reboot_in_mid_stream_ends_it(lab: Lab) -> None:
    stream = lab.driver.stream()
    stream.start()
    read_until(stream, lambda block: len(block) > 0)
    with lab.device.lock:
        lab.device.reboot()
    with pytest.raises(ConnectionLostError, match="sent nothing"):
        read_until(stream, lambda _: False)
    stream.stop()


def test_half_words_and_impossible_times_are_gaps(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    take: Callable[[int], bytes | None] = lab.device.take

    def damaged(channel: int) -> bytes | None:
        message = take(channel)
        return message if message is None or channel != 1 else message[:-3] + b"\xff" * 8

    monkeypatch.setattr(lab.device, "take", damaged)
    stream = lab.driver.stream()
    stream.start()
    got = read_until(stream, lambda block: any(gap.cause is GapCause.RECORD_DAMAGED for gap in block.gaps))
    assert np.all(np.diff(got.times_ps) >= 0)
    stream.stop()


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.GARBAGE, Fault.HALF, Fault.REBOOT])
def test_a_spoiled_answer_raises_or_is_empty_and_the_next_is_right(lab: Lab, fault: Fault) -> None:
    lab.server.faults.inject(fault)
    with pytest.raises((ConnectionLostError, DeviceReportedError)):
        lab.driver.ch1.delay.get()
    assert lab.driver.ch1.delay.get() == 0


def test_a_controller_that_is_gone_raises_in_time(lab: Lab) -> None:
    lab.server.close()
    began = time.monotonic()
    with pytest.raises(ConnectionLostError, match="no answer"):
        lab.driver.ch1.trigger_level.get()
    assert time.monotonic() - began < 2.0


def test_what_the_controller_refuses_raises_with_what_was_sent(lab: Lab) -> None:
    with pytest.raises(DeviceReportedError, match="Undefined header") as caught:
        lab.driver.tell_controller("NONS:ENSE 1")
    assert caught.value.fields["sent"] == "NONS:ENSE 1"


def test_another_device_is_refused() -> None:
    device = EmulatedID900(played(TagBlock.empty()))
    device.idn = "Acme,Toaster,1,1"
    with ZmqServer(device) as server, pytest.raises(UnsupportedFeatureError, match="Toaster"):
        IDQTimeController("id900", server.address)


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.lists(st.integers(0, 10**6), max_size=20)),
        max_size=4,
        unique_by=lambda pair: pair[0],
    )
)
def test_channels_are_merged_in_order_of_time(channels: list[tuple[int, list[int]]]) -> None:
    messages = {number: np.array(sorted(times), "<u8").tobytes() for number, times in channels}
    times, numbers, bad = merged(messages, origin_ps=10**12, length_ps=10**6 + 1)
    everything = sorted((time + 10**12, number) for number, mine in channels for time in mine)
    assert sorted(zip(times.tolist(), numbers.tolist(), strict=True)) == everything
    assert np.all(np.diff(times) >= 0)
    assert bad == 0
