"""Who may do what at a site: roles and actions as one table, and the rule of two persons.

Commands ask `require_of_user` before they act. Persons have the roles of the Unix groups that they are in; root has no
role by being root. Applications and other sites have theirs by the listener of the KME that lets them in, each with an
authority of its own; whom a certificate speaks for, `faintlink.delivery.pki.identity` says. Every pair of role and
action that the table does not name is denied.

Two actions can undo a site's security for good, so two persons must want them: destroying all keys, and changing whom
the site trusts. `TwoPersonRule` keeps the first person's wish for a while, for a second one to confirm.

Sources: ISO/IEC 19790:2012, roles, services and authentication; Common Criteria part 2, FMT_SMR and FMT_MOF.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from faintlink.core.errors import AccessDeniedError, ConfigError


class Role(StrEnum):
    """What somebody is at a site."""

    OPERATOR = "operator"
    """Keeps the site running; sees no key, changes no trust."""
    CRYPTO_OFFICER = "crypto_officer"
    """Answers for keys, certificates and configuration."""
    AUDITOR = "auditor"
    """Reads everything that is written down, and changes nothing."""
    SAE = "sae"
    """An application that gets keys."""
    PEER = "peer"
    """The KME of another site."""


class Action(StrEnum):
    """What a site does when it is asked to."""

    READ_SUPPLY = "read_supply"
    """How many keys there are for a pair of applications (ETSI GS QKD 014 V1.1.1 clause 5.1)."""
    GET_KEYS = "get_keys"
    """New keys, as master (clause 5.2)."""
    GET_KEYS_BY_NAME = "get_keys_by_name"
    """The slave's copies (clause 5.3)."""
    AGREE_ON_KEYS = "agree_on_keys"
    """Assign, acknowledge, void and compare ledgers, between two sites."""
    RELAY_KEYS = "relay_keys"
    READ_HEALTH = "read_health"
    READ_METRICS = "read_metrics"
    START_AND_STOP = "start_and_stop"
    RUN_SELF_TESTS = "run_self_tests"
    INGEST_KEYS = "ingest_keys"
    """Put distilled blocks into the store."""
    VOID_KEYS = "void_keys"
    """Give up keys that were not delivered."""
    CHANGE_CONFIG = "change_config"
    ENROLL = "enroll"
    """Give an application a name, a certificate and a role."""
    REVOKE = "revoke"
    CHANGE_TRUST = "change_trust"
    """Exchange a certificate authority, the peer's identity or the audit key."""
    BACK_UP = "back_up"
    RESTORE = "restore"
    ROTATE_WRAPPING_KEYS = "rotate_wrapping_keys"
    ZEROIZE = "zeroize"
    READ_AUDIT = "read_audit"
    """Read and verify the audit log."""
    EXPORT_EVIDENCE = "export_evidence"
    CARRY_ANCHORS = "carry_anchors"
    """Copy the anchors of the audit log to where the site cannot write."""


MATRIX: Final[Mapping[Action, frozenset[Role]]] = MappingProxyType(
    {
        Action.READ_SUPPLY: frozenset({Role.SAE}),
        Action.GET_KEYS: frozenset({Role.SAE}),
        Action.GET_KEYS_BY_NAME: frozenset({Role.SAE}),
        Action.AGREE_ON_KEYS: frozenset({Role.PEER}),
        Action.RELAY_KEYS: frozenset({Role.PEER}),
        Action.READ_HEALTH: frozenset({Role.OPERATOR, Role.CRYPTO_OFFICER, Role.AUDITOR}),
        Action.READ_METRICS: frozenset({Role.OPERATOR, Role.CRYPTO_OFFICER, Role.AUDITOR}),
        Action.START_AND_STOP: frozenset({Role.OPERATOR}),
        Action.RUN_SELF_TESTS: frozenset({Role.OPERATOR, Role.CRYPTO_OFFICER}),
        Action.INGEST_KEYS: frozenset({Role.OPERATOR}),
        Action.VOID_KEYS: frozenset({Role.CRYPTO_OFFICER}),
        Action.CHANGE_CONFIG: frozenset({Role.CRYPTO_OFFICER}),
        Action.ENROLL: frozenset({Role.CRYPTO_OFFICER}),
        Action.REVOKE: frozenset({Role.CRYPTO_OFFICER}),
        Action.CHANGE_TRUST: frozenset({Role.CRYPTO_OFFICER}),
        Action.BACK_UP: frozenset({Role.OPERATOR, Role.CRYPTO_OFFICER}),
        Action.RESTORE: frozenset({Role.CRYPTO_OFFICER}),
        Action.ROTATE_WRAPPING_KEYS: frozenset({Role.CRYPTO_OFFICER}),
        Action.ZEROIZE: frozenset({Role.CRYPTO_OFFICER}),
        Action.READ_AUDIT: frozenset({Role.AUDITOR}),
        Action.EXPORT_EVIDENCE: frozenset({Role.AUDITOR}),
        Action.CARRY_ANCHORS: frozenset({Role.AUDITOR}),
    }
)
"""Roles that may do each action; every other pair is denied."""

SECOND_PERSON: Final[Mapping[Action, frozenset[Role]]] = MappingProxyType(
    {
        Action.ZEROIZE: frozenset({Role.CRYPTO_OFFICER, Role.OPERATOR}),
        Action.CHANGE_TRUST: frozenset({Role.CRYPTO_OFFICER}),
    }
)
"""Actions that need a second person, and the roles that one of them may have instead of the matrix's."""

NEVER_TOGETHER: Final[tuple[frozenset[Role], ...]] = (
    frozenset({Role.AUDITOR, Role.OPERATOR}),
    frozenset({Role.AUDITOR, Role.CRYPTO_OFFICER}),
    frozenset({Role.SAE, Role.PEER}),
)
"""Roles that one identity may not have at once: nobody audits himself."""

UNIX_GROUPS: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "faintlink-operator": Role.OPERATOR,
        "faintlink-crypto": Role.CRYPTO_OFFICER,
        "faintlink-audit": Role.AUDITOR,
    }
)
"""Groups of the machine, and what their members are."""

CONFIRM_WITHIN_S = 600.0
"""How long a first person's wish waits for the second."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the site knows, and how it knows."""

    name: str
    """``urn:…`` of a certificate, or ``user:name``."""
    roles: frozenset[Role]

    def __post_init__(self) -> None:
        for pair in NEVER_TOGETHER:
            if pair <= self.roles:
                raise ConfigError(
                    f"{self.name} is {' and '.join(sorted(pair))}, which one identity may not be at once",
                    hint="give the roles to two persons",
                )


def identity_of_user(uid: int) -> Identity:
    """Return the identity of a user of this machine, by the groups that it is a member of.

    Raises
    ------
    AccessDeniedError
        There is no such user.
    """
    import grp
    import os
    import pwd

    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        raise AccessDeniedError(f"user {uid} is not known on this machine", hint="add the user") from None
    numbers = set(os.getgrouplist(user.pw_name, user.pw_gid))
    names = {group.gr_name for group in grp.getgrall() if group.gr_gid in numbers}
    return Identity(f"user:{user.pw_name}", roles_of_groups(names))


def name_of_user() -> str:
    """Return what the audit log calls the user of this process."""
    import os
    import pwd

    try:
        return f"user:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"user:{os.getuid()}"


def roles_of_groups(groups: Iterable[str], mapping: Mapping[str, Role] = UNIX_GROUPS) -> frozenset[Role]:
    """Return the roles of somebody who is a member of ``groups``."""
    return frozenset(mapping[name] for name in groups if name in mapping)


def is_allowed(role: Role, action: Action) -> bool:
    """Return whether the table allows an action to a role, alone or as the first of two."""
    return role in MATRIX[action]


def require(action: Action, identity: Identity) -> None:
    """Let an identity do an action that takes one person.

    Raises
    ------
    AccessDeniedError
        It may not, or the action takes two.
    """
    if action in SECOND_PERSON:
        raise AccessDeniedError(f"{action} takes two persons", hint="confirm it by a second one", action=str(action))
    if not any(is_allowed(role, action) for role in identity.roles):
        raise _denied(action, identity)


def require_of_user(action: Action) -> None:
    """Let the user of this process do an action, on a machine where the groups of `UNIX_GROUPS` are in use.

    Of an action that takes two persons the user may be one; whoever carries it out looks for the other. Where no group
    exists, no roles were given out, and the permissions of files decide alone.

    Raises
    ------
    AccessDeniedError
        The user may not.
    """
    import grp
    import os

    if not any(group.gr_name in UNIX_GROUPS for group in grp.getgrall()):
        return
    identity = identity_of_user(os.getuid())
    if action not in SECOND_PERSON:
        require(action, identity)
    elif not identity.roles & (MATRIX[action] | SECOND_PERSON[action]):
        raise _denied(action, identity)


class TwoPersonRule:
    """Keeps wishes that wait for a second person, in memory: a restart forgets them.

    Parameters
    ----------
    monotonic
        Clock in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._wishes: dict[tuple[Action, str], tuple[Identity, float]] = {}
        self._lock = threading.Lock()

    def ask(self, action: Action, target: str, identity: Identity) -> bool:
        """Note that a person wants an action and return whether it may be done now.

        Parameters
        ----------
        action
            One of `SECOND_PERSON`.
        target
            What exactly: the store, or the fingerprint of the new certificate. Both persons must want the same.
        identity
            The person.

        Returns
        -------
        bool
            False for the first person, True when another one has confirmed. The wish is used up then.

        Raises
        ------
        AccessDeniedError
            The person may be neither the first nor the second.
        """
        if action not in SECOND_PERSON:
            raise AccessDeniedError(f"{action} takes one person", hint="use require()", action=str(action))
        if not identity.roles & (MATRIX[action] | SECOND_PERSON[action]):
            raise _denied(action, identity)
        with self._lock:
            first = self._waiting(action, target)
            if first is None or first.name == identity.name or not _are_enough(action, first, identity):
                self._wishes[action, target] = (identity, self._monotonic() + CONFIRM_WITHIN_S)
                return False
            del self._wishes[action, target]
            return True

    def _waiting(self, action: Action, target: str) -> Identity | None:
        identity, until = self._wishes.get((action, target), (None, 0.0))
        return identity if self._monotonic() < until else None


def _are_enough(action: Action, one: Identity, other: Identity) -> bool:
    return bool((one.roles | other.roles) & MATRIX[action])


def _denied(action: Action, identity: Identity) -> AccessDeniedError:
    roles = ", ".join(sorted(identity.roles)) or "no role"
    return AccessDeniedError(
        f"{identity.name} ({roles}) may not {action}",
        hint=f"this takes {' or '.join(sorted(MATRIX[action]))}",
        action=str(action),
    )
