"""The arrival histogram of a run with its axis: where its bins lie and where the gate is.

Sources: `faintlink.postprocess.kernels.detect` (bins over one slot period) and `faintlink.postprocess.qkd.pairs`
(bins over the delays of pairs).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faintlink.core.symbols import Party

if TYPE_CHECKING:
    from faintlink.core.config.link import PairSource, PulsedSource
    from faintlink.postprocess.pipeline import Analysis

PAIR_WINDOWS = 10
"""Coincidence windows that the delay histogram of a pair link spans."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrivalHistogram:
    """Clicks by outcome over the time in the slot, or over the delay of pairs."""

    title: str
    """Of the figure."""
    x_name: str
    """What the axis shows."""
    edges_ps: npt.NDArray[np.float64]
    """(bins + 1,) float64, small times relative to the pulse, in ps."""
    counts: npt.NDArray[np.int64]
    """(4, bins) int64 by outcome."""
    gate_ps: tuple[float, float]
    """First and last time that counts, in ps."""
    gate_name: str
    """How the gate is called."""

    @property
    def bin_ps(self) -> float:
        """Width of a bin in ps."""
        return float(self.edges_ps[1] - self.edges_ps[0])


def arrival_histogram(analysis: "Analysis") -> ArrivalHistogram | None:
    """Return the histogram of the receiver that has one; Bob's, where both have."""
    seen = [statistics for party, statistics in analysis.series.arrivals.items() if party is Party.BOB]
    seen += [statistics for party, statistics in analysis.series.arrivals.items() if party is not Party.BOB]
    if not seen:
        return None
    table = next((one.histogram for one in seen if one.histogram.any()), seen[0].histogram)
    link = analysis.link
    if link.source is not None:
        gate = link.gate
        reach = (float(gate.center_ps - gate.half_width_ps), float(gate.center_ps + gate.half_width_ps))
        return _over_slot(table, link.source, reach)
    return _over_delay(table, link.pairs) if link.pairs is not None else None


def _over_slot(table: npt.NDArray[np.int64], source: "PulsedSource", gate_ps: tuple[float, float]) -> ArrivalHistogram:
    half = source.period_ps / 2
    edges = np.linspace(-half, half, table.shape[1] + 1)
    title = f"Arrival in the slot of {source.period_ps / 1000:.4g} ns"
    return ArrivalHistogram(
        title, "time after the recovered pulse", edges, table, gate_ps, f"gate of {gate_ps[1] - gate_ps[0]:.0f} ps"
    )


def _over_delay(table: npt.NDArray[np.int64], pairs: "PairSource") -> ArrivalHistogram:
    bins = table.shape[1]
    span = PAIR_WINDOWS * pairs.window_ps
    edges = -(span // 2) + np.arange(bins + 1, dtype=np.float64) * max(span // bins, 1)
    half = float(pairs.window_ps // 2)
    title = "Delay between the two receivers"
    return ArrivalHistogram(
        title, "delay of Bob after Alice", edges, table, (-half, half), f"window of {pairs.window_ps} ps"
    )
