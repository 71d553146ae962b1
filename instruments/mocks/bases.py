"""The mock memory behind the receiver's basis modulator: plays bases that a protocol prescribes, slot by slot."""

from typing import TYPE_CHECKING, Self

from qcodes.parameters import Parameter
from qcodes.validators import Ints, Strings

from faintlink.core.basis_pattern import SEED_BYTES
from faintlink.core.errors import UnsupportedFeatureError
from faintlink.instruments.mocks.base import MockInstrument

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from typing_extensions import Unpack


class MockBasisMemory(MockInstrument):
    """Drives Bob's modulator by `faintlink.core.basis_pattern` in step with the sender's slots."""

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, bench, **kwargs)
        if not self.engine.state.chooses_actively:
            self.close()
            raise UnsupportedFeatureError(
                "a receiver with a passive choice of basis plays no pattern",
                hint="use a bench of model timebin-bb84-80mhz or polarization-bb84-active",
            )
        engine = self.engine
        self.seed: Parameter[str, Self] = self.add_parameter(
            "seed",
            get_cmd=self._seed_text,
            set_cmd=self._set_seed,
            unit="",
            label="Seed of the bases",
            vals=Strings(0, 2 * SEED_BYTES),
            snapshot_value=False,
        )
        """Seed in hexadecimal digits; empty for random bases. A secret: it is kept out of snapshots."""
        self.slots: Parameter[int, Self] = self._knob(
            "slots",
            read=lambda: engine.state.receivers["bob"].basis_slots,
            write=lambda slots: engine.update_receiver("bob", basis_slots=int(slots)),
            unit="",
            label="Slots",
            vals=Ints(0, 2**33),
        )
        """Slots from the sender's slot 0 on for which bases are prescribed; random ones follow."""
        self.hold: Parameter[int, Self] = self._knob(
            "hold",
            read=lambda: engine.state.receivers["bob"].basis_hold,
            write=lambda slots: engine.update_receiver("bob", basis_hold=int(slots)),
            unit="",
            label="Slots of each basis",
            vals=Ints(1, 2**20),
        )
        """Slots that each prescribed basis lasts; 2 where pairs of pulses are measured in one basis."""

    def _seed_text(self) -> str:
        return self.engine.state.receivers["bob"].basis_seed.hex()

    def _set_seed(self, text: str) -> None:
        seed = bytes.fromhex(text)
        if len(seed) not in (0, SEED_BYTES):
            raise ValueError(f"a seed has {SEED_BYTES} bytes, got {len(seed)}")
        self.engine.update_receiver("bob", basis_seed=seed)

    def safe_state(self) -> None:
        """Do nothing: it only says which basis comes next."""
