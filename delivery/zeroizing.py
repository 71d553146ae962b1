"""Destroy all keys of a site, when two persons want it: their wishes as files, and the deed itself.

Each person leaves a wish with the own account: a file in a common folder, whose owner the system vouches for. The
site's account then looks whether two different persons with the right roles want the same, at about the same time, and
acts. Destroying needs neither room on the disk nor a sound audit log: what must go, goes.

Used by `faintlink zeroize`. It does not decide who may: `faintlink.delivery.access` does.
"""

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from faintlink.core.errors import AccessDeniedError, AuditError, ConfigError
from faintlink.delivery.access import CONFIRM_WITHIN_S, Action, Identity, TwoPersonRule, identity_of_user
from faintlink.delivery.witness import Event, Fact, Witness

_log = logging.getLogger(__name__)
_SUFFIX = ".zeroize"
_SHARED = stat.S_IWGRP | stat.S_IWOTH


class Zeroizable(Protocol):
    """A key store, or what is left of one."""

    def zeroize(self) -> None:
        """Destroy every wrapping key, so that nothing in the store or in any copy of it can be read again."""
        ...


@dataclass(frozen=True, slots=True)
class Wishes:
    """The folder in which wishes are left: of root or of the site's account, and sticky if others may write there."""

    folder: Path

    def leave(self, site: str) -> Path:
        """Leave the wish of the account that this process runs under, in place of its older one.

        Raises
        ------
        ConfigError
            The folder is not as it must be.
        """
        self._require_sound()
        path = self.folder / f"{site}.{os.getuid()}{_SUFFIX}"
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o644)
        os.close(handle)
        return path

    def wanted_by(self, site: str) -> list[tuple[float, int]]:
        """Return when which account wanted it, the oldest wish first.

        Raises
        ------
        ConfigError
            The folder is not as it must be.
        """
        self._require_sound()
        return sorted(self._found(site))

    def forget(self, site: str) -> None:
        """Remove the wishes for a site as far as this account may; they grow old by themselves."""
        for path in self._paths(site):
            with suppress(OSError):
                path.unlink()

    def _found(self, site: str) -> Iterator[tuple[float, int]]:
        for path in self._paths(site):
            about = path.lstat()
            # A link would be another's file under this name.
            is_own = stat.S_ISREG(about.st_mode) and about.st_nlink == 1
            if is_own and path.name == f"{site}.{about.st_uid}{_SUFFIX}":
                yield about.st_mtime, about.st_uid

    def _paths(self, site: str) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name.startswith(f"{site}.") and path.suffix == _SUFFIX]

    def _require_sound(self) -> None:
        try:
            about = self.folder.lstat()
        except OSError as error:
            raise ConfigError(
                f"there is no folder for wishes at {self.folder}: {error.strerror}",
                hint=f"as root: install -d -m 1777 {self.folder}",
            ) from None
        is_safe = not about.st_mode & _SHARED or about.st_mode & stat.S_ISVTX
        if not (stat.S_ISDIR(about.st_mode) and is_safe and about.st_uid in (0, os.getuid())):
            raise ConfigError(
                f"wishes are not safe in {self.folder}: it is another's, or others may remove files there",
                hint=f"as root: install -d -m 1777 {self.folder}",
            )


def two_persons(
    wishes: Wishes,
    site: str,
    *,
    identify: Callable[[int], Identity] = identity_of_user,
    now: Callable[[], float] = time.time,
) -> tuple[Identity, Identity]:
    """Return the two persons who want all keys of a site destroyed.

    Raises
    ------
    AccessDeniedError
        There are no two whose wishes are recent and who may.
    """
    start = now()
    rule = TwoPersonRule(lambda: start)
    first: Identity | None = None
    for at, uid in wishes.wanted_by(site):
        if start - at >= CONFIRM_WITHIN_S:
            continue
        try:
            identity = identify(uid)
            is_confirmed = rule.ask(Action.ZEROIZE, site, identity)
        except (AccessDeniedError, ConfigError) as error:
            _log.warning("a wish that does not count: %s", error.message)
            continue
        if is_confirmed and first is not None:
            return first, identity
        first = identity
    raise AccessDeniedError(
        f"no two persons want the keys of {site} destroyed",
        hint="a crypto officer and a second officer or an operator leave their wishes within ten minutes",
    )


def zeroize(store: Zeroizable, witness: Witness, *, persons: tuple[Identity, Identity]) -> bool:
    """Destroy all keys of a store and return whether that could be noted.

    Raises
    ------
    StoreError
        Something is left.
    """
    names = [person.name for person in persons]
    is_noted = True
    try:
        witness.note(Fact(Event.ZEROIZED, names[0], {"persons": names}))
    except AuditError as error:
        # Keys must be destroyed above all when something is wrong with the site.
        _log.critical("destroying all keys is not noted: %s", error.message)
        is_noted = False
    store.zeroize()
    return is_noted
