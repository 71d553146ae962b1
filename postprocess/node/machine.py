"""Run one side of a block as a program that says and hears messages; no sockets, no threads, no bytes.

A program is a generator: it yields `Say` to send, `Hear` to wait for a message and `Vouch` to wait until the channel
vouches for all that was said, and returns a `Settled`. `BlockMachine` drives it. A `SecurityAbort` inside a program
is told to the other side as `Abort` and becomes the outcome; a message that is not the one waited for is a
`RemoteProtocolError`, told as `Abort` as well and raised.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from faintlink.core.errors import (
    LocalProtocolError,
    MonitorVetoError,
    NotEnoughSignalsError,
    QberTooHighError,
    RemoteProtocolError,
    SecurityAbort,
    VerificationFailedError,
)
from faintlink.core.records import DecoyCounts, SecretKey
from faintlink.postprocess.node.distilling import Abort
from faintlink.postprocess.node.messages import Message
from faintlink.postprocess.qkd.stages import StageReport
from faintlink.postprocess.security.ledger import EpsilonLedger
from faintlink.postprocess.security.result import BoundResult

_ABORTS: dict[str, type[SecurityAbort]] = {
    one.__name__: one for one in (QberTooHighError, NotEnoughSignalsError, MonitorVetoError, VerificationFailedError)
}


@dataclass(frozen=True, slots=True)
class Say:
    """A message to send."""

    message: Message
    """What to send."""


@dataclass(frozen=True, slots=True)
class Hear:
    """Wait for a message of one of these kinds."""

    kinds: tuple[type[Any], ...]
    """Classes of `Message` that are allowed next."""


@dataclass(frozen=True, slots=True)
class Vouch:
    """Wait until the channel vouches for every message of the block so far: nothing irrevocable is done before."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """What one side knows of a finished block."""

    number: int
    """Of the block."""
    counts: DecoyCounts
    """Detections and errors."""
    bound: BoundResult | None
    """Key length with every term; None if the block was refused before."""
    ledger: EpsilonLedger
    """Every way in which the key may be imperfect; empty without a key."""
    stages: tuple[StageReport, ...]
    """One report per stage."""
    key: SecretKey | None
    """This side's key; None when refused."""
    refusal: SecurityAbort | None
    """Why there is no key."""


Result = TypeVar("Result")
Steps: TypeAlias = Generator[Say | Hear | Vouch, "Message | None", Result]
"""A stretch of a program that returns a result, for ``yield from``."""
Program: TypeAlias = Steps[Settled]
"""One side of one block."""
Heard = TypeVar("Heard", bound=Message)


def hear(kind: type[Heard]) -> Steps[Heard]:
    """Return the next message, which must be of this kind."""
    heard = yield Hear((kind,))
    if not isinstance(heard, kind):
        raise LocalProtocolError(f"a program that waits for {kind.__name__} was sent {heard!r}")
    return heard


def say_and_hear(message: Message, kind: type[Heard]) -> Steps[Heard]:
    """Send a message and return the answer, which must be of this kind."""
    yield Say(message)
    return (yield from hear(kind))


class BlockMachine:
    """Drives the program of one side of one block.

    Parameters
    ----------
    program
        A generator that has not started.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._waits: tuple[type[Any], ...] = ()
        self.awaits_vouch = False
        """Whether the block goes on with `vouched`, and not with a message."""
        self.settled: Settled | None = None
        """The outcome, once there is one."""
        self.aborted: SecurityAbort | None = None
        """The refusal that ended the block, on whichever side it arose."""
        self.has_refused = False
        """Whether it arose on this side."""

    @property
    def is_done(self) -> bool:
        """Whether the block is settled or aborted."""
        return self.settled is not None or self.aborted is not None

    def start(self) -> list[Message]:
        """Run to the first wait and return what to send."""
        return self._advance(None)

    def close(self) -> None:
        """End the program; nothing more comes of the block."""
        self._program.close()

    def vouched(self) -> list[Message]:
        """Go on, since the channel vouches for every message of the block so far; return what to send.

        Raises
        ------
        LocalProtocolError
            The block does not wait for that.
        """
        if not self.awaits_vouch:
            raise LocalProtocolError("a block was vouched for that does not wait for it")
        return self._advance(None)

    def receive(self, message: Message) -> list[Message]:
        """Take the other side's next message and return what to send.

        Raises
        ------
        RemoteProtocolError
            It is not what the protocol allows now; the block is dead.
        """
        if self.is_done and isinstance(message, Abort):
            # Both sides may refuse a block at once; the second word says nothing new.
            return []
        if self.is_done:
            raise RemoteProtocolError(f"a {message.kind.name} came after the end of its block")
        if isinstance(message, Abort):
            self._program.close()
            self.aborted = refusal_of(message)
            return []
        if not isinstance(message, self._waits):
            self._program.close()
            wanted = " or ".join(kind.kind.name for kind in self._waits) or "nothing"
            raise RemoteProtocolError(
                f"a {message.kind.name} came where {wanted} is due", hint="the block is dropped; no key was made of it"
            )
        return self._advance(message)

    def _advance(self, heard: Message | None) -> list[Message]:
        said: list[Message] = []
        self.awaits_vouch = False
        try:
            step = self._program.send(heard)
            while isinstance(step, Say):
                said.append(step.message)
                step = self._program.send(None)
            self.awaits_vouch = isinstance(step, Vouch)
            self._waits = step.kinds if isinstance(step, Hear) else ()
        except StopIteration as end:
            self.settled = end.value
        except SecurityAbort as refusal:
            self.aborted = refusal
            self.has_refused = True
            said.append(Abort(type(refusal).__name__, refusal.message))
        return said


def refusal_of(message: Abort) -> SecurityAbort:
    """Return the refusal that the other side told."""
    kind = _ABORTS.get(message.error, SecurityAbort)
    return kind(f"the other side refused the block: {message.reason}", hint="its report says more")
