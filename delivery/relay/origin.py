"""The master's site of relayed keys: draw them, keep them reserved until the last site has them, or give them up.

The order is: place the keys in the store, reserved, which no application can fetch; send; let them go when the last
site has proved that it has the same. A site that refuses for sure ends it at once. Where nobody knows, the keys stay
reserved, across restarts too, until a request to give them up is answered: then both ends have given them up. So at
no instant can the ends hand out different keys, or the master's end a key that the slave's has not got.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from faintlink.core.entropy import Entropy
from faintlink.core.errors import KeyExhaustedError, LocalProtocolError, PeerUnavailableError, ProtocolError
from faintlink.delivery.keystore.model import Assignment, Role
from faintlink.delivery.keystore.sealing import wipe
from faintlink.delivery.keystore.store import KeyStore
from faintlink.delivery.relay.hop import SentRequest, open_answer, seal_request
from faintlink.delivery.relay.node import Surroundings, tell
from faintlink.delivery.relay.packet import MAX_KEYS, MAX_UNITS, Answer, Errand, KeyName, Kind, Verdict
from faintlink.delivery.relay.proof import placed, proof_of
from faintlink.delivery.witness import Event, Witness


@dataclass(frozen=True, slots=True)
class Departure:
    """Keys, or the request to give them up, on their way."""

    sent: SentRequest
    proof: bytes
    """What the last site has to prove; empty for a request to give up."""

    @property
    def errand(self) -> Errand:
        """What is asked for."""
        return self.sent.request.errand

    @property
    def peer(self) -> str:
        """The first site on the way."""
        return self.sent.request.receiver

    @property
    def frame(self) -> bytes:
        """What to send."""
        return self.sent.frame


class RelayOrigin:
    """Sends keys on their way and judges what comes back. Its methods block; not for several threads at once."""

    def __init__(self, around: Surroundings, store: KeyStore, witness: Witness, entropy: Entropy) -> None:
        self._around = around
        self._store = store
        self._witness = witness
        self._entropy = entropy

    def depart(self, errand: Errand) -> Departure:
        """Draw keys, reserve them here and return what to send.

        Raises
        ------
        KeyExhaustedError
            The reserve towards the first site holds too little. Nothing was reserved.
        LocalProtocolError
            The errand cannot travel.
        AuditError, StoreError
            The site cannot work now.
        """
        self._require_ours(errand)
        self._tell(Event.KEYS_RESERVED, errand, "sent")
        payload = bytearray(self._entropy.draw(errand.payload_bytes, "relayed keys"))
        plain = bytearray(payload)
        try:
            sent = self._seal(errand, payload)
            proof = proof_of(errand, plain)
            self._place(sent, plain)
        finally:
            wipe(plain, payload)
        return Departure(sent, proof)

    def arrive(self, departure: Departure, answer: bytes | None) -> float | None:
        """Judge the answer; ``None`` stands for none.

        Returns
        -------
        float or None
            The epsilon of the keys, which are ready now. None when nobody knows whether the last site has them: they
            stay reserved until `arrive_void` says that they were given up.

        Raises
        ------
        KeyExhaustedError
            A hop has too little reserve. The keys are given up.
        PeerUnavailableError
            A site refused. The keys are given up.
        """
        judged = _judge(departure, answer)
        if judged.verdict.is_certain_loss:
            self._give_up(departure.errand, f"refused: {judged.verdict.name.lower()}")
            raise _refusal(judged.verdict, departure.errand)
        if judged.verdict is not Verdict.PLACED or judged.proof != departure.proof:
            return None
        self._tell(Event.KEYS_RELAYED, departure.errand, "arrived", judged.epsilon)
        self._store.acknowledge(departure.errand.key_ids, epsilon=judged.epsilon)
        return judged.epsilon

    def depart_void(self, errand: Errand) -> Departure:
        """Return the request to give up keys; ``errand`` is of `Kind.VOID`.

        Raises
        ------
        KeyExhaustedError
            The reserve towards the first site holds too little.
        """
        self._require_ours(errand)
        return Departure(self._seal(errand, bytearray()), b"")

    def arrive_void(self, departure: Departure, answer: bytes | None) -> bool:
        """Judge the answer to `depart_void` and return whether the keys are given up at both ends."""
        judged = _judge(departure, answer)
        if judged.verdict in (Verdict.VOIDED, Verdict.DELIVERED):
            self._give_up(departure.errand, "nobody knew whether they arrived")
            return True
        return False

    def _give_up(self, errand: Errand, why: str) -> None:
        self._tell(Event.KEYS_VOIDED, errand, why)
        self._store.void(errand.key_ids, reason=f"relay: {why}")

    def _tell(self, event: Event, errand: Errand, what: str, epsilon: float = 0.0) -> None:
        tell(self._witness, event, errand, self._around.site, what=what, epsilon=epsilon)

    def _require_ours(self, errand: Errand) -> None:
        first, second = errand.route[:2]
        is_too_much = len(errand.keys) > MAX_KEYS or errand.units > MAX_UNITS
        if first != self._around.site or second not in self._around.neighbours or is_too_much:
            raise LocalProtocolError(
                f"{self._around.site} cannot send {len(errand.keys)} keys over {' - '.join(errand.route)}",
                hint=f"a route begins at this site and goes over its links, with at most {MAX_KEYS} keys and "
                f"{MAX_UNITS} units at a time",
            )

    def _seal(self, errand: Errand, payload: bytearray) -> SentRequest:
        return seal_request(self._store, errand, 0, payload, epsilon=0.0, block_epsilon=self._around.block_epsilon)

    def _place(self, sent: SentRequest, plain: bytearray) -> None:
        errand = sent.request.errand
        blocks = sorted({unit.block for unit in sent.request.units})
        # What was allowed: what the hops have spent takes its place when they are done.
        self._store.place(
            errand.route[-1], placed(errand, plain), role=Role.MASTER, epsilon=errand.max_epsilon, blocks=blocks
        )


def void_errand(route: Sequence[str], keys: Sequence[Assignment]) -> Errand:
    """Return the errand to give up keys of one pair of applications."""
    return Errand(
        kind=Kind.VOID,
        route=tuple(route),
        master=keys[0].master,
        slave=keys[0].slave,
        keys=tuple(KeyName(key.key_id, key.bits) for key in keys),
        max_epsilon=1.0,
    )


def _judge(departure: Departure, answer: bytes | None) -> Answer:
    if answer is None:
        return Answer(Verdict.UNSURE)
    try:
        return open_answer(departure.sent, answer)
    except ProtocolError:
        return Answer(Verdict.UNSURE)


def _refusal(verdict: Verdict, errand: Errand) -> KeyExhaustedError | PeerUnavailableError:
    way = " - ".join(errand.route)
    if verdict is Verdict.EXHAUSTED:
        return KeyExhaustedError(
            f"a hop of {way} has too little reserve for {len(errand.keys)} keys",
            hint="wait for its link, ask for fewer keys, or give the reserve a greater share",
        )
    return PeerUnavailableError(
        f"relayed keys were refused on {way}: {verdict.name.lower().replace('_', ' ')}",
        hint="compare the network files of the sites; the limit of epsilon is part of them",
    )
