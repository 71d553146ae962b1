"""The permission matrix, every pair of role and action, written down a second time."""

import itertools
import os
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from faintlink.core.errors import AccessDeniedError, ConfigError
from faintlink.delivery.access import (
    CONFIRM_WITHIN_S,
    MATRIX,
    SECOND_PERSON,
    Action,
    Identity,
    Role,
    TwoPersonRule,
    identity_of_user,
    is_allowed,
    require,
    roles_of_groups,
)
from faintlink.delivery.commands.audit import audit
from faintlink.delivery.commands.evidence import evidence
from faintlink.delivery.commands.selftest import selftest

# One row per action; a letter per role that may: operator, crypto officer, auditor, SAE, peer.
EXPECTED = """
read_supply            . . . S .
get_keys               . . . S .
get_keys_by_name       . . . S .
agree_on_keys          . . . . P
relay_keys             . . . . P
read_health            O C A . .
read_metrics           O C A . .
start_and_stop         O . . . .
run_self_tests         O C . . .
ingest_keys            O . . . .
void_keys              . C . . .
change_config          . C . . .
enroll                 . C . . .
revoke                 . C . . .
change_trust           . C . . .
back_up                O C . . .
restore                . C . . .
rotate_wrapping_keys   . C . . .
zeroize                . C . . .
read_audit             . . A . .
export_evidence        . . A . .
carry_anchors          . . A . .
"""
ROWS = {name: marks for name, *marks in (line.split() for line in EXPECTED.split("\n") if line)}
ROLES = [Role.OPERATOR, Role.CRYPTO_OFFICER, Role.AUDITOR, Role.SAE, Role.PEER]
PAIRS = list(itertools.product(Action, ROLES))

ALICE = Identity("user:alice", frozenset({Role.CRYPTO_OFFICER}))
BOB = Identity("user:bob", frozenset({Role.CRYPTO_OFFICER}))
OLGA = Identity("user:olga", frozenset({Role.OPERATOR}))
OTTO = Identity("user:otto", frozenset({Role.OPERATOR}))
ADA = Identity("user:ada", frozenset({Role.AUDITOR}))
APP = Identity("urn:sae:a", frozenset({Role.SAE}))


def test_the_matrix_names_every_action_and_role() -> None:
    assert set(MATRIX) == set(Action)
    assert set(ROWS) == {str(action) for action in Action}
    assert set(ROLES) == set(Role)


@pytest.mark.parametrize(("action", "role"), PAIRS)
def test_each_pair_of_role_and_action_is_as_written(action: Action, role: Role) -> None:
    expected = ROWS[action][ROLES.index(role)] != "."
    assert is_allowed(role, action) is expected
    identity = Identity("somebody", frozenset({role}))
    if expected and action not in SECOND_PERSON:
        require(action, identity)
    else:
        with pytest.raises(AccessDeniedError):
            require(action, identity)


@pytest.mark.parametrize("action", list(Action))
def test_nobody_may_do_anything_without_a_role(action: Action) -> None:
    with pytest.raises(AccessDeniedError):
        require(action, Identity("user:root", frozenset()))


def test_no_person_gets_a_key_and_no_application_runs_the_site() -> None:
    persons = {Role.OPERATOR, Role.CRYPTO_OFFICER, Role.AUDITOR}
    for action in (Action.GET_KEYS, Action.GET_KEYS_BY_NAME, Action.RELAY_KEYS):
        assert not MATRIX[action] & persons
    for action, roles in MATRIX.items():
        assert not (roles & persons and roles & {Role.SAE, Role.PEER}), action


@pytest.mark.parametrize(
    ("roles", "is_refused"),
    [
        ({Role.AUDITOR, Role.OPERATOR}, True),
        ({Role.AUDITOR, Role.CRYPTO_OFFICER}, True),
        ({Role.SAE, Role.PEER}, True),
        ({Role.OPERATOR, Role.CRYPTO_OFFICER}, False),
    ],
)
def test_nobody_audits_himself(roles: set[Role], is_refused: bool) -> None:
    if is_refused:
        with pytest.raises(ConfigError, match="at once"):
            Identity("user:x", frozenset(roles))
    else:
        Identity("user:x", frozenset(roles))


@pytest.mark.parametrize("action", [Action.ZEROIZE, Action.CHANGE_TRUST])
def test_two_officers_together_may_and_one_alone_may_not(action: Action) -> None:
    rule = TwoPersonRule()
    assert not rule.ask(action, "store", ALICE)
    assert not rule.ask(action, "store", ALICE)
    assert rule.ask(action, "store", BOB)
    assert not rule.ask(action, "store", BOB)


@pytest.mark.parametrize(
    ("action", "first", "second", "is_enough"),
    [
        (Action.ZEROIZE, ALICE, OLGA, True),
        (Action.ZEROIZE, OLGA, ALICE, True),
        (Action.ZEROIZE, OLGA, OTTO, False),
        (Action.CHANGE_TRUST, ALICE, BOB, True),
    ],
)
def test_one_of_the_two_is_a_crypto_officer(action: Action, first: Identity, second: Identity, is_enough: bool) -> None:
    rule = TwoPersonRule()
    assert not rule.ask(action, "x", first)
    assert rule.ask(action, "x", second) is is_enough


@pytest.mark.parametrize(
    ("action", "identity"),
    [(Action.ZEROIZE, ADA), (Action.ZEROIZE, APP), *((Action.CHANGE_TRUST, who) for who in (OLGA, ADA, APP))],
)
def test_who_may_be_neither_is_refused(action: Action, identity: Identity) -> None:
    with pytest.raises(AccessDeniedError):
        TwoPersonRule().ask(action, "x", identity)


def test_two_persons_who_want_different_things_get_neither() -> None:
    rule = TwoPersonRule()
    assert not rule.ask(Action.CHANGE_TRUST, "sha256:1", ALICE)
    assert not rule.ask(Action.CHANGE_TRUST, "sha256:2", BOB)
    assert not rule.ask(Action.ZEROIZE, "sha256:1", BOB)


def test_a_wish_that_waited_too_long_is_forgotten() -> None:
    now = [0.0]
    rule = TwoPersonRule(lambda: now[0])
    rule.ask(Action.ZEROIZE, "x", ALICE)
    now[0] = CONFIRM_WITHIN_S
    assert not rule.ask(Action.ZEROIZE, "x", BOB)
    now[0] += CONFIRM_WITHIN_S - 1
    assert rule.ask(Action.ZEROIZE, "x", ALICE)


def test_an_action_of_one_person_has_no_second() -> None:
    with pytest.raises(AccessDeniedError, match="takes one person"):
        TwoPersonRule().ask(Action.ENROLL, "x", ALICE)


def test_groups_give_roles_and_others_give_none() -> None:
    assert roles_of_groups(["users", "faintlink-operator", "faintlink-crypto"]) == {Role.OPERATOR, Role.CRYPTO_OFFICER}
    assert roles_of_groups(["wheel", "root", "faintlink"]) == frozenset()


def test_a_user_has_the_roles_of_its_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [SimpleNamespace(gr_name="faintlink-audit", gr_gid=4711), SimpleNamespace(gr_name="users", gr_gid=100)]
    monkeypatch.setattr("pwd.getpwuid", lambda _: SimpleNamespace(pw_name="ada", pw_gid=100))
    monkeypatch.setattr("os.getgrouplist", lambda *_: [100, 4711])
    monkeypatch.setattr("grp.getgrall", lambda: groups)
    assert identity_of_user(1000) == Identity("user:ada", frozenset({Role.AUDITOR}))


GROUPS = [SimpleNamespace(gr_name="faintlink-audit", gr_gid=4711), SimpleNamespace(gr_name="users", gr_gid=100)]


@pytest.mark.parametrize(
    ("groups", "memberships", "is_refused"),
    [(GROUPS[1:], [100], False), (GROUPS, [100, 4711], False), (GROUPS, [100], True)],
    ids=["no roles given out", "an auditor", "another user"],
)
def test_commands_ask_for_a_role_where_roles_are_given_out(
    monkeypatch: pytest.MonkeyPatch, groups: list[SimpleNamespace], memberships: list[int], is_refused: bool
) -> None:
    monkeypatch.setattr("pwd.getpwuid", lambda _: SimpleNamespace(pw_name="ada", pw_gid=100))
    monkeypatch.setattr("os.getgrouplist", lambda *_: memberships)
    monkeypatch.setattr("grp.getgrall", lambda: groups)
    commands = [
        (audit, ["verify", "/nowhere"]),
        (audit, ["show", "/nowhere"]),
        (evidence, ["--out", "/dev/null/nowhere"]),
    ]
    for command, arguments in commands:
        error = CliRunner().invoke(command, arguments).exception
        assert isinstance(error, AccessDeniedError) is is_refused, (command.name, error)
    refused = CliRunner().invoke(selftest, ["--write-manifest", "/dev/null/nowhere"]).exception
    assert isinstance(refused, AccessDeniedError) is (groups is GROUPS)


def test_a_user_that_does_not_exist_is_nobody() -> None:
    with pytest.raises(AccessDeniedError, match="not known"):
        identity_of_user(2**31 - 7)


def test_root_has_no_role_by_being_root() -> None:
    assert identity_of_user(0).roles == roles_of_groups([]), os.getuid()
