"""A session between two nodes: bytes in, bytes and events out; no sockets, no clocks, no threads.

The order, the same on both sides::

    greeting    fresh nonces; the session's keys follow from both
    reserve     where each reserve of one-time keys stands; both align
    hello       link file, first block never begun, keys that wait for a word; sealed
    verdicts    what became of the waiting keys of an earlier session; sealed
    blocks      several at once; bob begins them, in order, each at most once
    done        bob has no more blocks; sealed

Nothing irrevocable happens before seals: a block that made a key waits until the peer's seal covers every message
that either side sent in it, and until our own seal lets the peer say the same. Only then is a key released, alice
first. A key's release travels outside its block, which is closed by then. Any failure ends the session for good;
keys that wait then are released or destroyed at the next one, on alice's word.

Blocks are released in the order of their numbers, so that both nodes refill their reserves with the same key under
the same number.
"""

import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError, SecurityAbort
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import FIRST_FREE_KIND, RESERVE_KIND, Authenticator, Verifier
from faintlink.postprocess.channel.conversation import SEAL_KIND, Conversation
from faintlink.postprocess.channel.envelope import NONCE_BYTES, Direction, Frame, FrameDecoder
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.channel.reserve_state import ReserveState
from faintlink.postprocess.channel.session import SessionKeys, greeting, read_greeting
from faintlink.postprocess.node.control import Control, Hello, Verdicts, decode_released, encode_released
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.journal import BlockJournal
from faintlink.postprocess.node.machine import BlockMachine, Program, Settled
from faintlink.postprocess.node.messages import Message, decode
from faintlink.postprocess.node.outbox import MORE, Outbox
from faintlink.postprocess.node.wire import Kind

MAX_IN_FLIGHT = 32
"""Blocks at once, at most."""
_MAX_MESSAGE = 1 << 29
_CONTROL_BLOCK = 0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """The peer is known, old keys are settled, blocks may begin."""

    next_block: int
    """First block that neither side ever began."""


@dataclass(frozen=True, slots=True, eq=False)
class BlockEnded:
    """A block is over on this side."""

    number: int
    """Of the block."""
    settled: Settled | None
    """What this side knows of it, with its key; None after a refusal."""
    refusal: SecurityAbort | None
    """Why there is no key, on whichever side it arose."""
    auth_epsilon: float
    """Chance that any seal or frame of the session so far was forged, at most."""


@dataclass(frozen=True, slots=True)
class Over:
    """Both sides said all they had to say."""


Event: TypeAlias = Ready | BlockEnded | Over


class NodeSession:
    """One side of a session.

    Parameters
    ----------
    party
        Alice or Bob.
    link_sha256
        32 bytes, of the link configuration.
    reserve
        One-time keys; the session alone uses it while it lives.
    custody
        Where keys go.
    journal
        Blocks that were begun.
    eps_auth
        What the authentication of one block may add to its key's epsilon, fixed before.
    answer_block
        Alice's: returns her program for a block that Bob begins.
    entropy
        For nonces; that of the operating system by default.
    """

    def __init__(
        self,
        party: Party,
        *,
        link_sha256: bytes,
        reserve: KeyReserve,
        custody: Custody,
        journal: BlockJournal,
        eps_auth: float,
        answer_block: Callable[[int], Program] | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self._party = party
        self._direction = Direction.sent_by(party)
        self._link_sha256 = link_sha256
        self._reserve = reserve
        self._custody = custody
        self._journal = journal
        self._eps_auth = eps_auth
        self._eps_vouched = 0.0
        self._answer_block = answer_block
        self._entropy: Entropy = entropy or OsEntropy()
        self._decoder = FrameDecoder(known_flags=MORE)
        self._nonce = self._entropy.draw(NONCE_BYTES, "channel nonce")
        self._conversation: Conversation | None = None
        self._verifier: Verifier | None = None
        self._outbox: Outbox | None = None
        self._raw = bytearray(greeting(reserve.link, self._direction, self._nonce))
        self._stage: Callable[[Frame, bytes], None] = self._hear_reserve
        self._parts: dict[int, tuple[int, bytearray]] = {}
        self._blocks: dict[int, BlockMachine] = {}
        self._events: deque[Event] = deque()
        self._hello: Hello | None = None
        self._refused: set[int] = set()
        self._released: set[str] = set()
        self._is_ready = False
        self._has_said_done = False
        self._has_heard_done = False
        self._is_over = False

    # -- what a shell does with it

    @property
    def is_ready(self) -> bool:
        """Whether blocks may begin."""
        return self._is_ready and not self._has_said_done

    @property
    def has_met_peer(self) -> bool:
        """Whether somebody who holds the link key is at the other end."""
        return self._hello is not None

    @property
    def has_said_done(self) -> bool:
        """Whether we said that no more blocks come."""
        return self._has_said_done

    @property
    def in_flight(self) -> int:
        """Blocks that have begun and not ended."""
        return len(self._blocks)

    @property
    def is_over(self) -> bool:
        """Whether both sides said that they are done, under seals."""
        return self._is_over

    @property
    def next_block(self) -> int:
        """First block that neither side ever began; known once the session is ready."""
        return self._journal.next_block

    def take_output(self) -> bytes:
        """Return, once, the bytes to send."""
        data = bytes(self._raw)
        self._raw.clear()
        return data + (self._outbox.take() if self._outbox else b"")

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer and return what happened; then there may be output.

        Raises
        ------
        AuthenticationError, RemoteProtocolError
            Somebody interfered, or the peer erred. The session is dead: close the connection.
        KeyExhaustedError
            No one-time keys are left.
        """
        try:
            self._decoder.feed(data)
            for frame in self._decoder.frames():
                if self._verifier is None:
                    self._hear_greeting(frame)
                else:
                    self._hear(self._verifier.accept(frame))
            self._settle()
        except BaseException as error:
            if self._conversation is not None:
                self._conversation.fail(str(error.args[0]) if error.args else type(error).__name__)
            raise
        return self._take_events()

    def start_block(self, number: int, program: Program) -> list[Event]:
        """Begin a block; Bob's alone.

        Raises
        ------
        LocalProtocolError
            The session is not ready, too many blocks are in flight, or the block was begun before.
        """
        if not self.is_ready or self.in_flight >= MAX_IN_FLIGHT:
            raise LocalProtocolError(f"no block can begin now: ready {self.is_ready}, {self.in_flight} in flight")
        self._begin(number, program)
        self._settle()
        return self._take_events()

    def close(self) -> None:
        """End the programs of all blocks in flight; they are lost."""
        for machine in self._blocks.values():
            machine.close()
        self._blocks.clear()

    def finish(self) -> None:
        """Say that no more blocks come; Bob's alone, after his last block ended."""
        if self._blocks:
            raise LocalProtocolError(f"{len(self._blocks)} blocks have not ended")
        self._say_done()

    # -- greeting, reserve, hello, verdicts

    def _hear_greeting(self, frame: Frame) -> None:
        theirs = read_greeting(self._reserve.link, frame, self._direction.opposite)
        alice, bob = (self._nonce, theirs) if self._party is Party.ALICE else (theirs, self._nonce)
        keys = SessionKeys.agree(self._reserve.link, alice_nonce=alice, bob_nonce=bob)
        self._conversation = Conversation(keys, party=self._party, source=self._reserve, entropy=self._entropy)
        self._verifier = Verifier(self._conversation)
        self._outbox = Outbox(self._conversation, Authenticator(self._conversation))
        self._outbox.say(RESERVE_KIND, self._reserve.state().encode())

    def _hear_reserve(self, frame: Frame, payload: bytes) -> None:
        self._expect(frame, RESERVE_KIND)
        self._reserve.align(ReserveState.decode(payload))
        if self._party is Party.ALICE:
            # Nobody but alice releases, so a key that only waits here was released nowhere.
            for key_id in self._custody.prepared():
                self._custody.discard(key_id)
        waiting = tuple(uuid.UUID(key_id) for key_id in self._custody.prepared())
        hello = Hello(self._link_sha256, self._journal.next_block, self._reserve.last_number, waiting)
        self._say_control(Control.HELLO, hello.encode())
        self._seal()
        self._stage = self._hear_hello

    def _hear_hello(self, frame: Frame, payload: bytes) -> None:
        self._expect(frame, Control.HELLO)
        self._hello = Hello.decode(payload)
        if self._hello.link_sha256 != self._link_sha256:
            raise RemoteProtocolError(
                "the nodes do not hold the same link configuration",
                hint="copy the link file from one node to the other, byte for byte",
            )
        self._stage = self._hear_hello_sealed

    def _hear_hello_sealed(self, frame: Frame, payload: bytes) -> None:
        del payload
        self._expect(frame, SEAL_KIND)
        hello = self._heard_hello()
        self._custody.begin_session(max(hello.last_refill, self._reserve.last_number))
        released = tuple(one for one in hello.prepared if self._custody.is_released(str(one)))
        self._say_control(Control.VERDICTS, Verdicts(released).encode())
        self._seal()
        self._stage = self._hear_verdicts

    def _hear_verdicts(self, frame: Frame, payload: bytes) -> None:
        self._expect(frame, Control.VERDICTS)
        self._released = {str(one) for one in Verdicts.decode(payload).released}
        self._stage = self._hear_verdicts_sealed

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
        self._stage = self._hear_block_message
        self._events.append(Ready(first))

    def _heard_hello(self) -> Hello:
        if self._hello is None:
            raise LocalProtocolError("no HELLO was heard")
        return self._hello

    # -- blocks

    def _hear(self, frame: Frame) -> None:
        if frame.header.kind == SEAL_KIND and self._is_ready:
            if self._has_heard_done and not self._is_over:
                self._is_over = True
                self._events.append(Over())
            # Now, not after all that came: what follows the seal may rest on it.
            self._settle()
            return
        payload = self._whole(frame)
        if payload is not None:
            self._stage(frame, payload)

    def _whole(self, frame: Frame) -> bytes | None:
        """Return a whole message, joined from the frames of its block that it was cut into; None before its end."""
        header = frame.header
        if not header.flags & MORE and header.block not in self._parts:
            return frame.payload
        kind, parts = self._parts.setdefault(header.block, (header.kind, bytearray()))
        parts += frame.payload
        if kind != header.kind or len(parts) > _MAX_MESSAGE:
            raise RemoteProtocolError(f"a message of kind {kind} goes on as {header.kind}, or has {len(parts)} bytes")
        return None if header.flags & MORE else bytes(self._parts.pop(header.block)[1])

    def _hear_block_message(self, frame: Frame, payload: bytes) -> None:
        kind, block = frame.header.kind, frame.header.block
        if block == _CONTROL_BLOCK:
            self._hear_control(kind, payload)
            return
        number = block - 1
        message = decode(kind - FIRST_FREE_KIND, payload)
        if number in self._refused:
            # Was on its way when we refused the block.
            return
        if number not in self._blocks:
            self._begin_answering(number, message)
        self._give(number, message)

    def _hear_control(self, kind: int, payload: bytes) -> None:
        if kind == Control.RELEASED:
            number, rest = decode_released(payload)
            if number not in self._blocks:
                raise RemoteProtocolError(f"block {number} is released, which is not in flight")
            self._give(number, decode(Kind.RELEASE, rest))
        elif kind == Control.DONE and not self._has_heard_done:
            self._has_heard_done = True
            if not self._has_said_done:
                self._say_done()
        else:
            raise RemoteProtocolError(f"a control message of kind {kind} is not due")

    def _begin_answering(self, number: int, message: Message) -> None:
        if self._answer_block is None or message.kind is not Kind.DETECTIONS:
            raise RemoteProtocolError(f"a {message.kind.name} of block {number} came, which is not in flight")
        if number < self._journal.next_block:
            raise RemoteProtocolError(f"block {number} was begun before")
        if self.in_flight >= MAX_IN_FLIGHT or self._has_said_done:
            raise RemoteProtocolError(f"block {number} begins, {self.in_flight} are in flight")
        self._begin(number, self._answer_block(number))

    def _begin(self, number: int, program: Program) -> None:
        self._journal.begin(number)
        machine = BlockMachine(program)
        self._blocks[number] = machine
        self._send(number, machine.start())

    def _give(self, number: int, message: Message) -> None:
        machine = self._blocks[number]
        self._send(number, machine.receive(message))

    def _send(self, number: int, messages: list[Message]) -> None:
        for message in messages:
            payload = message.encode()
            if message.kind is Kind.RELEASE:
                self._say_control(Control.RELEASED, encode_released(number, payload))
            else:
                self._require_outbox().say(FIRST_FREE_KIND + message.kind, payload, block=number + 1)
        machine = self._blocks[number]
        if machine.is_done:
            del self._blocks[number]
            if machine.aborted is not None:
                self._refused.add(number)
            epsilon = self._require_conversation().epsilon_part().value
            self._events.append(BlockEnded(number, machine.settled, machine.aborted, epsilon))

    # -- seals

    def _settle(self) -> None:
        """Seal what waits for a seal, vouch for what is covered, until nothing moves."""
        if self._outbox is None:
            return
        moves = True
        while moves:
            self._outbox.pump()
            waiting = [number for number, machine in sorted(self._blocks.items()) if machine.awaits_vouch]
            if waiting and self._outbox.is_empty and any(self._lacks_our_seal(number) for number in waiting):
                self._seal()
            moves = any(self._vouch(number) for number in waiting)

    def _lacks_our_seal(self, number: int) -> bool:
        return self._require_outbox().lacks_seal(number + 1)

    def _vouch(self, number: int) -> bool:
        """Let a block go on if both seals cover it; alice goes by the order of the numbers."""
        conversation = self._require_conversation()
        if self._party is Party.ALICE and number != min(self._blocks):
            return False
        if self._lacks_our_seal(number) or not conversation.coverage(number + 1).is_complete:
            return False
        spent = conversation.epsilon_part().value
        if spent - self._eps_vouched > self._eps_auth:
            raise LocalProtocolError(
                f"authentication spent {spent - self._eps_vouched:.3g} on block {number}, "
                f"eps_auth is {self._eps_auth:.3g}",
                hint="raise security: eps_auth in the link files before the next run",
            )
        self._eps_vouched = spent
        conversation.release(number + 1)
        self._send(number, self._blocks[number].vouched())
        return True

    def _seal(self) -> None:
        self._require_outbox().seal()

    # -- small things

    def _say_control(self, kind: Control, payload: bytes) -> None:
        self._require_outbox().say(kind, payload, block=_CONTROL_BLOCK)

    def _say_done(self) -> None:
        self._say_control(Control.DONE, b"")
        self._has_said_done = True
        self._seal()

    def _expect(self, frame: Frame, kind: int) -> None:
        if frame.header.kind != kind or frame.header.block != _CONTROL_BLOCK:
            raise RemoteProtocolError(f"a message of kind {frame.header.kind} came where {int(kind)} is due")

    def _require_outbox(self) -> Outbox:
        if self._outbox is None:
            raise LocalProtocolError("nothing can be said before the greetings")
        return self._outbox

    def _require_conversation(self) -> Conversation:
        if self._conversation is None:
            raise AuthenticationError("no session was agreed on")
        return self._conversation

    def _take_events(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        return events
