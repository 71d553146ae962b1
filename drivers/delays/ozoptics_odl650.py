"""OZ Optics ODL-650 motor-driven fibre delay line, over a serial port.

Fills the role DelayLine. After power-on the line does not know where it is and answers ``UNKNOWN``: `home` must be
called first. Delays count from home, where the light path is shortest.

One turn of the motor is 32768 steps and moves the mirror by the pitch of its screw, 0.1 inch. Light goes there and
back, so that a turn adds 5.08 mm of path: the figure of 5.08 mm is already doubled. In vacuum that is 16.945 ps a
turn, and the range of 650 ps is 38.4 turns, which agrees with the 200 mm of path that the source allows. Air slows the
light by 0.03 percent more, which is left out.

Sources: commands, steps a turn and their meaning from an open driver of others (PnPQ), not from a manual; not tried
on a device.
"""

import re
import time
from typing import ClassVar, Self

from qcodes.parameters import Parameter
from qcodes.validators import Numbers

from faintlink.core.errors import InterlockError
from faintlink.drivers.base import Capabilities
from faintlink.drivers.dialogue import DialogueInstrument
from faintlink.drivers.transport.step import Marker

GREATEST_DELAY_PS = 650.0
STEPS_PER_TURN = 32768
PATH_PER_TURN_MM = 5.08
_LIGHT_MM_PER_PS = 0.299792458
PS_PER_STEP = PATH_PER_TURN_MM / _LIGHT_MM_PER_PS / STEPS_PER_TURN
_END = b"Done"
_HOMING_S = 60.0
_POLL_S = 0.05


def delay_ps(steps: int) -> float:
    """Return the delay in ps of a number of steps from home."""
    return steps * PS_PER_STEP


def steps_for(delay_ps: float) -> int:
    """Return the number of steps from home whose delay in ps is nearest."""
    return round(delay_ps / PS_PER_STEP)


class OZOpticsODL650(DialogueInstrument):
    """A delay line of 650 ps.

    Parameters
    ----------
    name
        Instrument name.
    address
        Serial port, or ``tcp://host:port``.
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
    marker: Marker | None = Marker.of(b"V1\r\n", rb"ODL.*?Done")
    move_s: ClassVar[float] = 60.0
    """Longest time for a move."""

    def _add_parameters(self) -> None:
        self.delay: Parameter[float, Self] = self.add_parameter(
            "delay",
            label="Delay",
            unit="ps",
            get_cmd=lambda: delay_ps(self._position()),
            set_cmd=self._move,
            vals=Numbers(0.0, GREATEST_DELAY_PS),
            snapshot_get=False,
        )
        """Delay against home, in steps of 0.5 fs; refused before homing."""
        self.is_homed: Parameter[bool, Self] = self.add_parameter(
            "is_homed", label="Homed", get_cmd=lambda: "UNKNOWN" not in self.ask_raw("S?"), set_cmd=False
        )
        """Whether the line knows where it is."""

    def _identify(self) -> None:
        self._model = self.ask_raw("V1")
        self._refuse_unless("ODL", asked="V1", answer=self._model)
        self.capabilities = Capabilities(self._model)

    def ask_raw(self, cmd: str) -> str:
        """Return what stands between a command's echo, if it is on, and ``Done``."""
        return self._ask(cmd, self.link.timeout_s)

    def _ask(self, command: str, timeout_s: float) -> str:
        request = command.encode("ascii") + b"\r\n"
        answer = self.exchange(request, lambda: self._received(timeout_s))
        try:
            text = answer.removesuffix(_END).decode("ascii")
        except UnicodeDecodeError as error:
            raise self.garbled("no text", sent=request, seen=answer) from error
        lines = [line.strip() for line in text.split("\r\n")]
        return "\n".join(line for line in lines if line and line != command)

    def _received(self, timeout_s: float) -> bytes:
        answer = self.link.read_until(_END, timeout_s=timeout_s)
        # What ends the line after Done is of no interest and must not lead the next answer.
        self.link.drain()
        return answer

    def _position(self) -> int:
        text = self.ask_raw("S?")
        if "UNKNOWN" in text:
            raise InterlockError(
                f"{self.full_name} does not know its position: it was never homed since power-on, "
                "its settings are those of power-on",
                hint="call home(); the line then runs to its shortest delay",
                device=self.full_name,
                seen=text,
            )
        match = re.search(r":\s*(-?\d+)$", text)
        if match is None:
            raise self.garbled("no position", sent="S?", seen=text)
        return int(match[1])

    def _move(self, wanted_ps: float) -> None:
        steps = steps_for(wanted_ps)
        with self.lock:
            self._position()
            self._ask(f"S{steps}", self.move_s)
            deadline = time.monotonic() + self.move_s
            while (seen := self._position()) != steps:
                if time.monotonic() > deadline:
                    raise self.reported(
                        "it did not arrive", sent=f"S{steps}", seen=str(seen), hint="it may be stuck; home it"
                    )
                time.sleep(_POLL_S)

    def home(self) -> None:
        """Run to the reference, where the delay is 0; takes up to a minute."""
        with self.lock:
            self._ask("FH", _HOMING_S)
            self._position()

    def stop(self) -> None:
        """Stop the motor."""
        self.ask_raw("G0")

    def get_idn(self) -> dict[str, str | None]:
        """Return what the line says it is."""
        return {"vendor": "OZ Optics", "model": self._model, "serial": self.ask_raw("V2"), "firmware": None}

    def safe_state(self) -> None:
        """Stop the motor where it is."""
        self.stop()
