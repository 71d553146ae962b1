"""Run one side of a block as a program that says and hears messages; no sockets, no threads, no bytes.

A program is a generator: it yields `Say` to send, `Hear` to wait for a message, `Vouch` to wait until the channel
vouches for all that was said and `Work` to have something computed, and returns a `Settled`. `BlockMachine` drives it.
A `SecurityAbort` inside a program is told to the other side as `Abort` and becomes the outcome; a message that is not
the one waited for is a `RemoteProtocolError`, told as `Abort` as well and raised.
"""

from collections.abc import Callable, Generator
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

_MOST_EARLY = 64
"""Messages that may come while a block is at work; no honest peer sends as many."""


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


@dataclass(frozen=True, slots=True)
class Work:
    """Compute something that takes long, with nobody's state but the block's, so that it may be done in a thread."""

    run: Callable[[], Any]
    """What to compute; its result, or what it raises, goes back to the program."""


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
Steps: TypeAlias = Generator[Say | Hear | Vouch | Work, Any, Result]
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


def work(run: Callable[[], Result]) -> Steps[Result]:
    """Return what ``run`` returns, computed wherever the driver of the block likes."""
    result: Result = yield Work(run)
    return result


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
    offloads
        Whether the caller sees to `take_work` and calls `worked`; otherwise it is done on the spot.
    """

    def __init__(self, program: Program, *, offloads: bool = False) -> None:
        self._program = program
        self._offloads = offloads
        self._waits: tuple[type[Any], ...] = ()
        self._early: list[Message] = []
        self._untaken: Work | None = None
        self.is_at_work = False
        """Whether the block goes on with `worked`, and not with a message."""
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

    def take_work(self) -> Work | None:
        """Return, once, what the block waits for to be computed."""
        work, self._untaken = self._untaken, None
        return work

    def worked(self, result: Any = None, *, error: BaseException | None = None) -> list[Message]:
        """Go on with what came of its work, or with what that raised; return what to send.

        Raises
        ------
        RemoteProtocolError
            A message that came meanwhile is not what the protocol allows; the block is dead.
        """
        if self.is_done:
            return []
        said = self._advance(result, error)
        while self._early and not self.is_at_work:
            said += self.receive(self._early.pop(0))
        return said

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
        if self.is_at_work and len(self._early) < _MOST_EARLY:
            self._early.append(message)
            return []
        if not isinstance(message, self._waits):
            self._program.close()
            wanted = " or ".join(kind.kind.name for kind in self._waits) or "nothing"
            raise RemoteProtocolError(
                f"a {message.kind.name} came where {wanted} is due", hint="the block is dropped; no key was made of it"
            )
        return self._advance(message)

    def _advance(self, value: Any, error: BaseException | None = None) -> list[Message]:
        said: list[Message] = []
        self.awaits_vouch = self.is_at_work = False
        self._waits = ()
        try:
            step = self._step(value, error)
            while isinstance(step, Say) or (isinstance(step, Work) and not self._offloads):
                if isinstance(step, Say):
                    said.append(step.message)
                    step = self._step(None)
                else:
                    step = self._step(*_outcome(step))
            self.awaits_vouch = isinstance(step, Vouch)
            self._untaken = step if isinstance(step, Work) else None
            self.is_at_work = self._untaken is not None
            self._waits = step.kinds if isinstance(step, Hear) else ()
        except StopIteration as end:
            self.settled = end.value
        except SecurityAbort as refusal:
            self.aborted = refusal
            self.has_refused = True
            said.append(Abort(type(refusal).__name__, refusal.message))
        return said

    def _step(self, value: Any, error: BaseException | None = None) -> Say | Hear | Vouch | Work:
        return self._program.send(value) if error is None else self._program.throw(error)


def _outcome(step: Work) -> tuple[Any, BaseException | None]:
    try:
        return step.run(), None
    except Exception as error:
        return None, error


def refusal_of(message: Abort) -> SecurityAbort:
    """Return the refusal that the other side told."""
    kind = _ABORTS.get(message.error, SecurityAbort)
    return kind(f"the other side refused the block: {message.reason}", hint="its report says more")
