"""The sender's clock against the receiver's over a run, for its Allan deviation.

It reads the tags once more and follows the clock exactly as the pipeline does; nothing else is done with them.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ClockLostError
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party
from faintlink.core.units import PS_PER_S
from faintlink.postprocess.qkd.clock import SlottedTags
from faintlink.postprocess.qkd.pulsed import pulsed_source
from faintlink.postprocess.qkd.slots import SlotCounter


def clock_phase(run: Run, link: LinkConfig) -> tuple[npt.NDArray[np.float64], float]:
    """Return how far the sender's clock is behind its nominal rate, and the interval of the values in seconds.

    Parameters
    ----------
    run, link
        Of a pulsed link.

    Returns
    -------
    phase_s
        (n,) float64 in seconds, one an interval of the clock recovery; nan where the clock was not measured.

    Raises
    ------
    ConfigError
        The link has no pulsed source.
    StreamError
        No clock was found.
    """
    source = pulsed_source(link)
    counter = SlotCounter(source, link.clock)
    found: list[SlottedTags] = []
    try:
        found.extend(_bare(tags) for tags in counter.stretches(run[Party.BOB].tags()))
    except ClockLostError:
        # As in the pipeline: what was measured before counts.
        if not found:
            raise
    measured = [tags for tags in found if tags.slots.size and not tags.is_coasted]
    width = link.clock.interval_ms * 1e-3 * source.pulse_rate_hz
    return _on_grid(measured, source.period_ps, width), link.clock.interval_ms * 1e-3


def _bare(tags: SlottedTags) -> SlottedTags:
    """Return an interval without its tags, but for the first and the last slot: a run may hold billions."""
    ends = tags.slots[[0, -1]] if tags.slots.size else tags.slots
    empty = tags.times_ps[:0]
    return SlottedTags(empty, tags.channels[:0], ends.copy(), tags.phases_ps[:0], tags.model, tags.is_coasted)


def _on_grid(measured: list[SlottedTags], period_ps: float, width: float) -> npt.NDArray[np.float64]:
    if not measured:
        return np.zeros(0)
    first, origin = int(measured[0].slots[0]), measured[0].model
    middles = [(int(tags.slots[0]) + int(tags.slots[-1])) // 2 for tags in measured]
    numbers = [int((middle - first) // width) for middle in middles]
    phase = np.full(numbers[-1] + 1, np.nan)
    for number, tags in zip(numbers, measured, strict=True):
        model = tags.model
        slot = first + round((number + 0.5) * width)
        # Integers first: the difference of two times is small only after the nominal time is taken off.
        moved = (model.t0_ps - origin.t0_ps) - (model.slot0 - origin.slot0) * period_ps
        phase[number] = (moved + (slot - model.slot0) * (model.period_ps - period_ps)) / PS_PER_S
    return phase
