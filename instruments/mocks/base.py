"""What all mock instruments share: the way to their bench, and parameters that are knobs of its state."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from qcodes.instrument import Instrument
from qcodes.parameters import Parameter

from faintlink.core.errors import ConfigError

if TYPE_CHECKING:
    from qcodes.instrument import InstrumentBaseKWArgs
    from qcodes.validators import Validator
    from typing_extensions import Unpack

    from faintlink.instruments.mocks.bench import MockBench
    from faintlink.instruments.mocks.engine import Engine


class MockInstrument(Instrument):
    """An instrument on the mock bench.

    Parameters
    ----------
    name
        Instrument name.
    bench
        Name of the `MockBench` on which it stands; that must be loaded first.

    Raises
    ------
    ConfigError
        There is no such bench.
    """

    def __init__(self, name: str, bench: str, **kwargs: "Unpack[InstrumentBaseKWArgs]") -> None:
        super().__init__(name, **kwargs)
        self.bench = self._find_bench(bench)
        self.engine: Engine = self.bench.engine

    def _find_bench(self, bench: str) -> "MockBench":
        try:
            found = Instrument.find_instrument(bench)
        except KeyError:
            found = None
        if not hasattr(found, "pacer"):
            self.close()
            raise ConfigError(
                f"{self.name} looks for a mock bench named {bench!r}, which is not there",
                hint="give the station an entry of type faintlink.instruments.mocks.bench.MockBench above it",
            )
        return cast("MockBench", found)

    def get_idn(self) -> dict[str, str | None]:
        """Return what it is; nothing is asked over a wire."""
        return {"vendor": "faintlink", "model": type(self).__name__, "serial": self.name, "firmware": "0"}

    @abstractmethod
    def safe_state(self) -> None:
        """Bring it into a state in which it may be left alone."""

    def _knob(
        self,
        name: str,
        *,
        read: Callable[[], Any],
        write: Callable[[Any], None] | None = None,
        unit: str,
        label: str,
        vals: "Validator[Any] | None" = None,
        is_kept_in_snapshot: bool = True,
    ) -> Parameter[Any, Any]:
        """Add a parameter that reads from and writes to the bench."""
        return self.add_parameter(
            name,
            get_cmd=read,
            set_cmd=False if write is None else write,
            unit=unit,
            label=label,
            vals=vals,
            snapshot_get=is_kept_in_snapshot,
        )
