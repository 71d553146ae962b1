"""Bring up the link of a file: its station, its journal and its records put together.

Used by ``faintlink up`` and by unattended running, which keeps the station open afterwards.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faintlink.acquisition.bringup.conductor import Conductor, Plan, Watcher
from faintlink.acquisition.bringup.journal import Journal
from faintlink.acquisition.bringup.standing import shelf_of
from faintlink.acquisition.bringup.states import State
from faintlink.acquisition.calibration.bring_up import keeper
from faintlink.acquisition.launch import terminate_as_interrupt
from faintlink.acquisition.preflight import Station
from faintlink.core.errors import ConfigError, ConnectionLostError, HardwareError


@dataclass(frozen=True, slots=True, eq=False)
class BroughtUp:
    """A link that was brought up, as long as its station is open."""

    station: Station
    state: State
    reason: str
    """Why it is not ready."""
    settings: dict[str, Any]
    """What the records that hold have set, by ``instrument.parameter``."""


def does_not_answer(error: ConfigError) -> bool:
    """Return whether a station could not be opened because of an instrument, and not because of its file."""
    cause = error.__cause__
    return isinstance(cause, OSError | HardwareError) or type(cause).__name__ == "VisaIOError"


@contextmanager
def opened_station(path: Path) -> Iterator[Station]:
    """Open a station file, and close it in the end.

    Raises
    ------
    ConfigError
        The file is wrong.
    ConnectionLostError
        An instrument does not answer: trying again may help.
    """
    from faintlink.instruments.station import open_station

    try:
        opened = open_station(path)
    except ConfigError as error:
        if does_not_answer(error):
            raise ConnectionLostError(error.message, hint=error.hint, **error.fields) from error.__cause__
        raise
    with opened as station:
        yield station


@contextmanager
def brought_up(
    link_file: Path,
    plan: Plan,
    folder: Path,
    *,
    watcher: Watcher | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[BroughtUp]:
    """Bring a link up and keep its station open meanwhile.

    Parameters
    ----------
    link_file
        Its station file lies beside it.
    plan
        What to do.
    folder
        Of records and journal.
    watcher
        Hears of every event.
    clock
        Seconds that pass; called often while a routine works.

    Raises
    ------
    FaintlinkError
        The link file names no station, another bring-up is under way, or the instruments cannot be opened.
    """
    if not plan.link.station:
        raise ConfigError(f"{link_file} names no station", hint="add `station: FILE.station.yaml`")
    journal = Journal(folder)
    keep, _ = keeper(folder)
    with journal.locked(), ExitStack() as stack:
        opened: list[Station] = []

        def open_it() -> Station:
            opened.append(stack.enter_context(opened_station(link_file.parent / plan.link.station)))
            return opened[0]

        stack.enter_context(terminate_as_interrupt())
        held = shelf_of(folder, plan.link).held
        conductor = Conductor(
            plan, held, open_station=open_it, journal=journal, keep=keep, watcher=watcher, clock=clock
        )
        state = conductor.run()
        yield BroughtUp(opened[0], state, conductor.machine.reason, conductor.machine.settings())
