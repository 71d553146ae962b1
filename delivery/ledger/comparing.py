"""Bring two sites' ledgers together after anything may have been lost between them.

Run by each site against the other, at every reconnect and now and then: keys that this site promised and nobody agreed
to are given up, keys that the other site gave up are given up here, and stock that the other site no longer holds is
destroyed. When both sites have run it, they hold the same.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from faintlink.delivery.keystore.model import BlockLedger, Role, UnitId
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.ledger.messages import (
    AskBitmaps,
    AskBlocks,
    AskStates,
    Bitmaps,
    Blocks,
    Hello,
    States,
    Void,
    Voided,
    block_digest,
    free_units,
    ledger_digest,
    pieces,
)
from faintlink.delivery.ledger.notary import Notary
from faintlink.delivery.ledger.terms import Program, Terms, expect
from faintlink.delivery.ledger.view import promised_and_free
from faintlink.delivery.witness import Event, Fact

_log = logging.getLogger(__name__)
_KEYS_AT_ONCE = 1000
_BLOCKS_AT_ONCE = 256


@dataclass(slots=True)
class Suspicions:
    """Units that the other site seems not to hold: believed when seen again after a while.

    A unit that one site has taken for its own use is on its way to the other for a moment; a block is taken into two
    stores one after the other. Only what stays different is different.
    """

    grace_s: float
    """How long a difference must last, s."""
    clock: Callable[[], float] = time.monotonic
    _since: dict[UnitId, float] = field(default_factory=dict)

    def ripe(self, units: Collection[UnitId]) -> list[UnitId]:
        """Return those of ``units`` that were missing for long enough and keep the rest of them in mind."""
        now = self.clock()
        since = {unit: self._since.get(unit, now) for unit in units}
        ripe = sorted(unit for unit, first in since.items() if now - first >= self.grace_s)
        self._since = {unit: first for unit, first in since.items() if now - first < self.grace_s}
        return ripe

    @property
    def count(self) -> int:
        """Number of units in suspicion."""
        return len(self._since)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found and did."""

    instance: str
    """Of the other site's process."""
    given_up: int
    """Keys that this site had promised and that nobody agreed to."""
    voided: int
    """Keys given up here because the other site had given them up."""
    retired: int
    """Units destroyed here because the other site no longer holds them."""
    suspected: int
    """Units that differ and are left for the next comparison."""

    @property
    def divergence(self) -> int:
        """Number of differences found."""
        return self.given_up + self.voided + self.retired + self.suspected


def reconcile(
    store: KeyStore,
    terms: Terms,
    *,
    busy: Collection[str],
    suspicions: Suspicions,
    notary: Notary,
    keep_waiting: timedelta = timedelta(days=30),
) -> Program[Comparison]:
    """Bring this site's ledger in line with the other's.

    Parameters
    ----------
    store, terms, notary
        Of this site, towards the other.
    busy
        Names of keys that are being agreed to at this moment; asked for again whenever it matters.
    suspicions
        Kept between comparisons.
    keep_waiting
        How long a key waits for the slave's application.
    """
    hello = expect((yield terms.hello()), Hello)
    terms.check(hello)
    given_up = yield from _give_up_own(store, terms.peer, busy)
    _give_up_old(store, terms.peer, keep_waiting)
    voided = yield from _follow(store, terms.peer)
    retired = yield from _compare_blocks(store, terms.peer, suspicions)
    found = Comparison(hello.instance, given_up, voided, retired, suspicions.count)
    if found.divergence:
        _log.info("ledgers compared with %s: %s", terms.peer, found)
        about = {"given_up": given_up, "voided": voided, "retired": retired, "suspected": found.suspected}
        notary.note_soon(Fact(Event.LEDGERS_COMPARED, terms.peer, about))
    return found


def _give_up_own(store: KeyStore, peer: str, busy: Collection[str]) -> Program[int]:
    """Give up what was promised by a process that ended before it could hand it out."""
    # A relayed key is made of no units and is not agreed to here.
    names = [key.key_id for key in store.unsettled(peer) if key.units]
    names += [
        record.assignment.key_id
        for record in store.waiting(peer)
        if record.role is Role.MASTER and record.assignment.units
    ]
    lost = [name for name in names if name not in busy]
    reason = "not agreed to when the site stopped or lost the other"
    given_up = store.void(lost, reason=reason) if lost else []
    for some in pieces(given_up, _KEYS_AT_ONCE):
        expect((yield Void(key_ids=tuple(some), reason=reason)), Voided)
    return len(given_up)


def _follow(store: KeyStore, peer: str) -> Program[int]:
    """Give up what the other site, which had promised it, gave up or does not know."""
    waiting = [record.assignment.key_id for record in store.waiting(peer) if record.role is Role.SLAVE]
    voided = 0
    for some in pieces(waiting, _KEYS_AT_ONCE):
        states = expect((yield AskStates(key_ids=tuple(some))), States).states
        dead = [key_id for key_id, state in zip(some, states, strict=False) if state in ("void", "unknown")]
        if dead:
            voided += len(store.void(dead, reason=f"{peer} gave it up"))
    return voided


def _give_up_old(store: KeyStore, peer: str, keep: timedelta) -> None:
    """Give up copies that nobody has fetched for long: the master's application has lost their names."""
    end = datetime.now(UTC) - keep
    old = [
        record.assignment.key_id
        for record in store.waiting(peer)
        if record.role is Role.SLAVE and datetime.fromisoformat(record.created_utc) < end
    ]
    if old:
        store.void(old, reason="nobody fetched it")
        _log.warning("%d keys of %s were not fetched in %s and are given up", len(old), peer, keep)


def _compare_blocks(store: KeyStore, peer: str, suspicions: Suspicions) -> Program[int]:
    mine = promised_and_free(store, peer)
    theirs = expect((yield AskBlocks(digest=ledger_digest(mine))), Blocks)
    if theirs.is_same:
        suspicions.ripe(())
        return 0
    seen = dict(theirs.digests)
    unlike = [ledger for ledger in mine if seen.get(ledger.block) != block_digest(ledger)]
    unlike = [ledger for ledger in unlike if ledger.block not in theirs.at_hand]
    missing: set[UnitId] = set()
    for some in pieces(unlike, _BLOCKS_AT_ONCE):
        answer = expect((yield AskBitmaps(blocks=tuple(ledger.block for ledger in some))), Bitmaps)
        held = {bitmap.block: bitmap.free_units() for bitmap in answer.bitmaps}
        missing |= {unit for ledger in some for unit in _missing(ledger, held.get(ledger.block, frozenset()))}
    # What is promised here is not in the stock any more: it is settled as a key.
    stock = {ledger.block: free_units(ledger) for ledger in store.ledger(peer)}
    gone = suspicions.ripe({unit for unit in missing if unit.number in stock.get(unit.block, ())})
    return store.retire(peer, gone, reason=f"{peer} no longer holds it") if gone else 0


def _missing(ledger: BlockLedger, held: frozenset[int]) -> set[UnitId]:
    return {UnitId(ledger.block, number) for number in free_units(ledger) - held}
