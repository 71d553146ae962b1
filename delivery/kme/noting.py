"""Note what an operator's command does to a site: in its audit log, or through the site where it runs.

One process owns the log. A command takes it while the site is stopped; a running site is asked over its socket for
operators, and notes the fact itself. Either way the fact is durable before the command goes on.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.durable import fsync
from faintlink.core.errors import AuditError
from faintlink.delivery.audit.files import LOCK, lock
from faintlink.delivery.audit.log import AuditLog
from faintlink.delivery.audit.signing import AuditKey
from faintlink.delivery.audit.site import ANCHORS_FILE, KEY_FILE, LOG_FOLDER
from faintlink.delivery.kme.asking import post
from faintlink.delivery.kme.config import KmeConfig
from faintlink.delivery.witness import Fact, Witness

_PRIVATE = 0o700


@contextmanager
def opened_audit(folder: Path, config: KmeConfig) -> Iterator[AuditLog]:
    """Open the site's audit log, made with its key where neither is there yet."""
    place = folder / config.audit
    place.mkdir(exist_ok=True, mode=_PRIVATE)
    path, records = place / KEY_FILE, place / LOG_FOLDER
    key = AuditKey.open(path) if path.exists() or records.exists() else AuditKey.create(path)
    log = AuditLog(records, key, anchors=_anchors(folder, config), site=config.site)
    try:
        yield log
    finally:
        log.close()


def _anchors(folder: Path, config: KmeConfig) -> Path:
    """Return the file of anchors; it follows where the configuration names another place after the log was begun."""
    home = folder / config.audit
    beside = home / ANCHORS_FILE
    place = folder / config.anchors if config.anchors else beside
    if place != beside and beside.exists() and not place.exists():
        # Whoever has the log open writes to the file where it is.
        handle = lock(home / LOG_FOLDER / LOCK)
        try:
            _move(beside, place)
        finally:
            os.close(handle)
    return place


def _move(source: Path, target: Path) -> None:
    # Under its name only when it is whole, and gone from the old place only then.
    fresh = target.with_name(f"{target.name}.new")
    shutil.copy(source, fresh)
    fsync(fresh)
    fresh.replace(target)
    fsync(target.parent)
    source.unlink()


@contextmanager
def stopped(folder: Path, config: KmeConfig) -> Iterator[AuditLog]:
    """Give the audit log of a site that does not run, which it cannot be started without meanwhile.

    Raises
    ------
    AuditError
        It runs, or the log cannot be opened.
    """
    with ExitStack() as stack:
        try:
            log = stack.enter_context(opened_audit(folder, config))
        except AuditError as error:
            if not error.fields.get("is_held"):
                raise
            raise AuditError(
                f"the site {config.site} in {folder} runs: {error.message}",
                hint=f"stop it first, under systemd: systemctl stop faintlink-kme@{config.site}",
                is_held=True,
            ) from None
        yield log


@contextmanager
def unless_running(folder: Path, config: KmeConfig) -> Iterator[AuditLog | None]:
    """Give what `stopped` gives, or None where the site runs and has to be asked.

    Raises
    ------
    AuditError
        The log cannot be opened.
    """
    with ExitStack() as stack:
        log: AuditLog | None = None
        try:
            log = stack.enter_context(stopped(folder, config))
        except AuditError as error:
            if not error.fields.get("is_held"):
                raise
        yield log


@contextmanager
def noting(folder: Path, config: KmeConfig) -> Iterator[Witness]:
    """Give a witness for what is done to the site in ``folder``, whether it runs or not.

    Raises
    ------
    AuditError
        The log cannot be opened.
    """
    with unless_running(folder, config) as log:
        yield log if log is not None else RunningSite(folder, config.admin_socket)


@dataclass(frozen=True, slots=True)
class RunningSite:
    """The witness of a site that runs, spoken to over its socket for operators."""

    folder: Path
    socket: str

    def note(self, fact: Fact) -> None:
        """Have the site note a fact; it is durable when this returns.

        Raises
        ------
        AuditError
            It cannot be kept.
        PeerUnavailableError
            The site does not answer.
        """
        said = {"event": str(fact.event), "subject": fact.subject, "about": dict(fact.about)}
        post(self.folder, self.socket, "/note", said)
