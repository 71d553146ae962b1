"""An emulated Thorlabs MPC320: three paddles that take their time and say unasked when they have arrived.

Sources: as the driver, `faintlink.drivers.polarization.thorlabs_mpc320`.
"""

import time

from faintlink.drivers.polarization.thorlabs_apt_codec import (
    HEADER_BYTES,
    HOST,
    UNIT,
    Message,
    MessageId,
    MotorStatus,
    PaddleSettings,
    StatusBit,
    data_length,
    decode,
    encode,
    pack_info,
    pack_paddles,
    pack_status,
    parse_move,
    parse_paddles,
)
from faintlink.instruments.emulators.kit.device import EmulatedDevice, Session
from faintlink.instruments.emulators.kit.knob import Cell, Knob

_COUNTS_PER_DEG = 1370 / 170
_GREATEST_DEG_PER_S = 400.0
_CHANNELS = (1, 2, 4)


class _AptSession(Session):
    def __init__(self, device: "EmulatedMPC320") -> None:
        self._device = device
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """Answer each frame that is complete."""
        self._buffer += data
        answers = []
        while len(self._buffer) >= HEADER_BYTES:
            size = HEADER_BYTES + data_length(self._buffer[:HEADER_BYTES])
            if len(self._buffer) < size:
                break
            frame, self._buffer = self._buffer[:size], self._buffer[size:]
            with self._device.lock:
                answers.append(self._device.handle(decode(frame)))
        return b"".join(answers)

    def pending(self) -> bytes:
        """Return messages of moves that have ended."""
        with self._device.lock:
            return self._device.arrived()


class EmulatedMPC320(EmulatedDevice):
    """Three paddles.

    Parameters
    ----------
    angles
        Knob of the three angles in degrees, as a tuple.
    """

    def __init__(self, angles: Knob | None = None, *, model: str = "MPC320") -> None:
        super().__init__()
        self._angles = angles or Cell((0.0, 0.0, 0.0))
        self._model = model
        self.stuck: set[int] = set()
        """Channels (1, 2, 4) that do not move."""
        self._power_on()

    def _power_on(self) -> None:
        self._enabled = 0
        self._settings = PaddleSettings(50, 685, (50, 50, 50))
        self._targets: dict[int, tuple[int, float]] = {}
        self._homed = 0

    def reboot(self) -> None:
        """Restart where it stands, with its channels disabled."""
        super().reboot()
        self._power_on()

    def session(self) -> Session:
        """Return a new connection."""
        return _AptSession(self)

    def handle(self, message: Message) -> bytes:
        """Return the answer to a message."""
        number, channel = message.number, message.first
        if number == MessageId.HW_REQ_INFO:
            return _reply(MessageId.HW_GET_INFO, data=pack_info(38_000_001, self._model))
        if number == MessageId.MOD_SET_CHANENABLESTATE:
            self._enabled = channel if message.second == 1 else self._enabled & ~channel
        elif number == MessageId.MOD_REQ_CHANENABLESTATE:
            state = 1 if self._enabled & channel == channel else 2
            return _reply(MessageId.MOD_GET_CHANENABLESTATE, channel, state)
        elif number == MessageId.MOT_REQ_USTATUSUPDATE:
            return _reply(MessageId.MOT_GET_USTATUSUPDATE, data=pack_status(self._status(channel)))
        elif number == MessageId.POL_REQ_PARAMS:
            return _reply(MessageId.POL_GET_PARAMS, data=pack_paddles(self._settings))
        elif number == MessageId.POL_SET_PARAMS:
            self._settings = parse_paddles(message.data)
        else:
            self._move(message)
        return b""

    def _move(self, message: Message) -> None:
        if message.number == MessageId.MOT_MOVE_ABSOLUTE:
            self._start(*parse_move(message.data))
        elif message.number == MessageId.MOT_MOVE_HOME:
            self._homed |= message.first
            self._start(message.first, self._settings.home_counts)

    def _start(self, channel: int, counts: int) -> None:
        if self._enabled & channel and channel not in self.stuck:
            speed = _GREATEST_DEG_PER_S * _COUNTS_PER_DEG * self._settings.velocity_percent / 100
            way = abs(counts - self._position(channel))
            self._targets[channel] = (counts, time.monotonic() + way / speed)

    def _position(self, channel: int) -> int:
        angle_deg = float(self._angles()[_CHANNELS.index(channel)])
        return round(angle_deg * _COUNTS_PER_DEG)

    def _status(self, channel: int) -> MotorStatus:
        self._finish()
        bits = StatusBit.HOMED if self._homed & channel else 0
        if channel in self._targets:
            bits |= StatusBit.MOVING_FORWARD
        return MotorStatus(channel, self._position(channel), 0, 0, bits)

    def _finish(self) -> list[int]:
        """Put the paddles whose time has come where they were sent."""
        done = [channel for channel, (_, when_s) in self._targets.items() if when_s <= time.monotonic()]
        for channel in done:
            counts, _ = self._targets.pop(channel)
            angles = list(self._angles())
            angles[_CHANNELS.index(channel)] = counts / _COUNTS_PER_DEG
            self._angles(tuple(angles))
        return done

    def arrived(self) -> bytes:
        """Return what is said unasked: a message for each move that has ended."""
        done = self._finish()
        return b"".join(
            _reply(MessageId.MOT_MOVE_COMPLETED, data=pack_status(self._status(channel))) for channel in done
        )


def _reply(number: MessageId, first: int = 0, second: int = 0, *, data: bytes = b"") -> bytes:
    return encode(Message(number, first, second, data, HOST, UNIT))
