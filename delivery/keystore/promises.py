"""Turn stock into promised keys: what both sites must do alike, within a transaction of the caller's."""

from collections.abc import Sequence

from faintlink.core.errors import KeyUnknownError, LocalProtocolError
from faintlink.delivery.keystore.keys import KeyRoom, Material, new_record
from faintlink.delivery.keystore.model import UNIT_BITS, UNIT_BYTES, Assignment, KeyRecord, Pool, Role
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.keystore.stock import StockRoom, require_units


class Promises:
    """Makes keys of a site's stock."""

    def __init__(self, stock: StockRoom, keys: KeyRoom) -> None:
        self._stock = stock
        self._keys = keys

    def reserve(self, peer: str, wanted: Sequence[tuple[str, int]], *, master: str, slave: str) -> list[Assignment]:
        """Make keys of the oldest units of ours."""
        needs = [units_for(bits) for _, bits in wanted]
        self._require_new([name for name, _ in wanted])
        taken = self._stock.take_oldest(peer, Pool.OURS, sum(needs))
        assignments, materials, at = [], [], 0
        for (name, bits), need in zip(wanted, needs, strict=True):
            units = taken[at : at + need]
            at += need
            assignments.append(Assignment(name, bits, master, slave, tuple(unit for unit, _ in units)))
            materials.append(_cut(poured([material for _, material in units]), bits))
        self._put(peer, Role.MASTER, assignments, materials)
        return assignments

    def assign(self, peer: str, assignments: Sequence[Assignment]) -> None:
        """Make the keys that the other site made, of the units that it names."""
        new = self._unknown(peer, assignments)
        for assignment in new:
            _require_fit(assignment)
        wanted = [unit for assignment in new for unit in assignment.units]
        taken = self._stock.take_named(peer, wanted, (Pool.THEIRS,))
        require_units(wanted, taken)
        materials = [_cut(poured([taken[unit] for unit in key.units]), key.bits) for key in new]
        self._put(peer, Role.SLAVE, new, materials)

    def place(self, keys: Sequence[tuple[KeyRecord, Material]]) -> None:
        """Put in keys that are not made of units."""
        names = [record.assignment.key_id for record, _ in keys]
        if len(set(names)) != len(names):
            raise LocalProtocolError("a relayed key is named twice", hint="name each key once")
        for record, material in keys:
            _require_length(record.assignment, material)
        known = self._keys.find(names)
        for record, material in keys:
            name = record.assignment.key_id
            if name in known and not self._keys.is_same(known[name], record, material):
                raise _another(name)
        if new := [(record, material) for record, material in keys if record.assignment.key_id not in known]:
            self._keys.put(new)

    def _require_new(self, key_ids: list[str]) -> None:
        known = self._keys.find(key_ids)
        if known or len(set(key_ids)) != len(key_ids):
            raise LocalProtocolError(
                f"a key of the name {next(iter(known), key_ids[0])} is there or named twice",
                hint="key names are never reused",
            )

    def _unknown(self, peer: str, assignments: Sequence[Assignment]) -> list[Assignment]:
        known = self._keys.find([assignment.key_id for assignment in assignments])
        new = dict[str, Assignment]()
        for assignment in assignments:
            name = assignment.key_id
            if name in known:
                if not self._keys.is_same(known[name], new_record(assignment, peer, Role.SLAVE, 0.0, ())):
                    raise _another(name)
            elif new.setdefault(name, assignment) != assignment:
                raise _another(name)
        return list(new.values())

    def _put(self, peer: str, role: Role, assignments: Sequence[Assignment], materials: Sequence[bytearray]) -> None:
        known: dict[tuple[str, ...], float] = {}
        records = []
        for assignment in assignments:
            blocks = tuple(dict.fromkeys(unit.block for unit in assignment.units))
            if blocks not in known:
                known[blocks] = self._stock.epsilons(blocks)
            records.append(new_record(assignment, peer, role, known[blocks], blocks))
        self._keys.put(list(zip(records, materials, strict=True)))
        wipe(*materials)


def units_for(bits: int) -> int:
    """Return how many units a key takes.

    Raises
    ------
    LocalProtocolError
        It has no bit.
    """
    if bits < 1:
        raise LocalProtocolError(f"a key has at least one bit, {bits} are asked for", hint="ask for 64 bits or more")
    return -(-bits // UNIT_BITS)


def poured(pieces: Sequence[bytearray]) -> bytearray:
    """Return units in one piece; the units are overwritten."""
    # In its full size at once: a bytearray that grows leaves copies of its bits behind.
    whole = bytearray(len(pieces) * UNIT_BYTES)
    for index, piece in enumerate(pieces):
        whole[index * UNIT_BYTES : (index + 1) * UNIT_BYTES] = piece
    wipe(*pieces)
    return whole


def _cut(material: bytearray, bits: int) -> bytearray:
    size = (bits + 7) // 8
    material[size:] = bytes(len(material) - size)
    del material[size:]
    if bits % 8:
        material[-1] &= 0xFF << 8 - bits % 8 & 0xFF
    return material


def _require_length(key: Assignment, material: Material) -> None:
    if key.units or len(material) != (key.bits + 7) // 8 or key.bits < 1:
        raise LocalProtocolError(
            f"a relayed key of {key.bits} bits came with {len(material)} bytes and {len(key.units)} units",
            hint="a relayed key has no units and as many bytes as its bits need",
        )


def _require_fit(assignment: Assignment) -> None:
    if assignment.bits < 1 or len(assignment.units) != units_for(assignment.bits):
        raise KeyUnknownError(
            f"key {assignment.key_id} of {assignment.bits} bits cannot be made of {len(assignment.units)} units",
            hint="both sites must run the same version and cut",
        )


def _another(key_id: str) -> KeyUnknownError:
    return KeyUnknownError(
        f"a key of the name {key_id} is there, and it is another one", hint="key names are never reused"
    )
