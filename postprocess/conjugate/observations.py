"""What a receiver saw of a sender's pulses, in both bases, without sifting: the floor of all applications.

The same stages as for keys (clock, slots, gate, squashing) find the detections; here each stays, whatever its basis.
A session is a fixed stretch of slots that was decided before the first pulse.

Sources: the stages' own modules.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import NotEnoughSignalsError
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Party, is_sync, setting_basis, setting_bit, setting_intensity
from faintlink.core.units import Bits, Slots
from faintlink.postprocess.kernels.detect import join_settings
from faintlink.postprocess.qkd.pulsed import PulsedReceiver, pulsed_source, squash_seed
from faintlink.postprocess.qkd.sift import SettingsCursor


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Detections of a stretch of slots, with what was sent and what was measured."""

    first_slot: int
    """Of the stretch."""
    pulses: int
    """Slots of the stretch: what was sent, detected or not."""
    slots: Slots
    """(n,) int64, strictly increasing, of the detections."""
    time_ps: npt.NDArray[np.int64]
    """(n,) int64, about when: nominal arrival on the receiver's clock from the start of the slots."""
    intensity: npt.NDArray[np.uint8]
    """(n,) uint8, index into the source's intensities."""
    sent_basis: npt.NDArray[np.uint8]
    """(n,) uint8 of `Basis`; the sender's secret."""
    sent_bit: Bits = field(repr=False)
    """(n,) uint8; the sender's secret."""
    basis: npt.NDArray[np.uint8] = field(repr=False)
    """(n,) uint8 of `Basis`, measured; the receiver's secret."""
    bit: Bits = field(repr=False)
    """(n,) uint8, measured; the receiver's secret."""

    def __len__(self) -> int:
        return int(self.slots.size)

    def where(self, keep: npt.NDArray[np.bool_]) -> "Observations":
        """Return the detections that ``keep`` (n,) bool names, of the same stretch."""
        return Observations(
            self.first_slot,
            self.pulses,
            self.slots[keep],
            self.time_ps[keep],
            self.intensity[keep],
            self.sent_basis[keep],
            self.sent_bit[keep],
            self.basis[keep],
            self.bit[keep],
        )


def observe(run: Run, link: LinkConfig, *, pulses: int, first_slot: int | None = None) -> Observations:
    """Return the detections of ``pulses`` slots from ``first_slot`` on, by default those after the preamble.

    Raises
    ------
    NotEnoughSignalsError
        The run ended before the stretch did.
    StreamError, RunfileError
        As `faintlink.postprocess.qkd.pulsed.PulsedRun`.
    """
    source = pulsed_source(link)
    first = source.preamble.slots if first_slot is None else first_slot
    end = first + pulses
    parts, reached = [], 0
    for slots, outcomes, codes in _joined(run, link):
        parts.append((slots, outcomes, codes))
        reached = int(slots[-1]) if slots.size else reached
        if reached >= end:
            break
    else:
        raise NotEnoughSignalsError(
            f"the run reaches slot {reached}, the session needs the slots {first} to {end}",
            hint="record longer; a session's length is fixed before its first pulse",
        )
    slots, outcomes, codes = (np.concatenate(column) for column in zip(*parts, strict=True))
    keep = (slots >= first) & (slots < end) & ~is_sync(codes)
    slots, outcomes, codes = slots[keep], outcomes[keep], codes[keep]
    return Observations(
        first,
        pulses,
        slots,
        np.rint(slots * source.period_ps).astype(np.int64),
        setting_intensity(codes),
        setting_basis(codes),
        setting_bit(codes),
        outcomes >> np.uint8(1),
        outcomes & np.uint8(1),
    )


def _joined(run: Run, link: LinkConfig) -> Iterator[tuple[Slots, npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Yield slots, outcomes and settings of each stretch, where the sender's record has the slot."""
    bob = run[Party.BOB]
    settings = SettingsCursor(run[Party.ALICE].settings())
    receiver = PulsedReceiver(link, squash_seed(bob))

    for stretch in receiver.counter.stretches(bob.tags()):
        detections, _ = receiver.detect(stretch)
        slots = detections.slots
        if not slots.size:
            continue
        codes, found = np.zeros(slots.size, np.uint8), np.zeros(slots.size, np.bool_)
        join_settings(slots, *settings.upto(int(slots[0]), int(slots[-1])), codes, found)
        yield slots[found], detections.outcomes[found], codes[found]
