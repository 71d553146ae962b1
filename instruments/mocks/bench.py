"""The physics bench as an instrument: what all mock instruments of one station stand on.

A station file names it once, above everything that stands on it. Its parameters are what no real knob turns: who
attacks, how good the optics is, how bench time passes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter
from qcodes.validators import Enum, Numbers

from faintlink.instruments.mocks.engine import Engine
from faintlink.instruments.mocks.receiver import Truth
from faintlink.instruments.mocks.state import Attack, Model, PairState, default_bench
from faintlink.instruments.mocks.stream import Pace, Pacer

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class MockBench(Instrument):
    """One seeded optical table.

    Parameters
    ----------
    name
        Instrument name, by which the others find it.
    model
        ``timebin-bb84-80mhz``, ``polarization-bb84``, ``polarization-bb84-active`` or ``bbm92``.
    seed
        Chooses every random stream.
    pace
        ``fast`` or ``realtime``, see `Pace`.
    chunk_ms
        Bench time that passes at each read.
    record_truth
        Keep what really happened behind each click, for `truth`.
    pulse_rate_hz
        Slots per second; the model's own by default.
    intensities
        Nominal mean photon numbers leaving the sender, brightest first.
    peak_separation_ps
        Path difference of the unbalanced interferometers.
    pair_state
        ``phi+`` or ``psi-``.
    """

    def __init__(
        self,
        name: str,
        *,
        model: str = "timebin-bb84-80mhz",
        seed: int = 1,
        pace: str = "fast",
        chunk_ms: float = 10.0,
        record_truth: bool = False,
        pulse_rate_hz: float | None = None,
        intensities: Sequence[float] = (0.5, 0.15),
        peak_separation_ps: int = 2500,
        pair_state: str = "phi+",
        **kwargs: "Unpack[InstrumentBaseKWArgs]",
    ) -> None:
        super().__init__(name, **kwargs)
        self.engine = Engine(
            default_bench(Model(model), pulse_rate_hz=pulse_rate_hz), seed=seed, record_truth=record_truth
        )
        self.engine.update(peak_separation_ps=int(peak_separation_ps))
        self.engine.update("source", intensities=tuple(float(mu) for mu in intensities))
        self.engine.update("pairs", state=PairState(pair_state))
        self.pacer = Pacer(self.engine, pace=Pace(pace), chunk_s=chunk_ms * 1e-3)
        self.attenuations: dict[tuple[str, str], float] = {}
        """Attenuation in dB of each attenuator on the table, by (place, name)."""
        self._add_parameters()

    def _add_parameters(self) -> None:
        engine = self.engine
        self.attack: Parameter[str, Self] = self.add_parameter(
            "attack",
            label="Attack",
            unit="",
            get_cmd=lambda: str(engine.state.attack),
            set_cmd=lambda kind: engine.update(attack=Attack(kind)),
            vals=Enum(*(str(kind) for kind in Attack)),
        )
        """What Eve does: none, scramble or intercept-resend."""
        self.attack_fraction: Parameter[float, Self] = self.add_parameter(
            "attack_fraction",
            label="Attacked share",
            unit="",
            get_cmd=lambda: engine.state.attack_fraction,
            set_cmd=lambda share: engine.update(attack_fraction=share),
            vals=Numbers(0.0, 1.0),
        )
        """Share of the pulses that Eve touches."""
        self.visibility: Parameter[float, Self] = self.add_parameter(
            "visibility",
            label="Visibility",
            unit="",
            get_cmd=lambda: engine.state.link.visibility,
            set_cmd=lambda value: engine.update("link", visibility=value),
            vals=Numbers(0.0, 1.0),
        )
        """Interference visibility, polarization contrast, or visibility of the pairs."""
        self.receiver_loss: Parameter[float, Self] = self.add_parameter(
            "receiver_loss",
            label="Loss of the receivers' optics",
            unit="dB",
            get_cmd=lambda: engine.state.receivers["bob"].loss_db,
            set_cmd=lambda loss: self._update_receivers(loss_db=loss),
            vals=Numbers(0.0, 60.0),
        )
        """Loss of the optics in front of the detectors, the same for each receiver."""
        self.receiver_basis_probability_z: Parameter[float, Self] = self.add_parameter(
            "receiver_basis_probability_z",
            label="Receivers' share of basis Z",
            unit="",
            get_cmd=lambda: engine.state.receivers["bob"].basis_probability_z,
            set_cmd=lambda share: self._update_receivers(basis_probability_z=share),
            vals=Numbers(0.0, 1.0),
        )
        """How often a receiver measures in Z: played by its modulator, or split passively."""
        self.bench_time: Parameter[float, Self] = self.add_parameter(
            "bench_time", label="Bench time", unit="s", get_cmd=lambda: engine.now_ps * 1e-12, set_cmd=False
        )
        """Time that has passed on the table."""

    def _update_receivers(self, **changes: Any) -> None:
        for receiver in self.engine.receivers:
            self.engine.update_receiver(receiver, **changes)

    def set_attenuation(self, place: str, name: str, attenuation_db: float) -> None:
        """Note what one attenuator does; all at one place add up."""
        self.attenuations[place, name] = attenuation_db
        total_db = sum(value for (where, _), value in self.attenuations.items() if where == place)
        if place == "sender":
            self.engine.update("source", attenuation_db=total_db)
        else:
            self.engine.update("link", line_attenuation_db=total_db)

    def advance(self, duration_s: float) -> None:
        """Let bench time pass at once; streams that are not read meanwhile may overflow."""
        self.engine.advance(duration_s)

    def lapse(self, duration_s: float) -> None:
        """Let bench time pass, hours in a moment where no stream records it: then no photon is played."""
        self.pacer.lapse(duration_s)

    def truth(self, receiver: str = "bob") -> Truth:
        """Return and forget what really happened behind the clicks streamed since the last call."""
        return self.engine.take_truth(receiver)

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; nothing is asked over a wire."""
        model = str(self.engine.state.model)
        return {"vendor": "faintlink", "model": "MockBench", "serial": model, "firmware": "0"}

    def safe_state(self) -> None:
        """Do nothing: a table is safe by itself."""
