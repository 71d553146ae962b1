"""The common form in which every link hands sifted bits on: one piece per interval, whatever the protocol."""

from dataclasses import dataclass

from faintlink.core.symbols import Party
from faintlink.postprocess.qkd.detection import ArrivalStatistics
from faintlink.postprocess.qkd.sift import SiftCount, SiftedBits


@dataclass(frozen=True, slots=True, eq=False)
class SiftedPiece:
    """Sifted bits of one interval with the statistics of the receivers."""

    bits: SiftedBits
    """In order of position."""
    start: int
    """Position at which the interval starts."""
    reached: int
    """Position up to which the stream is complete after this piece."""
    time_ps: int
    """Receiver's time at which the interval starts."""
    arrivals: dict[Party, ArrivalStatistics]
    """Clicks of each receiver in this interval."""
    count: SiftCount
    """What became of the detections."""
