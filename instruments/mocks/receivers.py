"""Mock instruments at a receiver: single-photon detectors and the time tagger."""

from typing import TYPE_CHECKING, Any, Self

from qcodes.parameters import Parameter
from qcodes.validators import Bool, Ints, Numbers

from faintlink.core.errors import ConfigError
from faintlink.core.units import PS_PER_S
from faintlink.instruments.mocks.base import MockInstrument
from faintlink.instruments.mocks.stream import MockTagStream

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


def _known_receiver(instrument: MockInstrument, receiver: str) -> str:
    known = sorted(instrument.engine.receivers)
    if receiver not in known:
        instrument.close()
        raise ConfigError(f"{instrument.name}: this bench has the receivers {known}, not {receiver!r}")
    return receiver


class MockDetector(MockInstrument):
    """One single-photon detector.

    Parameters
    ----------
    receiver
        ``bob``, or ``alice`` in the bbm92 model.
    index
        Which detector of the receiver: the bit (two detectors) or bit + 2 basis (four).
    """

    def __init__(
        self,
        name: str,
        bench: str,
        *,
        receiver: str = "bob",
        index: int = 0,
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, bench, **kwargs)
        self._receiver = _known_receiver(self, receiver)
        count = len(self.engine.state.receivers[receiver].detectors)
        if not 0 <= index < count:
            self.close()
            raise ConfigError(f"{name}: {receiver} has detectors 0..{count - 1}, not {index}")
        self._index = index
        self._add_settings()
        self.counting_time: Parameter[float, Self] = self.add_parameter(
            "counting_time",
            label="Counting time",
            unit="s",
            get_cmd=None,
            set_cmd=None,
            initial_value=0.1,
            vals=Numbers(1e-6, 100.0),
        )
        """Bench time over which ``count_rate`` counts."""
        self.count_rate: Parameter[float, Self] = self._knob(
            "count_rate", read=self._count, unit="Hz", label="Count rate", is_kept_in_snapshot=False
        )
        """Clicks per second over the next ``counting_time``; reading it lets bench time pass."""

    def _add_settings(self) -> None:
        self.enabled: Parameter[bool, Self] = self._setting("enabled", "enabled", "", "Bias", Bool())
        """Whether its bias is on."""
        self.efficiency: Parameter[float, Self] = self._setting(
            "efficiency", "efficiency", "", "Detection efficiency", Numbers(0.0, 1.0)
        )
        """Chance that an arriving photon makes a click."""
        self.dark_count_rate: Parameter[float, Self] = self._setting(
            "dark_count_rate", "dark_rate_hz", "Hz", "Dark count rate", Numbers(0.0, 1e7)
        )
        """Clicks per second without light, before dead time and afterpulses."""
        self.dead_time: Parameter[float, Self] = self._time("dead_time", "dead_time_ps", "Dead time", is_whole=True)
        """Time after a click in which it is blind; photons meanwhile do not prolong it."""
        self.jitter: Parameter[float, Self] = self._time("jitter", "jitter_ps", "Timing jitter (one sigma)")
        """Standard deviation of the output's timing."""
        self.delay: Parameter[float, Self] = self._time("delay", "delay_ps", "Output delay", is_whole=True)
        """Skew of its output against the other detectors."""
        self.afterpulse_probability: Parameter[float, Self] = self._knob(
            "afterpulse_probability",
            read=lambda: sum(self._state().afterpulse_probability),
            write=lambda chance: self._update(afterpulse_probability=(float(chance),)),
            unit="",
            label="Afterpulse probability",
            vals=Numbers(0.0, 0.5),
        )
        """Chance that a click is followed by an afterpulse once the dead time is over."""
        self.afterpulse_time: Parameter[float, Self] = self._knob(
            "afterpulse_time",
            read=lambda: self._state().afterpulse_time_ps[0] / PS_PER_S,
            write=lambda seconds: self._update(afterpulse_time_ps=(seconds * PS_PER_S,)),
            unit="s",
            label="Afterpulse time constant",
            vals=Numbers(1e-9, 1e-3),
        )
        """Mean time of the afterpulse after the end of the dead time."""

    def _state(self) -> Any:
        return self.engine.state.receivers[self._receiver].detectors[self._index]

    def _update(self, **changes: Any) -> None:
        self.engine.update_detector(self._receiver, self._index, **changes)

    def _setting(self, name: str, field: str, unit: str, label: str, vals: Any) -> Parameter[Any, Any]:
        return self._knob(
            name,
            read=lambda: getattr(self._state(), field),
            write=lambda value: self._update(**{field: value}),
            unit=unit,
            label=label,
            vals=vals,
        )

    def _time(self, name: str, field: str, label: str, *, is_whole: bool = False) -> Parameter[Any, Any]:
        def write(seconds: float) -> None:
            value = seconds * PS_PER_S
            self._update(**{field: round(value) if is_whole else value})

        return self._knob(
            name,
            read=lambda: getattr(self._state(), field) / PS_PER_S,
            write=write,
            unit="s",
            label=label,
            vals=Numbers(0.0, 1e-3),
        )

    def _count(self) -> float:
        seconds = float(self.counting_time())
        before, start_ps = self.engine.clicks(self._receiver, self._index), self.engine.now_ps
        self.bench.pacer.wait(seconds)
        passed_s = (self.engine.now_ps - start_ps) / PS_PER_S
        return (self.engine.clicks(self._receiver, self._index) - before) / passed_s

    def safe_state(self) -> None:
        """Take its bias off."""
        self.enabled(False)


class MockTimeTagger(MockInstrument):
    """The time tagger of one receiver. Channel 1 + bit + 2 basis, whatever detector stands behind it.

    Parameters
    ----------
    receiver
        ``bob``, or ``alice`` in the bbm92 model.
    """

    def __init__(
        self, name: str, bench: str, *, receiver: str = "bob", **kwargs: "Unpack[InstrumentBaseKWArgs]"
    ) -> None:
        super().__init__(name, bench, **kwargs)
        self._receiver = _known_receiver(self, receiver)
        self._streams: list[MockTagStream] = []
        self.resolution: Parameter[float, Self] = self._clock(
            "resolution", "resolution_ps", "s", "Resolution", Numbers(1e-12, 1e-6), scale=1e-12, is_whole=True
        )
        """Least step of the time stamps."""
        self.clock_offset: Parameter[float, Self] = self._clock(
            "clock_offset", "offset_ps", "s", "Clock offset", Numbers(-1e5, 1e5), scale=1e-12, is_whole=True
        )
        """What its clock shows at bench time zero."""
        self.clock_error: Parameter[float, Self] = self._clock(
            "clock_error", "ppm", "ppm", "Clock frequency error", Numbers(-1000.0, 1000.0)
        )
        """How much too fast its clock runs."""
        self.clock_drift: Parameter[float, Self] = self._clock(
            "clock_drift", "drift_ppb_per_s", "ppb/s", "Clock drift", Numbers(-1000.0, 1000.0)
        )
        """How fast the frequency error grows."""
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

    def _clock(
        self,
        name: str,
        field: str,
        unit: str,
        label: str,
        vals: Any,
        *,
        scale: float = 1.0,
        is_whole: bool = False,
    ) -> Parameter[Any, Any]:
        def read() -> float:
            return float(getattr(self.engine.state.receivers[self._receiver].clock, field) * scale)

        def write(value: float) -> None:
            self.engine.update_clock(self._receiver, **{field: round(value / scale) if is_whole else value})

        return self._knob(name, read=read, write=write, unit=unit, label=label, vals=vals)

    def stream(self) -> MockTagStream:
        """Return a stream of this receiver's tags, not yet started."""
        stream = MockTagStream(self.bench.pacer, self._receiver, room=int(self.fifo_tags()))
        self._streams.append(stream)
        return stream

    def safe_state(self) -> None:
        """Stop every stream."""
        for stream in self._streams:
            stream.stop()
        self._streams.clear()
