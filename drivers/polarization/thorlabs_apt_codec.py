"""Frames of Thorlabs' APT protocol: bytes to messages and back, without any link.

A frame begins with six bytes: the message's number, then either two parameters or the length of the data that
follows, then whom it is for and whom it is from. Bit 7 of the destination says that data follow. All is little endian.

Sources: Thorlabs APT Communications Protocol (message formats; MOD, HW, MOT and POL messages), as QMI and PnPQ use
it. Unverified on a device.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from faintlink.core.errors import FormatError

HOST = 0x01
UNIT = 0x50
HEADER_BYTES = 6
_LONG = 0x80
_STATUS = struct.Struct("<HiHhI")
_MOVE = struct.Struct("<Hi")
_PADDLES = struct.Struct("<6H")
_INFO = struct.Struct("<I8sH4B48s12xHHH")
MOST_DATA_BYTES = 255


class MessageId(IntEnum):
    """Numbers of the messages that a paddle controller needs."""

    HW_REQ_INFO = 0x0005
    HW_GET_INFO = 0x0006
    MOD_SET_CHANENABLESTATE = 0x0210
    MOD_REQ_CHANENABLESTATE = 0x0211
    MOD_GET_CHANENABLESTATE = 0x0212
    MOT_MOVE_HOME = 0x0443
    MOT_MOVE_HOMED = 0x0444
    MOT_MOVE_ABSOLUTE = 0x0453
    MOT_MOVE_COMPLETED = 0x0464
    MOT_MOVE_STOP = 0x0465
    MOT_REQ_USTATUSUPDATE = 0x0490
    MOT_GET_USTATUSUPDATE = 0x0491
    POL_SET_PARAMS = 0x0530
    POL_REQ_PARAMS = 0x0531
    POL_GET_PARAMS = 0x0532


class StatusBit(IntEnum):
    """Bits of a motor's status."""

    MOVING_FORWARD = 0x10
    MOVING_BACKWARD = 0x20
    HOMING = 0x200
    HOMED = 0x400


@dataclass(frozen=True, slots=True)
class Message:
    """One frame."""

    number: int
    """Message number, see `MessageId`."""
    first: int = 0
    """First parameter; unused if there are data."""
    second: int = 0
    """Second parameter; unused if there are data."""
    data: bytes = b""
    """Data of a long message."""
    destination: int = UNIT
    """Whom it is for."""
    source: int = HOST
    """Whom it is from."""


@dataclass(frozen=True, slots=True)
class MotorStatus:
    """What a motor reports."""

    channel: int
    """Its mask: 1, 2 or 4."""
    position: int
    """In counts."""
    velocity: int
    """In counts per second."""
    current: int
    """In mA."""
    bits: int
    """See `StatusBit`."""

    @property
    def is_moving(self) -> bool:
        """Whether it moves or looks for its home."""
        return bool(self.bits & (StatusBit.MOVING_FORWARD | StatusBit.MOVING_BACKWARD | StatusBit.HOMING))

    @property
    def is_homed(self) -> bool:
        """Whether it knows where it is."""
        return bool(self.bits & StatusBit.HOMED)


@dataclass(frozen=True, slots=True)
class PaddleSettings:
    """Settings of a paddle controller."""

    velocity_percent: int
    """Share of the greatest velocity."""
    home_counts: int
    """Position to which homing goes."""
    jog_counts: tuple[int, int, int]
    """Step of each paddle's buttons."""


def encode(message: Message) -> bytes:
    """Return the bytes of a message."""
    if message.data:
        head = struct.pack("<HHBB", message.number, len(message.data), message.destination | _LONG, message.source)
        return head + message.data
    return struct.pack("<HBBBB", message.number, message.first, message.second, message.destination, message.source)


def data_length(header: bytes) -> int:
    """Return how many bytes of data follow a header (6 bytes).

    Raises
    ------
    FormatError
        It is no header, or announces more than any message here has.
    """
    if len(header) != HEADER_BYTES:
        raise FormatError(f"a header has {HEADER_BYTES} bytes, got {len(header)}", hint="read the rest first")
    if not header[4] & _LONG:
        return 0
    length = int.from_bytes(header[2:4], "little")
    if length > MOST_DATA_BYTES:
        raise FormatError(
            f"a header announces {length} bytes, no message has more than {MOST_DATA_BYTES}: {header!r}",
            hint="the stream is out of step; drain it and ask again",
        )
    return length


def decode(frame: bytes) -> Message:
    """Return the message of a whole frame.

    Raises
    ------
    FormatError
        Its length is not what its header says.
    """
    length = data_length(frame[:HEADER_BYTES])
    if len(frame) != HEADER_BYTES + length:
        raise FormatError(
            f"a frame with {length} bytes of data has {HEADER_BYTES + length} bytes, got {len(frame)}",
            hint="cut the stream by data_length()",
        )
    number, first, second, destination, source = struct.unpack("<HBBBB", frame[:HEADER_BYTES])
    if destination & _LONG:
        return Message(number, 0, 0, frame[HEADER_BYTES:], destination & ~_LONG, source)
    return Message(number, first, second, b"", destination, source)


def move_absolute(channel: int, position: int) -> Message:
    """Return the order to go to a position in counts."""
    return Message(MessageId.MOT_MOVE_ABSOLUTE, data=_MOVE.pack(channel, position))


def parse_move(data: bytes) -> tuple[int, int]:
    """Return channel and position of an order to move."""
    channel, position = _unpacked(_MOVE, data)
    return channel, position


def pack_status(status: MotorStatus) -> bytes:
    """Return a motor's status as data (14 bytes)."""
    return _STATUS.pack(status.channel, status.position, status.velocity, status.current, status.bits)


def parse_status(data: bytes) -> MotorStatus:
    """Return a motor's status from its data."""
    return MotorStatus(*_unpacked(_STATUS, data))


def pack_paddles(settings: PaddleSettings) -> bytes:
    """Return a paddle controller's settings as data (12 bytes)."""
    return _PADDLES.pack(0, settings.velocity_percent, settings.home_counts, *settings.jog_counts)


def parse_paddles(data: bytes) -> PaddleSettings:
    """Return a paddle controller's settings from their data."""
    _, velocity, home, *jogs = _unpacked(_PADDLES, data)
    return PaddleSettings(velocity, home, (jogs[0], jogs[1], jogs[2]))


def pack_info(serial: int, model: str) -> bytes:
    """Return a device's description of itself as data (84 bytes)."""
    return _INFO.pack(serial, model.encode(), 44, 0, 1, 0, 0, b"", 1, 0, 3)


def parse_info(data: bytes) -> tuple[int, str, str]:
    """Return serial number, model and firmware version from a device's description of itself."""
    serial, model, _, minor, interim, major, *_ = _unpacked(_INFO, data)
    return serial, model.split(b"\0")[0].decode("latin-1").strip(), f"{major}.{interim}.{minor}"


def _unpacked(layout: struct.Struct, data: bytes) -> tuple[Any, ...]:
    if len(data) != layout.size:
        raise FormatError(
            f"data of {layout.size} bytes were expected, got {len(data)}",
            hint="this message is of another kind or firmware",
        )
    return layout.unpack(data)
