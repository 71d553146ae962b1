"""Mock instruments of a Qline with a computing server: table, clients' cards, the server's box and its tagger.

A station file names the `MockQline` first; everything else stands on it.
"""

import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from qcodes.instrument import Instrument
from qcodes.parameters import Parameter
from qcodes.validators import Enum, Ints, Numbers, Validator

from faintlink.core.errors import ConfigError, LocalProtocolError
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, TimesPs
from faintlink.instruments.mocks.qline_engine import QlineEngine, QlineTiming, ServerAttack
from faintlink.instruments.mocks.stream import TagQueue

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack

_SHARE = Numbers(0.0, 1.0)
_POLL_S = 0.001


class MockQline(Instrument):
    """The table: source, line, and everything that no real knob turns.

    Parameters
    ----------
    seed
        Chooses every random number.
    slot_us, turnaround_us
        Time of one qubit, and the clients' time to work out the next angles, in microseconds.
    """

    def __init__(
        self,
        name: str,
        *,
        seed: int = 1,
        slot_us: float = 1.0,
        turnaround_us: float = 50.0,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        timing = QlineTiming(slot_ps=round(slot_us * 1e6), turnaround_ps=round(turnaround_us * 1e6))
        self.engine = QlineEngine(seed=seed, timing=timing)
        self.visibility: Parameter[float, Self] = self._knob("visibility", "visibility", "", "Visibility", _SHARE)
        """Of the qubits' coherence: a phase flip happens with (1 - visibility)/2."""
        self.bit_flip: Parameter[float, Self] = self._knob("bit_flip", "bit_flip", "", "Bit flip", _SHARE)
        """Probability of a bit flip of a qubit before it is entangled."""
        self.readout_error: Parameter[float, Self] = self._knob(
            "readout_error", "readout_error", "", "Readout error", _SHARE
        )
        """Probability that an outcome is the wrong one."""
        self.arrival: Parameter[float, Self] = self._knob("arrival", "arrival", "", "Arrival", _SHARE)
        """Probability that a qubit arrives and is heralded."""
        self.efficiency: Parameter[float, Self] = self._knob("efficiency", "efficiency", "", "Efficiency", _SHARE)
        """Probability that an arrived qubit gives a click."""
        self.dark_count_rate: Parameter[float, Self] = self._knob(
            "dark_count_rate", "dark_rate_hz", "Hz", "Dark count rate", Numbers(0.0, 1e6)
        )
        """Of each detector."""
        self.attack: Parameter[str, Self] = self.add_parameter(
            "attack",
            label="Attack",
            unit="",
            get_cmd=lambda: str(self.engine.state.attack),
            set_cmd=lambda kind: self.engine.update(attack=ServerAttack(kind)),
            vals=Enum(*(str(kind) for kind in ServerAttack)),
        )
        """What the server does: none, flip, replace or selective."""
        self.attack_share: Parameter[float, Self] = self._knob(
            "attack_share", "attack_share", "", "Attacked share", _SHARE
        )
        """Share of the attempts that it attacks."""
        self.attack_vertex: Parameter[int, Self] = self._knob(
            "attack_vertex", "attack_vertex", "", "Attacked vertex", Ints(-1, 9)
        )
        """Whose outcome it flips; -1 for the last one measured."""

    def _knob(self, name: str, field: str, unit: str, label: str, vals: Validator[Any]) -> Parameter[Any, Any]:
        return self.add_parameter(
            name,
            label=label,
            unit=unit,
            get_cmd=lambda: getattr(self.engine.state, field),
            set_cmd=lambda value: self.engine.update(**{field: value}),
            vals=vals,
        )

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; nothing is asked over a wire."""
        return {"vendor": "faintlink", "model": "MockQline", "serial": self.name, "firmware": "0"}

    def safe_state(self) -> None:
        """Do nothing: a table is safe by itself."""


class _OnQline(Instrument):
    """An instrument on the table named ``bench``."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, **kwargs)
        found = Instrument.find_instrument(bench) if Instrument.exist(bench) else None
        if not isinstance(found, MockQline):
            self.close()
            raise ConfigError(
                f"{name} looks for a Qline named {bench!r}, which is not there",
                hint="give the station an entry of type faintlink.instruments.mocks.qline_bench.MockQline above it",
            )
        self.engine = found.engine

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; nothing is asked over a wire."""
        return {"vendor": "faintlink", "model": type(self).__name__, "serial": self.name, "firmware": "0"}


class MockQlineCard(_OnQline):
    """A client's card: drives the modulator that rotates the passing qubits, and stamps what it sends."""

    def load(self, settings: npt.NDArray[np.uint8]) -> None:
        """Set the modulator for the next batch, (a, n) uint8: angles in steps of pi/4, or 8 and 9 for dummies."""
        self.engine.load(self.name, settings)

    def transmit(self, count: int) -> TimesPs:
        """Send off the next ``count`` settings or angles; return when each leaves, (count,) int64 ps."""
        return self.engine.transmit(count)

    def safe_state(self) -> None:
        """Do nothing: the modulator holds no voltage that could harm."""


class MockQlineComputer(_OnQline):
    """The server's box: takes qubits in, entangles and measures them."""

    def entangle_by(self, edges: list[tuple[int, int]], order: tuple[int, ...]) -> None:
        """Set the graph and the order of measurement."""
        self.engine.entangle_by(edges, order)

    def prepare(self) -> TagBlock:
        """Take in a batch of qubits and entangle them; return the tags of its slots."""
        return self.engine.prepare()

    def measure(self, vertex: int, angles: npt.NDArray[np.uint8]) -> TagBlock:
        """Measure one vertex of each attempt at angles (a,) uint8; return the tags of its slots."""
        return self.engine.measure(vertex, angles)

    def safe_state(self) -> None:
        """Do nothing: it holds nothing that could harm."""


class MockQlineTagger(_OnQline):
    """The server's time tagger. Channels: 1 triggers, 2 heralds, 3 and 4 outcomes."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        self._streams: list[QlineTagStream] = []
        self.resolution: Parameter[float, Self] = self.add_parameter(
            "resolution", label="Resolution", unit="s", get_cmd=lambda: 1e-12, set_cmd=False
        )
        """Least step of the time stamps."""
        self.clock_offset: Parameter[float, Self] = self.add_parameter(
            "clock_offset",
            label="Clock offset",
            unit="s",
            get_cmd=lambda: self.engine.state.clock_offset_ps / PS_PER_S,
            set_cmd=lambda seconds: self.engine.update(clock_offset_ps=round(seconds * PS_PER_S)),
            vals=Numbers(-1e5, 1e5),
        )
        """How far its clock is ahead of the clients'."""
        self.fifo_tags: Parameter[int, Self] = self.add_parameter(
            "fifo_tags",
            label="Memory",
            unit="",
            get_cmd=None,
            set_cmd=None,
            initial_value=4_000_000,
            vals=Ints(1, 1 << 30),
        )
        """Tags that fit into its memory between two reads; taken over by streams made afterwards."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels that it has."""
        return 1, 2, 3, 4

    def stream(self) -> "QlineTagStream":
        """Return a stream of the server's tags, not yet started."""
        stream = QlineTagStream(self.engine, room=int(self.fifo_tags()))
        self._streams.append(stream)
        return stream

    def safe_state(self) -> None:
        """Stop every stream."""
        for stream in self._streams:
            stream.stop()
        self._streams.clear()


class QlineTagStream:
    """A stream of the server's tags; fills the role `TagStream`. Bench time passes with the session only."""

    def __init__(self, engine: QlineEngine, *, room: int) -> None:
        self._engine = engine
        self._queue = TagQueue("bob", room=room)
        self._is_running = False

    def start(self) -> None:
        """Begin to record.

        Raises
        ------
        LocalProtocolError
            The stream runs already.
        """
        if self._is_running:
            raise LocalProtocolError("the stream runs already", hint="take a second stream from the tagger")
        with self._engine.lock:
            self._engine.listeners.append(self._queue.push)
        self._is_running = True

    def read(self, timeout_s: float) -> TagBlock:
        """Return what came since the last call, waiting at most ``timeout_s`` for the first tag."""
        deadline = time.monotonic() + timeout_s
        while self._is_running and not self._queue.size and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return self._queue.take()

    def stop(self) -> None:
        """End recording; what is buffered can still be read. Stopping twice is harmless."""
        if self._is_running:
            with self._engine.lock:
                self._engine.listeners.remove(self._queue.push)
            self._is_running = False
