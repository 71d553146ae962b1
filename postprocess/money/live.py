"""The live analysis of a card: it has the sender's settings of every slot recorded, detected or not.

A card is made of what was sent; the live analysis of keys asks for slots with a click only. Used by the command that
records a card.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import LinkConfig
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.core.units import Slots
from faintlink.postprocess.qkd.live import LiveSummary, OnPiece, PulsedLive
from faintlink.postprocess.qkd.pulsed import pulsed_source


class CardLive:
    """Counts what the live analysis of keys counts, and asks for more.

    Parameters
    ----------
    link
        Its configuration.
    squash_seed
        The receiver's secret of this run.
    pulses
        Of the card, from the end of the preamble.
    on_piece
        As for `PulsedLive`.
    """

    def __init__(self, link: LinkConfig, squash_seed: bytes, *, pulses: int, on_piece: OnPiece | None = None) -> None:
        self._inner = PulsedLive(link, squash_seed, on_piece=on_piece)
        self._next = pulsed_source(link).preamble.slots
        self._end = self._next + pulses

    def feed(self, party: Party, block: TagBlock) -> Slots:
        """Take Bob's next block and return the slots to ask the sender for, strictly increasing over all calls."""
        return self._filled(self._inner.feed(party, block))

    def finish(self) -> Slots:
        """Return the slots that still have to be asked for at the end of the stream."""
        return self._filled(self._inner.finish())

    def account(self, slots: Slots, codes: npt.NDArray[np.uint8]) -> None:
        """Take the sender's settings of the slots returned last and count errors."""
        self._inner.account(slots, codes)

    def summary(self) -> LiveSummary:
        """Return the figures of this moment."""
        return self._inner.summary()

    def _filled(self, wanted: Slots) -> Slots:
        """Return ``wanted`` and all of the card's slots before its last one that were not asked for yet."""
        if not wanted.size:
            return wanted
        first = self._next
        stop = self._next = max(first, min(int(wanted[-1]) + 1, self._end))
        inside = np.arange(first, stop, dtype=np.int64)
        return np.concatenate((wanted[wanted < first], inside, wanted[wanted >= stop]))
