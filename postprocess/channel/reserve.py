"""The reserve of one-time authentication keys: booked on disk before use, never handed out twice, refilled by the link.

Both parties start from one shared key and refill from distilled keys. Each key becomes a numbered *segment*; its first
half serves tags from Alice to Bob, its second half those from Bob to Alice, so that the two never race for one key.
A position is (segment, slot of 256 bits), and travels with each seal.

The rules:

- *Book, then use.* `take` and `claim` return a key only after its booking is on the disk (fsync). A crash at any
  instant can lose keys that were booked and not used; it can never bring one back.
- *Only forward.* Positions never go back. `claim` refuses a position at or before one that was used and burns what it
  jumps over; `align` moves both ends to the further of their positions and burns segments that one end lacks.
- *Aligned first.* A reserve that was just opened hands out nothing before `align`: if this end's file is older
  than it should be (restored from a copy), the peer's positions move it on. The peer's state must come in a frame
  under the key of the new session, not in a greeting, which might be a replay. Old copies put back on *both* sides
  cannot be noticed and use keys twice: never keep copies.
- *The floor stays.* The last ``floor`` keys of each direction are never handed out; below it `KeyExhaustedError`
  says so. Lowering the floor is an operator's decision, made when opening.

Used keys are overwritten in memory at once, on disk with the next refill. Nothing here logs, prints or raises key
material. Not for several threads.
"""

import logging
from pathlib import Path
from types import TracebackType
from typing import Self

from faintlink.core.errors import AuthenticationError, KeyExhaustedError, LocalProtocolError
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.ledger import Ledger, Segment
from faintlink.postprocess.channel.ledger_file import LedgerFile
from faintlink.postprocess.channel.onetime import KEY_BYTES, KeyPosition, OneTimeKey
from faintlink.postprocess.channel.reserve_state import MAX_SEGMENTS, ReserveState, SegmentState
from faintlink.postprocess.channel.session import LINK_KEY_BYTES, LinkIdentity

_COMPACT_AFTER = 4096
_log = logging.getLogger(__name__)


class KeyReserve:
    """A reserve of one-time keys in a file. Make it with `create` or `open`."""

    def __init__(self, file: LedgerFile, ledger: Ledger, *, floor: int, is_aligned: bool) -> None:
        if floor < 0:
            file.close()
            raise LocalProtocolError(f"the floor must not be negative, got {floor}")
        self._file = file
        self._ledger = ledger
        self._floor = floor
        self._is_aligned = is_aligned

    def __repr__(self) -> str:
        free = "/".join(str(self.available(direction)) for direction in Direction)
        return f"KeyReserve({str(self._file.path)!r}, {self.link!r}, {free} keys above the floor)"

    def __reduce__(self) -> str:
        raise LocalProtocolError("a reserve cannot be copied: its keys would be used twice")

    @classmethod
    def create(cls, path: Path, *, link_id: str, shared_key: bytes | bytearray, floor: int = 0) -> Self:
        """Make a reserve from a key that both parties share and that was never used for anything.

        Parameters
        ----------
        path
            The new file, of mode 0600.
        link_id
            Name of the link, equal on both sides.
        shared_key
            32 bytes for the link key, then 64 bytes for each one-time key in both directions. The caller should
            overwrite it afterwards, and destroy the medium on which it came.
        floor
            One-time keys of each direction that are never handed out.

        Raises
        ------
        RunExistsError
            The file exists.
        LocalProtocolError
            The key is too short.
        """
        link = LinkIdentity(link_id, bytes(shared_key[:LINK_KEY_BYTES]))
        first = _split(0, shared_key[LINK_KEY_BYTES:])
        ledger = Ledger(link, 0, {0: first})
        return cls(LedgerFile.create(path, ledger), ledger, floor=floor, is_aligned=False)

    @classmethod
    def open(cls, path: Path, *, floor: int = 0) -> Self:
        """Open a reserve. It hands out nothing before `align`.

        Raises
        ------
        ConfigError
            The file is not there, or others than its owner may read it.
        LocalProtocolError
            Another process has it open.
        SchemaError, CorruptBlockError
            It is no reserve, or damaged.
        """
        file, ledger = LedgerFile.open(path)
        reserve = cls(file, ledger, floor=floor, is_aligned=False)
        if file.dropped:
            reserve._burn_next(file.dropped)
        return reserve

    @property
    def link(self) -> LinkIdentity:
        """The link's name and key, for greetings and sessions."""
        return self._ledger.link

    @property
    def last_number(self) -> int:
        """Greatest segment number so far; a refill needs a greater one."""
        return self._ledger.last_number

    def available(self, direction: Direction) -> int:
        """Return how many keys of a direction may still be handed out: those above the floor."""
        unused = sum(segment.unused(direction) for segment in self._ledger.segments.values())
        return max(0, unused - self._floor)

    def take(self, direction: Direction) -> OneTimeKey:
        """Book and return the next unused key of a direction.

        Raises
        ------
        KeyExhaustedError
            Only the floor is left.
        LocalProtocolError
            The reserve is not aligned, closed, or its file could not be written.
        """
        self._require_keys(direction)
        segment = next(s for s in self._ledger.segments.values() if s.unused(direction))
        return self._book(segment, direction, segment.next[direction - 1], [])

    def claim(self, direction: Direction, position: KeyPosition) -> OneTimeKey:
        """Book and return the key that the peer used; keys that it jumped over are burnt.

        Raises
        ------
        AuthenticationError
            The position was used or burnt before, or is none of ours.
        KeyExhaustedError
            It lies below the floor.
        LocalProtocolError
            As `take`.
        """
        self._require_keys(direction)
        segment = self._ledger.segments.get(position.segment)
        if segment is None or not segment.next[direction - 1] <= position.slot < segment.slots:
            raise AuthenticationError(
                f"the key at {position} was used before, or is none of this reserve",
                hint="a replay; or the reserves are out of step: greet the peer anew and align",
            )
        older = [s for s in self._ledger.segments.values() if s.number < segment.number and s.unused(direction)]
        skipped = sum(s.unused(direction) for s in older) + position.slot - segment.next[direction - 1]
        if skipped >= self.available(direction):
            raise KeyExhaustedError(
                f"the key at {position} lies below the floor of {self._floor} keys",
                hint="set the same floor on both sides; refill from distilled key",
            )
        return self._book(segment, direction, position.slot, [(s.number, direction, s.slots) for s in older])

    def refill(self, number: int, key: bytes | bytearray) -> int:
        """Add a distilled key that both parties hold, and return the one-time keys gained in each direction.

        Parameters
        ----------
        number
            The same on both sides and greater than all before, for example the block's number + 1.
        key
            64 bytes for each one-time key in both directions; a rest is not used. It must not serve anything else.

        Raises
        ------
        LocalProtocolError
            The number does not rise, the key is too short, or the file could not be written.
        """
        if not self._ledger.last_number < number < 2**64:
            raise LocalProtocolError(f"a refill needs a number above {self._ledger.last_number}, got {number}")
        if len(self._ledger.segments) >= MAX_SEGMENTS:
            raise LocalProtocolError(
                f"the reserve holds {MAX_SEGMENTS} keys, the most it can", hint="refill with longer keys, less often"
            )
        segment = _split(number, key)
        grown = {**self._ledger.segments, number: segment}
        ledger = Ledger(self._ledger.link, number, grown)
        self._file.replace(ledger)
        self._ledger = ledger
        self._drop_empty()
        return segment.slots

    def state(self) -> ReserveState:
        """Return where the reserve stands, for the peer."""
        segments = self._ledger.segments.values()
        return ReserveState(tuple(SegmentState(s.number, s.slots, s.next[0], s.next[1]) for s in segments))

    def align(self, peer: ReserveState) -> int:
        """Move to the further of both ends' positions, and return how many of our keys were burnt for it.

        Both ends call it with the state that the other had *before*, so that both arrive at the same.

        Parameters
        ----------
        peer
            The peer's state, from a frame under the key of this session.
        """
        theirs = {segment.number: segment for segment in peer.segments}
        bookings = []
        burnt = 0
        for ours in self._ledger.segments.values():
            other = theirs.get(ours.number)
            for direction in Direction:
                # A segment of another length is another key: a short write of the peer's, or a wrong number.
                shared = other is not None and other.slots == ours.slots
                goal = other.next[direction - 1] if other is not None and shared else ours.slots
                if goal > ours.next[direction - 1]:
                    bookings.append((ours.number, direction, goal))
                    burnt += goal - ours.next[direction - 1]
        if bookings:
            self._file.book(bookings)
            self._apply(bookings)
            _log.warning("reserve of %s: %d one-time keys burnt to align", self.link.link_id, burnt)
        self._is_aligned = True
        return burnt

    def close(self) -> None:
        """Overwrite the keys in memory and close the file."""
        for segment in self._ledger.segments.values():
            segment.wipe()
        self._ledger.segments.clear()
        self._is_aligned = False
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_keys(self, direction: Direction) -> None:
        if not self._is_aligned:
            raise LocalProtocolError(
                "the reserve is closed or not aligned with the peer's", hint="exchange states, then call align()"
            )
        if not self.available(direction):
            raise KeyExhaustedError(
                f"only the floor of {self._floor} one-time keys is left {direction.name.lower().replace('_', ' ')}",
                hint="refill from distilled key, or bring a new shared key to both sides",
                direction=direction.name,
            )

    def _book(
        self, segment: Segment, direction: Direction, slot: int, burnt: list[tuple[int, Direction, int]]
    ) -> OneTimeKey:
        bookings = [*burnt, (segment.number, direction, slot + 1)]
        self._file.book(bookings)
        key = OneTimeKey(
            segment.copy_key(direction, slot), direction=direction, position=KeyPosition(segment.number, slot)
        )
        self._apply(bookings)
        return key

    def _apply(self, bookings: list[tuple[int, Direction, int]]) -> None:
        for number, direction, slot in bookings:
            self._ledger.segments[number].advance(direction, slot)
        self._drop_empty()
        if self._file.bookings >= _COMPACT_AFTER:
            self._file.replace(self._ledger)

    def _burn_next(self, count: int) -> None:
        # A booking that a crash cut off was never used, but one that the disk damaged later may have been.
        for direction in Direction:
            left = count
            for segment in self._ledger.segments.values():
                burnt = min(left, segment.unused(direction))
                segment.advance(direction, segment.next[direction - 1] + burnt)
                left -= burnt
        self._file.replace(self._ledger)
        self._drop_empty()
        _log.warning("reserve of %s: %d bookings were cut off, as many keys burnt", self.link.link_id, count)

    def _drop_empty(self) -> None:
        # The file keeps them until its next base: their bookings refer to them.
        segments = self._ledger.segments
        self._ledger.segments = {n: s for n, s in segments.items() if any(s.unused(d) for d in Direction)}


def _split(number: int, key: bytes | bytearray) -> Segment:
    slots = len(key) // (2 * KEY_BYTES)
    if not 1 <= slots < 2**32:
        raise LocalProtocolError(f"a reserve is filled with at least {2 * KEY_BYTES} bytes, got {len(key)}")
    half = slots * KEY_BYTES
    keys = bytearray(key[:half]), bytearray(key[half : 2 * half])
    return Segment(number, slots, [0, 0], keys, (0, 0))
