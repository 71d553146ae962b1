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

from collections import deque
from collections.abc import Callable
from typing import Any

from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.auth import FIRST_FREE_KIND
from faintlink.postprocess.channel.conversation import SEAL_KIND
from faintlink.postprocess.channel.envelope import MAX_PAYLOAD, Frame, FrameDecoder
from faintlink.postprocess.channel.reserve import KeyReserve
from faintlink.postprocess.node.control import CONTROL_BLOCK, Control, decode_released, encode_released
from faintlink.postprocess.node.custody import Custody
from faintlink.postprocess.node.events import BlockEnded, Event, Over, Ready
from faintlink.postprocess.node.journal import BlockJournal
from faintlink.postprocess.node.machine import BlockMachine, Program, Work
from faintlink.postprocess.node.meeting import Meeting
from faintlink.postprocess.node.messages import Message, decode
from faintlink.postprocess.node.outbox import MORE
from faintlink.postprocess.node.wire import Kind

MAX_IN_FLIGHT = 32
"""Blocks at once, at most."""
_MAX_MESSAGE = 1 << 29


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
    offloads
        Whether the shell sees to `take_work`; otherwise long computations are done on the spot.
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
        offloads: bool = False,
    ) -> None:
        self._party = party
        self._offloads = offloads
        self._work: list[tuple[int, Work]] = []
        self._journal = journal
        self._eps_auth = eps_auth
        self._eps_vouched = 0.0
        self._answer_block = answer_block
        self._meeting = Meeting(
            party,
            link_sha256=link_sha256,
            reserve=reserve,
            custody=custody,
            journal=journal,
            entropy=entropy or OsEntropy(),
        )
        # A greeting has no payload; a stranger shall not make us hold one.
        self._decoder = FrameDecoder(max_payload=0, known_flags=MORE)
        self._raw = bytearray(self._meeting.greeting())
        self._parts: dict[int, tuple[int, bytearray]] = {}
        self._blocks: dict[int, BlockMachine] = {}
        self._events: deque[Event] = deque()
        self._refused: set[int] = set()
        self._has_said_done = False
        self._has_heard_done = False
        self._is_over = False

    # -- what a shell does with it

    @property
    def is_ready(self) -> bool:
        """Whether blocks may begin."""
        return self._meeting.is_ready and not self._has_said_done

    @property
    def has_met_peer(self) -> bool:
        """Whether somebody who holds the link key is at the other end."""
        return self._meeting.has_met_peer

    @property
    def in_flight(self) -> int:
        """Blocks that have begun and not ended."""
        return len(self._blocks)

    @property
    def missing(self) -> int:
        """Bytes of the peer that are needed at least before anything can happen."""
        return self._decoder.missing

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
        return data + (self._meeting.outbox.take() if self._meeting.has_greeted else b"")

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
                if self._meeting.has_greeted:
                    self._hear(self._meeting.verifier.accept(frame))
                else:
                    self._meeting.hear_greeting(frame)
                    self._decoder.max_payload = MAX_PAYLOAD
            self._settle()
        except BaseException as error:
            if self._meeting.has_greeted:
                self._meeting.conversation.fail(str(error.args[0]) if error.args else type(error).__name__)
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

    def take_work(self) -> list[tuple[int, Work]]:
        """Return, once, what is to be computed for blocks: their numbers and the work, to be done in this order."""
        work, self._work = self._work, []
        return work

    def worked(self, number: int, result: Any = None, *, error: BaseException | None = None) -> list[Event]:
        """Take what came of a block's work, and return what happened; a block that ended meanwhile is passed over.

        Raises
        ------
        RemoteProtocolError
            The peer erred meanwhile. The session is dead: close the connection.
        """
        if number in self._blocks:
            self._send(number, self._blocks[number].worked(result, error=error))
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

    # -- blocks

    def _hear(self, frame: Frame) -> None:
        if frame.header.kind == SEAL_KIND and self._meeting.is_ready:
            if self._has_heard_done and not self._is_over:
                self._is_over = True
                self._events.append(Over())
            # Now, not after all that came: what follows the seal may rest on it.
            self._settle()
            return
        payload = self._whole(frame)
        if payload is None:
            return
        if self._meeting.is_ready:
            self._hear_block_message(frame, payload)
        else:
            self._meet(frame, payload)

    def _meet(self, frame: Frame, payload: bytes) -> None:
        self._meeting.hear(frame, payload)
        if self._meeting.is_ready:
            self._events.append(Ready(self._journal.next_block))

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
        if block == CONTROL_BLOCK:
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
        machine = BlockMachine(program, offloads=self._offloads)
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
                self._meeting.outbox.say(FIRST_FREE_KIND + message.kind, payload, block=number + 1)
        machine = self._blocks[number]
        work = machine.take_work()
        if work is not None:
            self._work.append((number, work))
        if machine.is_done:
            del self._blocks[number]
            if machine.aborted is not None:
                self._refused.add(number)
            epsilon = self._meeting.conversation.epsilon_part().value
            self._events.append(BlockEnded(number, machine.settled, machine.aborted, epsilon))

    # -- seals

    def _settle(self) -> None:
        """Seal what waits for a seal, vouch for what is covered, until nothing moves."""
        if not self._meeting.is_ready:
            return
        outbox = self._meeting.outbox
        moves = True
        while moves:
            outbox.pump()
            waiting = [number for number, machine in sorted(self._blocks.items()) if machine.awaits_vouch]
            if waiting and outbox.is_empty and any(self._lacks_our_seal(number) for number in waiting):
                outbox.seal()
            moves = any(self._vouch(number) for number in waiting)

    def _lacks_our_seal(self, number: int) -> bool:
        return self._meeting.outbox.lacks_seal(number + 1)

    def _vouch(self, number: int) -> bool:
        """Let a block go on if both seals cover it; alice goes by the order of the numbers."""
        conversation = self._meeting.conversation
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

    # -- small things

    def _say_control(self, kind: Control, payload: bytes) -> None:
        self._meeting.outbox.say(kind, payload, block=CONTROL_BLOCK)

    def _say_done(self) -> None:
        self._say_control(Control.DONE, b"")
        self._has_said_done = True
        self._meeting.outbox.seal()

    def _take_events(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        return events
