"""Answer another site's requests out of the store.

Every answer is one or a few transactions, and each can be asked for again: a repeated assignment, void or comparison
changes nothing more. No sockets and no threads: whoever calls has authenticated the peer.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from faintlink.core.errors import ConfigError, KeyUnknownError, RemoteProtocolError
from faintlink.delivery.keystore.model import Assignment, KeyState, Role
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.ledger.facts import promised
from faintlink.delivery.ledger.messages import (
    Answer,
    AskBitmaps,
    AskBlocks,
    AskStates,
    Assign,
    Assigned,
    Bitmap,
    Bitmaps,
    Blocks,
    Held,
    Hello,
    Offer,
    Refused,
    Request,
    State,
    States,
    Void,
    Voided,
    block_digest,
    decode_request,
    encode,
    ledger_digest,
)
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.terms import Terms
from faintlink.delivery.ledger.view import promised_and_free
from faintlink.delivery.witness import Event, Fact

_log = logging.getLogger(__name__)


class AtHand:
    """Blocks that the link's node has distilled and that are not in the store yet: here, never any."""

    def blocks(self) -> list[str]:
        """Return the names of the blocks."""
        return []

    def take_in(self, blocks: Sequence[str]) -> None:
        """Put those of ``blocks`` that are at hand into the store."""


@dataclass(frozen=True, slots=True)
class LedgerAnswers:
    """One site's answers to one other site."""

    store: KeyStore
    terms: Terms
    notary: Notary
    at_hand: AtHand
    on_hello: Callable[[str], object] = lambda _instance: None
    """Told the instance that the other site greets with."""

    def receive(self, frame: bytes) -> bytes:
        """Return the answer to a frame, in a frame; what is no request is refused."""
        try:
            answer = self.answer(decode_request(frame))
        except (RemoteProtocolError, ConfigError) as error:
            _log.warning("%s asks in vain: %s", self.terms.peer, error.message)
            printable = "".join(letter if " " <= letter <= "~" else "?" for letter in error.message)
            answer = Refused(reason=printable[:200])
        return encode(answer)

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request.

        Raises
        ------
        ConfigError
            The sites do not agree on how blocks are cut.
        StoreError, AuditError
            Nothing can be promised now.
        """
        match request:
            case Hello():
                self.terms.check(request)
                self.on_hello(request.instance)
                return self.terms.hello()
            case Assign():
                return self._assign([key.assignment for key in request.keys])
            case Void():
                return self._void(request)
            case AskStates():
                return States(states=tuple(self._state(key_id) for key_id in request.key_ids))
            case AskBlocks():
                return self._blocks(request.digest)
            case AskBitmaps():
                return self._bitmaps(frozenset(request.blocks))
            case Offer():
                return self._offered(request.blocks)

    def _assign(self, keys: list[Assignment]) -> Assigned:
        allowed = [key for key in keys if key.master in self.terms.theirs and key.slave in self.terms.ours]
        refused = {key.key_id for key in keys} - {key.key_id for key in allowed}
        refused |= self._not_taken(allowed)
        kept = [key for key in keys if key.key_id not in refused]
        for fact in promised(Event.KEYS_ASSIGNED, self.terms.peer, kept):
            self.notary.note_soon(fact)
        return Assigned(refused=tuple(sorted(refused)))

    def _not_taken(self, keys: list[Assignment]) -> set[str]:
        """Assign what can be assigned: one unit that is gone must not cost the keys of other applications."""
        if not keys or self._taken(keys):
            return set()
        if len(keys) == 1:
            return {keys[0].key_id}
        half = len(keys) // 2
        return self._not_taken(keys[:half]) | self._not_taken(keys[half:])

    def _taken(self, keys: list[Assignment]) -> bool:
        for may_take_in in (True, False):
            try:
                self.store.assign(self.terms.peer, keys)
            except KeyUnknownError as error:
                if may_take_in and (blocks := self._named_at_hand(keys)):
                    self.at_hand.take_in(blocks)
                    continue
                _log.info("refuse %d keys of %s: %s", len(keys), self.terms.peer, error.message)
                return False
            return True
        return False

    def _named_at_hand(self, keys: list[Assignment]) -> list[str]:
        named = {unit.block for key in keys for unit in key.units}
        return [block for block in self.at_hand.blocks() if block in named]

    def _void(self, request: Void) -> Voided:
        theirs = [key_id for key_id in request.key_ids if self._is_role(key_id, Role.SLAVE)]
        voided = self.store.void(theirs, reason=request.reason) if theirs else []
        if voided:
            self.notary.note_soon(
                Fact(Event.KEYS_VOIDED, self.terms.peer, {"key_ids": voided, "reason": request.reason})
            )
        return Voided(key_ids=tuple(voided))

    def _is_role(self, key_id: str, role: Role) -> bool:
        try:
            record = self.store.record(key_id)
        except KeyUnknownError:
            return False
        return record.peer == self.terms.peer and record.role is role

    def _state(self, key_id: str) -> State:
        if not self._is_role(key_id, Role.MASTER):
            return "unknown"
        return _STATES[self.store.record(key_id).state]

    def _blocks(self, digest: str) -> Blocks:
        ledgers = promised_and_free(self.store, self.terms.peer)
        if ledger_digest(ledgers) == digest:
            return Blocks(is_same=True)
        digests = tuple((ledger.block, block_digest(ledger)) for ledger in ledgers)
        return Blocks(is_same=False, digests=digests, at_hand=tuple(self.at_hand.blocks()))

    def _bitmaps(self, blocks: frozenset[str]) -> Bitmaps:
        ledgers = promised_and_free(self.store, self.terms.peer)
        return Bitmaps(bitmaps=tuple(Bitmap.of(ledger) for ledger in ledgers if ledger.block in blocks))

    def _offered(self, blocks: Sequence[str]) -> Held:
        self.at_hand.take_in(blocks)
        held = {ledger.block for ledger in self.store.ledger(self.terms.peer)}
        return Held(blocks=tuple(block for block in blocks if block in held))


_STATES: dict[KeyState, State] = {
    KeyState.RESERVED: "reserved",
    KeyState.READY: "ready",
    KeyState.DELIVERED: "delivered",
    KeyState.VOID: "void",
}
