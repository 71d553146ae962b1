"""A run's own status as a snapshot, for viewers inside the acquiring program."""

import time
from collections.abc import Callable

from faintlink.acquisition.report import RunStatus
from faintlink.acquisition.statistics.snapshot import RunFacts, Snapshot
from faintlink.core.records import DecoyCounts


def of_status(status: RunStatus, facts: RunFacts | None = None) -> Snapshot:
    """Return what a run's status says; it knows rates by channel, and neither arrivals nor intensities."""
    live = status.live
    key, test = live.qber_key, live.qber_test
    return Snapshot(
        phase="recording" if status.tags else "waiting",
        state=live.state,
        elapsed_s=status.elapsed_s,
        sifted_s=live.elapsed_s,
        tags=status.tags,
        lost=status.lost,
        counts=DecoyCounts((key.bits,), (test.bits,), (key.errors,), (test.errors,)),
        clock_ppm=live.clock_ppm,
        rates_hz={f"ch {channel}": rate for channel, rate in sorted(live.rate_hz.items())},
        made_ns=time.time_ns(),
        facts=facts,
    )


class StatusTap:
    """Hands each status on as a snapshot; for `Run.execute` as ``progress``.

    Parameters
    ----------
    emit
        Called with each snapshot, in the run's thread; it must not wait.
    facts
        Of the link, see `faintlink.acquisition.statistics.facts.facts_of`.
    """

    def __init__(self, emit: Callable[[Snapshot], None], facts: RunFacts | None = None) -> None:
        self._emit = emit
        self._facts = facts

    def __call__(self, status: RunStatus) -> None:
        """Hand a status on."""
        self._emit(of_status(status, self._facts))
