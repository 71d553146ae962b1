"""What a site does with relay requests of its neighbours: pass keys on, take them in, give them up; without I/O.

`RelayNode.accept` judges a request. At the last site of the route it does what is asked and returns the answer. At a
site on the way it returns an `Onward` request, for the caller to send; `RelayNode.conclude` makes the answer out of
what came back, or did not. A site on the way has the keys in the clear for the moment in which it exchanges one pad
for the next: it is trusted with them. It keeps nothing of them.

What is refused without the peer's tag (malformed, not for this site, repeated, forged) raises and gets no answer; the
master's site then gives the keys up.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

from faintlink.core.entropy import OsEntropy
from faintlink.core.errors import DeliveryError, KeyExhaustedError, KeyUnknownError, ProtocolError, RemoteProtocolError
from faintlink.delivery.keystore.model import Assignment, KeyRecord, KeyState, Role
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.hop import (
    OpenedRequest,
    SentRequest,
    open_answer,
    open_request,
    seal_answer,
    seal_request,
)
from faintlink.delivery.relay.packet import Answer, Errand, KeyName, Kind, Request, Verdict, decode_request
from faintlink.delivery.relay.proof import placed, proof_of
from faintlink.delivery.relay.tagkeys import TagKeys
from faintlink.delivery.witness import Event, Fact, Witness

_GIVEN_UP = "given up by the master's site"
_log = logging.getLogger(__name__)


class Surroundings(Protocol):
    """What a site knows of itself and its neighbours; asked anew for each request."""

    @property
    def site(self) -> str:
        """Its name."""
        ...

    @property
    def neighbours(self) -> Collection[str]:
        """Sites that a link joins to this one."""
        ...

    @property
    def applications(self) -> Collection[str]:
        """Applications at this site."""
        ...

    def block_epsilon(self, block: str) -> float:
        """Return the security parameter of a distilled block shared with a neighbour."""
        ...


@dataclass(frozen=True, slots=True)
class Onward:
    """A request to be sent to the next site before the one that it came of can be answered."""

    opened: OpenedRequest
    sent: SentRequest

    @property
    def peer(self) -> str:
        """The next site."""
        return self.sent.request.receiver

    @property
    def frame(self) -> bytes:
        """What to send."""
        return self.sent.frame


class RelayNode:
    """A site on the way of relayed keys, or at its end. Its methods block; not for several threads at once."""

    def __init__(self, around: Surroundings, store: KeyStore, witness: Witness) -> None:
        self._around = around
        self._store = store
        self._witness = witness
        self._tag_keys = TagKeys(store)

    def forget(self) -> None:
        """Overwrite what is kept in memory of requests that were forged or have not come."""
        self._tag_keys.wipe()

    def accept(self, peer: str, frame: bytes) -> bytes | Onward:
        """Judge a request that came from ``peer``, whom the caller has authenticated.

        Returns
        -------
        bytes or Onward
            The answer, or what has to be sent on first.

        Raises
        ------
        RemoteProtocolError
            It is no request, or not one from this peer to this site. No unit was used up.
        KeyUnknownError
            It names units that were used before: a repetition. No unit was used up.
        AuthenticationError
            Its tag is wrong. The honest request with this key, before or after it, is accepted all the same.
        AuditError, StoreError
            The site cannot work now.
        """
        request = decode_request(frame)
        if (request.sender, request.receiver) != (peer, self._around.site):
            raise RemoteProtocolError(
                f"{peer} sent a relay request from {request.sender} to {request.receiver}",
                hint="the sites' names in the network file and in the certificates must agree",
            )
        opened = open_request(self._tag_keys, peer, request, frame)
        try:
            return self._act(opened)
        finally:
            wipe(opened.payload)

    def conclude(self, onward: Onward, answer: bytes | None) -> bytes:
        """Return the answer to a request that was passed on.

        Parameters
        ----------
        onward
            As `accept` returned it.
        answer
            What the next site answered; None when it did not.
        """
        try:
            judged = open_answer(onward.sent, answer) if answer is not None else Answer(Verdict.UNSURE)
        except ProtocolError as error:
            _log.warning("the answer of %s on a relayed key is refused: %s", onward.peer, error.message)
            judged = Answer(Verdict.UNSURE)
        return seal_answer(onward.opened, Answer(judged.verdict, judged.epsilon, judged.proof))

    def _act(self, opened: OpenedRequest) -> bytes | Onward:
        request = opened.request
        if not request.is_last_hop:
            return self._pass_on(opened)
        answer = self._give_up(request) if request.errand.kind is Kind.VOID else self._take_in(opened)
        return seal_answer(opened, answer)

    def _pass_on(self, opened: OpenedRequest) -> bytes | Onward:
        errand, hop = opened.request.errand, opened.request.hop + 1
        if errand.route[hop + 1] not in self._around.neighbours:
            return seal_answer(opened, Answer(Verdict.NO_WAY))
        try:
            if errand.kind is Kind.KEYS:
                self._tell(Event.KEYS_RELAYED, errand, "passed on", opened.request.epsilon)
            sent = seal_request(
                self._store,
                errand,
                hop,
                opened.payload,
                epsilon=opened.request.epsilon,
                block_epsilon=self._around.block_epsilon,
            )
        except KeyExhaustedError:
            return seal_answer(opened, Answer(Verdict.EXHAUSTED))
        except DeliveryError as error:
            _log.warning("relayed keys are not passed on: %s", error.message)
            return seal_answer(opened, Answer(Verdict.REFUSED))
        if sent.request.epsilon > errand.max_epsilon and errand.kind is Kind.KEYS:
            return seal_answer(opened, Answer(Verdict.LIMIT))
        return Onward(opened, sent)

    def _take_in(self, opened: OpenedRequest) -> Answer:
        request, errand = opened.request, opened.request.errand
        if errand.slave not in self._around.applications or any(map(self._is_given_up, errand.keys)):
            return Answer(Verdict.REFUSED)
        if request.epsilon > errand.max_epsilon:
            return Answer(Verdict.LIMIT)
        try:
            self._tell(Event.KEYS_RELAYED, errand, "taken in", request.epsilon)
            self._place(request, opened.payload)
        except DeliveryError as error:
            _log.warning("relayed keys are not taken in: %s", error.message)
            # Nobody knows whether they were placed: the master's site gives them up.
            return Answer(Verdict.UNSURE)
        return Answer(Verdict.PLACED, request.epsilon, proof_of(errand, opened.payload))

    def _place(self, request: Request, payload: bytearray) -> None:
        errand = request.errand
        blocks = sorted({unit.block for unit in request.units})
        self._store.place(
            errand.route[0], placed(errand, payload), role=Role.SLAVE, epsilon=request.epsilon, blocks=blocks
        )

    def _give_up(self, request: Request) -> Answer:
        errand = request.errand
        if errand.slave not in self._around.applications:
            return Answer(Verdict.REFUSED)
        ours = [key for key in errand.keys if self._is_from(errand.route[0], key) or self._bar(errand, key)]
        if ours:
            self._tell(Event.KEYS_VOIDED, replace(errand, keys=tuple(ours)), _GIVEN_UP)
        names = [key.key_id for key in ours]
        voided = self._store.void(names, reason=_GIVEN_UP)
        late = [name for name in names if name not in voided and self._store.record(name).state is KeyState.DELIVERED]
        return Answer(Verdict.DELIVERED if late else Verdict.VOIDED)

    def _bar(self, errand: Errand, key: KeyName) -> bool:
        """Take a name that is not known yet, so that its key is not taken in should it still be on its way.

        The store keeps it: the request may come late, and after a restart.
        """
        if self._record(key) is not None:
            return False
        assignment = Assignment(key.key_id, key.bits, errand.master, errand.slave, ())
        # Of random bits: should the site die before the name is given up, nobody can foresee what is behind it.
        nothing = OsEntropy().draw((key.bits + 7) // 8, "barred name")
        self._store.place(errand.route[0], [(assignment, nothing)], role=Role.SLAVE, epsilon=1.0, blocks=())
        return True

    def _record(self, key: KeyName) -> KeyRecord | None:
        try:
            return self._store.record(key.key_id)
        except KeyUnknownError:
            return None

    def _is_from(self, site: str, key: KeyName) -> bool:
        record = self._record(key)
        return record is not None and (record.peer, record.role) == (site, Role.SLAVE)

    def _is_given_up(self, key: KeyName) -> bool:
        record = self._record(key)
        return record is not None and record.state is KeyState.VOID

    def _tell(self, event: Event, errand: Errand, what: str, epsilon: float = 0.0) -> None:
        tell(self._witness, event, errand, self._around.site, what=what, epsilon=epsilon)


def tell(witness: Witness, event: Event, errand: Errand, site: str, *, what: str, epsilon: float = 0.0) -> None:
    """Note what happens to relayed keys, before it does."""
    about: dict[str, str | int | float | list[str]] = {
        "what": what,
        "key_ids": errand.key_ids,
        "route": list(errand.route),
        "master": errand.master,
        "slave": errand.slave,
    }
    if epsilon:
        about["epsilon"] = epsilon
    witness.note(Fact(event, site, about))
