"""Snapshots of an even run, for tests of the live view."""

from typing import Any

from faintlink.acquisition.statistics.snapshot import Snapshot
from faintlink.core.records import DecoyCounts


def moment(at_s: float, *, rate_hz: int = 1000, errors: int = 20, **changes: Any) -> Snapshot:
    """Return the totals of a run with constant rate, 1000 bits a second in either basis, after ``at_s`` seconds."""
    bits, wrong = round(1000 * at_s), round(errors * at_s)
    tags = round(rate_hz * at_s)
    usual: dict[str, Any] = {
        "phase": "recording",
        "state": "locked",
        "elapsed_s": at_s,
        "sifted_s": at_s,
        "tags": tags,
        "clicks": {"Z0": tags, "Z1": 2 * tags},
        "spans_s": {"Z0": at_s, "Z1": at_s},
        "counts": DecoyCounts((bits,), (bits,), (wrong,), (wrong,)),
        "clock_ppm": 2.0,
    }
    return Snapshot(**{**usual, **changes})
