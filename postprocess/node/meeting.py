"""How a session begins: greetings, aligned reserves, the sealed hello, and what becomes of keys that wait.

Used by `faintlink.postprocess.node.session` alone. Nothing of the reserve is spent before the peer has shown, by the
tag of a frame under the session's fresh key, that it holds the link key.
"""

import uuid
from collections.abc import Callable

from faintlink.core.entropy import Entropy
from faintlink.core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import RESERVE_KIND, Authenticator, Verifier
from faintlink.postprocess.channel.conversation import SEAL_KIND, Conversation
from faintlink.postprocess.channel.envelope import NONCE_BYTES, Direction, Frame
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.channel.reserve_state import ReserveState
from faintlink.postprocess.channel.session import SessionKeys, greeting, read_greeting
from faintlink.postprocess.node.control import CONTROL_BLOCK, Control, Hello, Verdicts
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.journal import BlockJournal
from faintlink.postprocess.node.outbox import Outbox


class Meeting:
    """One side of the beginning of a session.

    Parameters
    ----------
    party, link_sha256, reserve, custody, journal, entropy
        As for `faintlink.postprocess.node.session.NodeSession`.
    """

    def __init__(
        self,
        party: Party,
        *,
        link_sha256: bytes,
        reserve: KeyReserve,
        custody: Custody,
        journal: BlockJournal,
        entropy: Entropy,
    ) -> None:
        self._party = party
        self._direction = Direction.sent_by(party)
        self._link_sha256 = link_sha256
        self._reserve = reserve
        self._custody = custody
        self._journal = journal
        self._entropy = entropy
        self._nonce = entropy.draw(NONCE_BYTES, "channel nonce")
        self._next: Callable[[Frame, bytes], None] = self._hear_reserve
        self._hello: Hello | None = None
        self._verifier: Verifier | None = None
        self._conversation: Conversation | None = None
        self._outbox: Outbox | None = None
        self._released: set[str] = set()
        self._is_ready = False

    @property
    def is_ready(self) -> bool:
        """Whether old keys are settled and blocks may begin."""
        return self._is_ready

    @property
    def has_greeted(self) -> bool:
        """Whether the peer's greeting came, which may be a replay."""
        return self._conversation is not None

    @property
    def has_met_peer(self) -> bool:
        """Whether somebody who holds the link key is at the other end."""
        return self._hello is not None

    @property
    def conversation(self) -> Conversation:
        """The session's state."""
        if self._conversation is None:
            raise AuthenticationError("no session was agreed on")
        return self._conversation

    @property
    def verifier(self) -> Verifier:
        """Judges the peer's frames."""
        if self._verifier is None:
            raise AuthenticationError("no session was agreed on")
        return self._verifier

    @property
    def outbox(self) -> Outbox:
        """What goes to the peer."""
        if self._outbox is None:
            raise LocalProtocolError("nothing can be said before the greetings")
        return self._outbox

    def greeting(self) -> bytes:
        """Return our greeting."""
        return greeting(self._reserve.link, self._direction, self._nonce)

    def hear_greeting(self, frame: Frame) -> None:
        """Take the peer's greeting; the session's keys follow from both."""
        theirs = read_greeting(self._reserve.link, frame, self._direction.opposite)
        alice, bob = (self._nonce, theirs) if self._party is Party.ALICE else (theirs, self._nonce)
        keys = SessionKeys.agree(self._reserve.link, alice_nonce=alice, bob_nonce=bob)
        self._conversation = Conversation(keys, party=self._party, source=self._reserve, entropy=self._entropy)
        self._verifier = Verifier(self._conversation)
        self._outbox = Outbox(self._conversation, Authenticator(self._conversation))
        self._outbox.say(RESERVE_KIND, self._reserve.state().encode())

    def hear(self, frame: Frame, payload: bytes) -> None:
        """Take the peer's next message.

        Raises
        ------
        RemoteProtocolError
            It is not what is due, or the nodes do not fit together.
        """
        self._next(frame, payload)

    def _hear_reserve(self, frame: Frame, payload: bytes) -> None:
        self._expect(frame, RESERVE_KIND)
        self._reserve.align(ReserveState.decode(payload))
        if self._party is Party.ALICE:
            # Nobody but alice releases, so a key that only waits here was released nowhere.
            for key_id in self._custody.prepared():
                self._custody.discard(key_id)
        waiting = tuple(uuid.UUID(key_id) for key_id in self._custody.prepared())
        hello = Hello(self._link_sha256, self._journal.next_block, self._reserve.last_number, waiting)
        self.outbox.say(Control.HELLO, hello.encode())
        self.outbox.seal()
        self._next = self._hear_hello

    def _hear_hello(self, frame: Frame, payload: bytes) -> None:
        self._expect(frame, Control.HELLO)
        self._hello = Hello.decode(payload)
        if self._hello.link_sha256 != self._link_sha256:
            raise RemoteProtocolError(
                "the nodes do not hold the same link configuration",
                hint="copy the link file from one node to the other, byte for byte",
            )
        self._next = self._hear_hello_sealed

    def _hear_hello_sealed(self, frame: Frame, payload: bytes) -> None:
        del payload
        self._expect(frame, SEAL_KIND)
        hello = self._heard_hello()
        self._custody.begin_session(max(hello.last_refill, self._reserve.last_number))
        released = tuple(one for one in hello.prepared if self._custody.is_released(str(one)))
        self.outbox.say(Control.VERDICTS, Verdicts(released).encode())
        self.outbox.seal()
        self._next = self._hear_verdicts

    def _hear_verdicts(self, frame: Frame, payload: bytes) -> None:
        self._expect(frame, Control.VERDICTS)
        self._released = {str(one) for one in Verdicts.decode(payload).released}
        self._next = self._hear_verdicts_sealed

    def _hear_verdicts_sealed(self, frame: Frame, payload: bytes) -> None:
        del payload
        self._expect(frame, SEAL_KIND)
        for key_id in self._custody.prepared():
            settle = self._custody.release if key_id in self._released else self._custody.discard
            settle(key_id)
        first = max(self._heard_hello().next_block, self._journal.next_block)
        if first > self._journal.next_block:
            self._journal.begin(first - 1)
        self._is_ready = True

    def _heard_hello(self) -> Hello:
        if self._hello is None:
            raise LocalProtocolError("no HELLO was heard")
        return self._hello

    def _expect(self, frame: Frame, kind: int) -> None:
        if frame.header.kind != kind or frame.header.block != CONTROL_BLOCK:
            raise RemoteProtocolError(f"a message of kind {frame.header.kind} came where {int(kind)} is due")
