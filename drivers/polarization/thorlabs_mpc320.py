"""Thorlabs MPC320 motorised fibre polarization controller with three paddles, by the APT protocol.

Fills the role PolarizationController. Setting the angles returns when the paddles have arrived. The device sends
messages unasked when a move ends; they are passed over. A controller that was restarted has its channels disabled,
which is reported before the next move.

Sources: as `faintlink.drivers.polarization.thorlabs_apt_codec`; 1370 counts are 170° and the greatest velocity is
400°/s as in QMI's driver. Unverified on a device.
"""

import time
from collections.abc import Sequence as Angles
from typing import ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Ints, Numbers, Sequence

from faintlink.core.errors import ConnectionLostError, DeviceReportedError, FormatError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.polarization.thorlabs_apt_codec import (
    HEADER_BYTES,
    Message,
    MessageId,
    MotorStatus,
    PaddleSettings,
    data_length,
    decode,
    encode,
    move_absolute,
    pack_paddles,
    parse_info,
    parse_paddles,
    parse_status,
)
from faintlink.drivers.transport.step import Marker

GREATEST_ANGLE_DEG = 170.0
_COUNTS = 1370
_CHANNELS = (1, 2, 4)
_ALL = 7
_ENABLED = 1
_TOLERANCE_COUNTS = 2
_POLL_S = 0.02


def angle_to_counts(angle_deg: float) -> int:
    """Return a paddle's position in counts for its angle."""
    return round(angle_deg / GREATEST_ANGLE_DEG * _COUNTS)


def counts_to_angle(counts: int) -> float:
    """Return a paddle's angle in degrees for its position in counts."""
    return counts / _COUNTS * GREATEST_ANGLE_DEG


class ThorlabsMPC320(DialogueInstrument):
    """Three motorised paddles.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port.
    link
        An open link to use instead of opening ``address``.

    Raises
    ------
    ConnectionLostError
        The device cannot be reached.
    UnsupportedFeatureError
        Another device answers.
    """

    verified_on_hardware: ClassVar[str | None] = None
    default_baud = 115200
    default_rtscts = True
    marker: Marker | None = Marker.of(encode(Message(MessageId.HW_REQ_INFO)), rb"\x06\x00\x54\x00[\x01\x81].{85}")
    move_timeout_s: ClassVar[float] = 10.0
    """Longest wait for the paddles to arrive."""

    def _add_parameters(self) -> None:
        self.angles: Parameter[tuple[float, ...], Self] = self.add_parameter(
            "angles",
            label="Paddle angles",
            unit="deg",
            get_cmd=self._get_angles,
            set_cmd=self._set_angles,
            vals=Sequence(Numbers(0.0, GREATEST_ANGLE_DEG), length=len(_CHANNELS)),
        )
        """Angle of each paddle; setting returns when all have arrived."""
        self.velocity: Parameter[int, Self] = self.add_parameter(
            "velocity",
            label="Velocity",
            unit="%",
            get_cmd=lambda: self._settings().velocity_percent,
            set_cmd=self._set_velocity,
            vals=Ints(10, 100),
        )
        """Share of the greatest velocity, which is 400°/s."""

    def _identify(self) -> None:
        info = self._ask(Message(MessageId.HW_REQ_INFO), MessageId.HW_GET_INFO)
        self._serial, model, self._firmware = parse_info(info.data)
        self._refuse_unless("MPC", asked="who it is", answer=model)
        self.capabilities = Capabilities(model)
        self.enable()

    def get_idn(self) -> dict[str, str | None]:
        """Return what the device says of itself."""
        serial, firmware = str(self._serial), self._firmware
        return {"vendor": "Thorlabs", "model": self.capabilities.model, "serial": serial, "firmware": firmware}

    def enable(self) -> None:
        """Enable all three paddles; the device takes them as one mask, and others would be disabled."""
        with self.lock:
            self.link.write(encode(Message(MessageId.MOD_SET_CHANENABLESTATE, _ALL, _ENABLED)))

    def _ask(self, question: Message, wanted: MessageId, *, channel: int | None = None) -> Message:
        """Return the answer of the wanted number, and of the wanted channel if one is named."""
        sent = encode(question)
        return self.exchange(sent, lambda: self._received(sent, wanted, channel))

    def _received(self, sent: bytes, wanted: MessageId, channel: int | None) -> Message:
        deadline = time.monotonic() + self.link.timeout_s
        while time.monotonic() < deadline:
            message = self._next_message(sent)
            if message.number == wanted and channel in (None, int.from_bytes(message.data[:2], "little")):
                return message
        raise ConnectionLostError(
            f"{self.full_name} talks but does not answer; sent {sent!r}",
            hint="check that this is the device's own port; then open the instrument again",
            device=self.full_name,
            sent=sent,
        )

    def _next_message(self, sent: bytes) -> Message:
        header = self.link.read_exact(HEADER_BYTES)
        try:
            return decode(header + self.link.read_exact(data_length(header)))
        except FormatError as error:
            seen = header + self.link.drain()
            raise self.reported(error.message, sent=sent, seen=seen, hint=error.hint) from error

    def _status(self, channel: int) -> MotorStatus:
        question = Message(MessageId.MOT_REQ_USTATUSUPDATE, channel)
        return parse_status(self._ask(question, MessageId.MOT_GET_USTATUSUPDATE, channel=channel).data)

    def _get_angles(self) -> tuple[float, ...]:
        return tuple(counts_to_angle(self._status(channel).position) for channel in _CHANNELS)

    def _set_angles(self, angles_deg: Angles[float]) -> None:
        targets = [angle_to_counts(angle) for angle in angles_deg]
        with self.lock:
            self._check_enabled()
            for channel, counts in zip(_CHANNELS, targets, strict=True):
                self.link.write(encode(move_absolute(channel, counts)))
            self._wait(dict(zip(_CHANNELS, targets, strict=True)))

    def _check_enabled(self) -> None:
        question = Message(MessageId.MOD_REQ_CHANENABLESTATE, _ALL)
        answer = self._ask(question, MessageId.MOD_GET_CHANENABLESTATE)
        if answer.first != _ALL or answer.second != _ENABLED:
            raise self.reported(
                "its paddles are disabled, so it was restarted and its settings are those of power-on",
                sent=encode(question),
                seen=encode(answer),
                hint="call enable() and home(), and set the velocity anew",
            )

    def _wait(self, targets: dict[int, int]) -> None:
        """Return when every channel stands at its target in counts."""
        deadline = time.monotonic() + self.move_timeout_s
        while True:
            now = {channel: self._status(channel) for channel in targets}
            if all(
                not now[channel].is_moving and abs(now[channel].position - counts) <= _TOLERANCE_COUNTS
                for channel, counts in targets.items()
            ):
                return
            if time.monotonic() > deadline:
                raise DeviceReportedError(
                    f"{self.full_name}: paddles did not arrive within {self.move_timeout_s:g} s; wanted {targets}, "
                    f"seen { {channel: status.position for channel, status in now.items()} } counts",
                    hint="look whether a fibre holds a paddle; home() and try again",
                    device=self.full_name,
                )
            time.sleep(_POLL_S)

    def home(self) -> None:
        """Let all paddles look for their home and wait for them.

        Raises
        ------
        DeviceReportedError
            They do not arrive.
        """
        with self.lock:
            self._check_enabled()
            home = self._settings().home_counts
            for channel in _CHANNELS:
                self.link.write(encode(Message(MessageId.MOT_MOVE_HOME, channel)))
            self._wait(dict.fromkeys(_CHANNELS, home))

    def is_homed(self) -> bool:
        """Return whether all paddles know where they are."""
        return all(self._status(channel).is_homed for channel in _CHANNELS)

    def _settings(self) -> PaddleSettings:
        return parse_paddles(self._ask(Message(MessageId.POL_REQ_PARAMS), MessageId.POL_GET_PARAMS).data)

    def _set_velocity(self, percent: int) -> None:
        with self.lock:
            before = self._settings()
            wanted = PaddleSettings(percent, before.home_counts, before.jog_counts)
            sent = encode(Message(MessageId.POL_SET_PARAMS, data=pack_paddles(wanted)))
            self.link.write(sent)
            kept = self._settings()
        if kept != wanted:
            raise self.reported(f"the velocity was not taken, it keeps {kept}", sent=sent, seen=pack_paddles(kept))

    def safe_state(self) -> None:
        """Leave the paddles where they are: moving them would undo an alignment."""
