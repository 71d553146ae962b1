"""What a calibration routine is, and how one is run: measure, decide, apply, confirm, record.

A `Routine` measures over roles and decides from its scans alone; `execute` runs it and returns a record whatever
happens. Because ``decide`` sees nothing but scans and options, `replay` repeats it from a file and must arrive at
the same bits.
"""

import logging
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from faintlink.core import __version__
from faintlink.core.calibration.records import CalibrationRecord, Decision, Scan, Verdict
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ConfigError, FaintlinkError
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.calibration.session import Session

_log = logging.getLogger(__name__)


class Routine(ABC):
    """One calibration.

    ``name``, ``version``, ``roles`` (those it cannot do without), ``timeout_s`` and ``options`` (its numbers with
    their defaults) describe it.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    roles: ClassVar[tuple[str, ...]] = ()
    timeout_s: ClassVar[float] = 120.0
    options: ClassVar[Mapping[str, float]] = {}

    def link_options(self, link: LinkConfig) -> dict[str, float]:
        """Return the numbers that the decision takes from the link file."""
        del link
        return {}

    @abstractmethod
    def measure(self, session: Session) -> None:
        """Turn knobs and add scans to the session."""

    @abstractmethod
    def decide(self, scans: Mapping[str, Scan], options: Mapping[str, float]) -> Decision:
        """Return what follows from scans; the same scans give the same bits."""

    def confirm(self, session: Session, decision: Decision) -> None:
        """Measure once more with the proposal in force; by default nothing."""
        del session, decision

    def missing_roles(self, lab: Lab) -> list[str]:
        """Return the roles that it needs and the link does not bind."""
        return [role for role in self.roles if role not in lab.roles]


def execute(
    routine: Routine,
    lab: Lab,
    *,
    options: Mapping[str, float] | None = None,
    timeout_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> CalibrationRecord:
    """Run a routine and return its record.

    On failure, on an error and on Ctrl-C every knob goes back to where it was; after a pass the proposal is in
    force and every other knob is back.

    Raises
    ------
    ConfigError
        The link does not bind a role that the routine needs, or there is no such option.
    KeyboardInterrupt
        Passed on after the knobs were put back.
    """
    missing = routine.missing_roles(lab)
    if missing:
        raise ConfigError(
            f"calibration {routine.name} needs roles that link {lab.link.name} does not bind: {', '.join(missing)}",
            hint="add them under `roles` of the link file",
        )
    chosen = {"settle_s": 0.0, "blind_share": 0.03, **routine.options, **routine.link_options(lab.link)}
    unknown = sorted(set(options or {}) - set(chosen))
    if unknown:
        raise ConfigError(f"calibration {routine.name} has no option {unknown}; it has {sorted(chosen)}")
    chosen.update(options or {})
    session = Session(lab, chosen, timeout_s=timeout_s or routine.timeout_s, clock=clock)
    started_utc, started = datetime.now(UTC).isoformat(timespec="milliseconds"), clock()
    decision, verdict, reason = _attempt(routine, session)
    _log.info("calibration %s %s %s", routine.name, verdict, reason)
    return CalibrationRecord(
        record_id=uuid.uuid4().hex,
        routine=routine.name,
        routine_version=routine.version,
        link=lab.link.name,
        started_utc=started_utc,
        duration_s=clock() - started,
        software_version=__version__,
        verdict=verdict,
        reason=reason,
        options=chosen,
        scans=session.scans,
        decision=decision,
        before=session.before,
        after=session.now(),
        snapshot=lab.snapshot(),
        instruments=lab.names,
    )


def _attempt(routine: Routine, session: Session) -> tuple[Decision, Verdict, str]:
    """Measure, decide, apply and confirm; on anything but a pass put every knob back."""
    decision = Decision()
    try:
        routine.measure(session)
        decision = routine.decide(session.scans, session.options)
        if decision.is_passed:
            session.settle(decision.proposal)
            routine.confirm(session, decision)
            decision = routine.decide(session.scans, session.options)
            session.settle(decision.proposal)
    except FaintlinkError as error:
        return decision, Verdict.ERROR, "; ".join([error.message, *session.restore()])
    except Exception as error:
        _log.exception("calibration %s broke", routine.name)
        return decision, Verdict.ERROR, "; ".join([f"{type(error).__name__}: {error}", *session.restore()])
    except BaseException:
        session.restore()
        raise
    if decision.is_passed:
        return decision, Verdict.PASSED, ""
    return decision, Verdict.FAILED, "; ".join([decision.reason, *session.restore()])


def replay(routine: Routine, record: CalibrationRecord) -> CalibrationRecord:
    """Return the record with its decision made anew from its scans.

    Raises
    ------
    ConfigError
        The record was made by another routine, or by another version of this one.
    """
    if (record.routine, record.routine_version) != (routine.name, routine.version):
        raise ConfigError(
            f"the record is of {record.routine} version {record.routine_version}, "
            f"not of {routine.name} version {routine.version}",
            hint=f"replay it with faintlink {record.software_version}",
        )
    if record.verdict is Verdict.ERROR:
        return record
    decision = routine.decide(record.scans, record.options)
    verdict = Verdict.PASSED if decision.is_passed else Verdict.FAILED
    return replace(record, decision=decision, verdict=verdict)
