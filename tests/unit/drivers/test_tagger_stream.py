"""What all tag streams share: gaps between the right tags, order, silence, and a life with start and stop."""

import time

import numpy as np
import pytest

from faintlink.core.errors import ConnectionLostError, LocalProtocolError
from faintlink.core.tags import UNKNOWN_LOSS, GapCause, GapRecord, TagBlock
from faintlink.drivers.timetaggers.stream import DeviceStream, Silence, TagAssembler


def add(tags: TagAssembler, *times: int) -> TagBlock:
    return tags.block(np.array(times, np.int64), np.ones(len(times), np.uint8))


def test_a_gap_reaches_from_the_tag_before_to_the_tag_behind() -> None:
    tags = TagAssembler()
    add(tags, 10, 20)
    tags.lose(GapCause.DEVICE_OVERFLOW, lost=3)
    assert add(tags, 50, 60).gaps == (GapRecord(20, 50, 3, GapCause.DEVICE_OVERFLOW),)
    assert add(tags, 70).gaps == ()


@pytest.mark.parametrize(("losses", "total"), [((3, 4), 7), ((3, UNKNOWN_LOSS), -1), ((UNKNOWN_LOSS, 3), -1)])
def test_losses_of_one_cause_before_the_next_tag_are_one_gap(losses: tuple[int, int], total: int) -> None:
    tags = TagAssembler()
    add(tags, 10)
    for lost in losses:
        tags.lose(GapCause.BUFFER_FULL, lost=lost)
    [gap] = add(tags, 30).gaps
    assert (gap.start_ps, gap.end_ps, gap.lost) == (10, 30, total)


def test_a_gap_that_no_tag_ends_is_reported_at_the_end() -> None:
    tags = TagAssembler()
    add(tags, 10)
    tags.lose(GapCause.DEVICE_OVERFLOW)
    assert tags.has_gaps
    assert tags.finish().gaps == (GapRecord(10, 10, UNKNOWN_LOSS, GapCause.DEVICE_OVERFLOW),)


def test_a_loss_before_the_first_tag_lies_at_the_first_tag() -> None:
    tags = TagAssembler()
    tags.lose(GapCause.DEVICE_OVERFLOW)
    assert add(tags, 30).gaps == (GapRecord(30, 30, UNKNOWN_LOSS, GapCause.DEVICE_OVERFLOW),)


def test_tags_of_one_block_are_sorted_with_their_channels() -> None:
    block = TagAssembler().block(np.array([30, 10, 20]), np.array([3, 1, 2], np.uint8))
    assert block.times_ps.tolist() == [10, 20, 30]
    assert block.channels.tolist() == [1, 2, 3]


def test_tags_from_before_the_last_block_are_dropped_and_counted() -> None:
    tags = TagAssembler()
    add(tags, 10, 20)
    block = add(tags, 15, 20, 30)
    assert block.times_ps.tolist() == [20, 30]
    assert block.gaps == (GapRecord(20, 20, 1, GapCause.RECORD_DAMAGED),)


def test_silence_is_noticed_only_when_it_lasts() -> None:
    silence = Silence(0.05)
    silence.require_short("tagger", "look")
    time.sleep(0.08)
    with pytest.raises(ConnectionLostError, match="tagger sent nothing"):
        silence.require_short("tagger", "look")
    silence.broken()
    silence.require_short("tagger", "look")


class OneTag(DeviceStream):
    """Gives a tag at each read, and one more at the end."""

    def _begin(self) -> None:
        self.reads = 0

    def _collect(self, timeout_s: float) -> TagBlock:
        self.reads += 1
        return add(self.tags, self.reads)

    def _end(self) -> TagBlock:
        return add(self.tags, 99)


def test_what_the_device_held_at_the_stop_is_read_once_more() -> None:
    stream = OneTag()
    assert len(stream.read(0.0)) == 0
    stream.start()
    assert stream.read(0.0).times_ps.tolist() == [1]
    stream.stop()
    stream.stop()
    assert stream.read(0.0).times_ps.tolist() == [99]
    assert len(stream.read(0.0)) == 0


def test_a_stream_is_started_once() -> None:
    stream = OneTag()
    stream.start()
    with pytest.raises(LocalProtocolError, match="runs already"):
        stream.start()
    stream.read(0.0)
    stream.stop()
    with pytest.raises(LocalProtocolError, match="has run"):
        stream.start()
