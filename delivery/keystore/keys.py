"""Promised keys: their records, kept for ever, and their material, kept until they are settled.

Functions over a `Database`, within a transaction of the caller's. Material is sealed together with everything that
decides who may have it: key, peer, role, applications, length and state. Whoever can write to the database but has not
its master key cannot turn one application's key into another's, or one that is reserved into one that is ready.
"""

import hmac
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from faintlink.core.errors import AccessDeniedError, KeyUnknownError, LocalProtocolError
from faintlink.delivery.keystore.database import Database, Row, among, chunks
from faintlink.delivery.keystore.epochs import Epochs
from faintlink.delivery.keystore.model import Assignment, DeliveredKey, KeyRecord, KeyState, Role
from faintlink.delivery.keystore.sealing import bound, wipe
from faintlink.delivery.keystore.stock import decode_units, encode_units, now_utc

COLUMNS = "key_id, peer, role, state, bits, master, slave, units, blocks, epsilon, created_utc, settled_utc, reason"
"""Of a record; not of its material."""
_INSERT = among(f"INSERT INTO keys (key_no, {COLUMNS}) VALUES (…)", (0, *COLUMNS.split()))  # noqa: S608 - a constant
_FIND_SLIPS = "SELECT key_no, key_id, peer, role, state, bits, master, slave FROM keys WHERE key_id IN (…)"
_FIND = f"SELECT {COLUMNS} FROM keys WHERE key_id IN (…)"  # noqa: S608 - a constant
_IN_STATE = (
    f"SELECT {', '.join(f'k.{name}' for name in COLUMNS.split(', '))} FROM secrets s"  # noqa: S608 - a constant
    " JOIN keys k ON k.key_no = s.key_no WHERE k.peer = ? AND k.state = ? ORDER BY k.key_no"
)
_OPEN = (KeyState.RESERVED, KeyState.READY)


class Slip(NamedTuple):
    """What decides who may have a key: the part of its record that its material is sealed with."""

    key_no: int
    key_id: str
    peer: str
    role: str
    state: str
    bits: int
    master: str
    slave: str


Material: TypeAlias = bytes | bytearray | memoryview


class KeyRoom:
    """The promised keys of a site.

    Parameters
    ----------
    database, epochs
        What it is made of.
    store_id
        What sealed keys are bound to, beside their names.
    """

    def __init__(self, database: Database, epochs: Epochs, *, store_id: str) -> None:
        self._db = database
        self._epochs = epochs
        self._store_id = store_id

    def put(self, records: Sequence[tuple[KeyRecord, Material]]) -> None:
        """Store new keys with their material."""
        first = 1 + int(self._db.rows("SELECT COALESCE(MAX(key_no), 0) FROM keys")[0][0])
        self._db.run_many(_INSERT, [(first + at, *_row(record)) for at, (record, _) in enumerate(records)])
        epoch = self._epochs.current(self._db)
        cipher = self._epochs.cipher(epoch)
        self._db.run_many(
            "INSERT INTO secrets (key_no, epoch, sealed) VALUES (?, ?, ?)",
            [
                (first + at, epoch, cipher.seal(material, self._about(_slip(first + at, record))))
                for at, (record, material) in enumerate(records)
            ],
        )

    def note_settled(self, records: Sequence[KeyRecord]) -> int:
        """Settle keys as ``records`` say, unknown ones included, and return how many were not settled so far."""
        known = self.find([record.assignment.key_id for record in records])
        new = [record for record in records if record.assignment.key_id not in known]
        first = 1 + int(self._db.rows("SELECT COALESCE(MAX(key_no), 0) FROM keys")[0][0])
        self._db.run_many(_INSERT, [(first + at, *_row(record)) for at, record in enumerate(new)])
        changed = [one for one in records if (old := known.get(one.assignment.key_id)) and old.state in _OPEN]
        self._db.run_many(
            "UPDATE keys SET state = ?, settled_utc = ?, reason = ? WHERE key_id = ?",
            [(one.state, one.settled_utc, one.reason, one.assignment.key_id) for one in changed],
        )
        return len(new) + len(changed)

    def find(self, key_ids: Sequence[str]) -> dict[str, KeyRecord]:
        """Return the records of those keys that are known."""
        found: dict[str, KeyRecord] = {}
        for part in chunks(key_ids):
            rows = self._db.rows(among(_FIND, part), part)
            found.update((row[0], _record(row)) for row in rows)
        return found

    def count(self) -> dict[KeyState, int]:
        """Return how many keys are in each state."""
        found: dict[str, int] = dict(self._db.rows("SELECT state, COUNT(*) FROM keys GROUP BY state"))
        return {state: found.get(state.value, 0) for state in KeyState}

    def in_state(self, peer: str, state: KeyState) -> list[KeyRecord]:
        """Return the keys shared with a peer that are in one of the open states."""
        rows = self._db.rows(_IN_STATE, (peer, state))
        return [_record(row) for row in rows]

    def acknowledge(self, key_ids: Sequence[str], epsilon: float | None = None) -> None:
        """Turn reserved keys into ready ones, of another epsilon if one is told; others stay what they are."""
        reserved = [slip for slip in self._slips(key_ids).values() if slip.state == KeyState.RESERVED]
        epoch = self._epochs.current(self._db)
        cipher = self._epochs.cipher(epoch)
        material = self._open(reserved)
        ready = [slip._replace(state=KeyState.READY) for slip in reserved]
        self._db.run_many(
            "UPDATE secrets SET epoch = ?, sealed = ? WHERE key_no = ?",
            [(epoch, cipher.seal(material[slip.key_id], self._about(slip)), slip.key_no) for slip in ready],
        )
        wipe(*material.values())
        for part in chunks([slip.key_no for slip in ready]):
            self._db.run(
                among("UPDATE keys SET state = ?, epsilon = COALESCE(?, epsilon) WHERE key_no IN (…)", part),
                (KeyState.READY, epsilon, *part),
            )

    def deliver(self, key_ids: Sequence[str], *, role: Role, sae: str, is_agreed: bool) -> list[DeliveredKey]:
        """Return keys and delete their material."""
        if len(set(key_ids)) != len(key_ids):
            raise LocalProtocolError("a key is named twice in one delivery", hint="name each key once")
        found = self._slips(key_ids)
        _require_owner(found.values(), role, sae)
        _require_state(key_ids, found, role, _OPEN if is_agreed else (KeyState.READY,))
        material = self._open(list(found.values()))
        self._settle([slip.key_no for slip in found.values()], KeyState.DELIVERED, "")
        return [DeliveredKey(name, found[name].bits, material[name]) for name in key_ids]

    def void(self, key_ids: Sequence[str], reason: str) -> list[str]:
        """Give up open keys and return their names."""
        found = self._slips(list(dict.fromkeys(key_ids)))
        given_up = [slip for slip in found.values() if slip.state in _OPEN]
        self._settle([slip.key_no for slip in given_up], KeyState.VOID, reason)
        return [slip.key_id for slip in given_up]

    def void_all(self, reason: str) -> int:
        """Give up every open key and return how many there were."""
        numbers = [number for (number,) in self._db.rows("SELECT key_no FROM keys WHERE state IN (?, ?)", _OPEN)]
        self._settle(numbers, KeyState.VOID, reason)
        return len(numbers)

    def is_same(self, known: KeyRecord, wanted: KeyRecord, material: Material | None = None) -> bool:
        """Return whether a key that is there is the one that comes in, its bits included while they are there.

        Raises
        ------
        KeyUnknownError
            It is, and was given up here.
        """
        facts = known.assignment == wanted.assignment and (known.peer, known.role) == (wanted.peer, wanted.role)
        if facts and known.state is KeyState.VOID:
            raise KeyUnknownError(
                f"key {known.assignment.key_id} was given up here: {known.reason}", hint="give it up there too"
            )
        if not facts or material is None or known.state not in _OPEN:
            return facts
        name = known.assignment.key_id
        return hmac.compare_digest(self._open(list(self._slips([name]).values()))[name], material)

    def _slips(self, key_ids: Sequence[str]) -> dict[str, Slip]:
        found: dict[str, Slip] = {}
        for part in chunks(key_ids):
            found.update((row[1], Slip(*row)) for row in self._db.rows(among(_FIND_SLIPS, part), part))
        return found

    def _open(self, slips: Sequence[Slip]) -> dict[str, bytearray]:
        material: dict[str, bytearray] = {}
        by_number = {slip.key_no: slip for slip in slips}
        for part in chunks(list(by_number)):
            rows = self._db.rows(among("SELECT key_no, epoch, sealed FROM secrets WHERE key_no IN (…)", part), part)
            for number, epoch, sealed in rows:
                slip = by_number[number]
                material[slip.key_id] = self._epochs.cipher(epoch).open(bytes(sealed), self._about(slip))
        return material

    def _settle(self, numbers: Sequence[int], state: KeyState, reason: str) -> None:
        for part in chunks(numbers):
            self._db.run(among("DELETE FROM secrets WHERE key_no IN (…)", part), part)
            self._db.run(
                among("UPDATE keys SET state = ?, settled_utc = ?, reason = ? WHERE key_no IN (…)", part),
                (state, now_utc(), reason, *part),
            )

    def _about(self, slip: Slip) -> bytes:
        return bound("keys", self._store_id, *slip)


def _slip(number: int, record: KeyRecord) -> Slip:
    key = record.assignment
    return Slip(number, key.key_id, record.peer, record.role, record.state, key.bits, key.master, key.slave)


def new_record(assignment: Assignment, peer: str, role: Role, epsilon: float, blocks: Sequence[str]) -> KeyRecord:
    """Return the record of a key that comes in now."""
    state = KeyState.RESERVED if role is Role.MASTER else KeyState.READY
    return KeyRecord(assignment, peer, role, state, epsilon, tuple(blocks), now_utc(), None)


def _require_owner(slips: Iterable[Slip], role: Role, sae: str) -> None:
    for slip in slips:
        if slip.role == role and sae != (slip.master if role is Role.MASTER else slip.slave):
            raise AccessDeniedError(
                f"key {slip.key_id} is promised to another application than {sae}",
                hint="only the two applications that a key was made for may have it",
            )


def _require_state(key_ids: Sequence[str], found: dict[str, Slip], role: Role, allowed: Sequence[KeyState]) -> None:
    for name in key_ids:
        slip = found.get(name)
        if slip is None or slip.role != role or slip.state not in allowed:
            what = "unknown" if slip is None or slip.role != role else slip.state
            raise KeyUnknownError(
                f"key {name} is {what}: it cannot be handed out",
                hint="each key is handed out once on each side, after both sites have it",
            )


def _row(record: KeyRecord) -> tuple[Any, ...]:
    key = record.assignment
    return (
        key.key_id,
        record.peer,
        record.role,
        record.state,
        key.bits,
        key.master,
        key.slave,
        encode_units(key.units),
        json.dumps(record.blocks),
        record.epsilon,
        record.created_utc,
        record.settled_utc,
        record.reason,
    )


def _record(row: Row) -> KeyRecord:
    key_id, peer, role, state, bits, master, slave, units, blocks, epsilon, created, settled, reason = row
    key = Assignment(key_id, bits, master, slave, decode_units(units))
    made_of = tuple(json.loads(blocks))
    return KeyRecord(key, peer, Role(role), KeyState(state), epsilon, made_of, created, settled, reason)
