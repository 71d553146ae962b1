r"""A scripted other end for tests of drivers: what must be sent, what comes back, and nothing left over.

Shipped so that drivers from elsewhere can be tested the same way::

    with expected_wire([(b"ilaser 100\r\n", b"ilaser 100\r\n100.0\r\n>>")]) as link:
        laser = KoheronCTL200("laser", "scripted", link=link)
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from faintlink.drivers.transport.link import ByteLink

Exchange = tuple[bytes | None, bytes]
"""(what the driver must send, what then comes back); None sends nothing and only receives."""


class ScriptedLink(ByteLink):
    """A link that knows what must come next."""

    def __init__(self, exchanges: Iterable[Exchange]) -> None:
        super().__init__("scripted", timeout_s=0.05)
        self._left = list(exchanges)
        self._answers = bytearray()
        self._partial = b""
        self._listen()

    def _listen(self) -> None:
        while self._left and self._left[0][0] is None:
            self._answers += self._left.pop(0)[1]

    def _send(self, data: bytes) -> None:
        self._partial += data
        if not self._left:
            raise AssertionError(f"the driver sent {self._partial!r} after the end of the script")
        expected, answer = self._left[0]
        if expected is None or not expected.startswith(self._partial):
            raise AssertionError(f"the driver sent {self._partial!r}, the script expects {expected!r}")
        if expected == self._partial:
            self._left.pop(0)
            self._partial = b""
            self._answers += answer
            self._listen()

    def _receive(self, timeout_s: float) -> bytes:  # noqa: ARG002 - a script waits for nobody
        data = bytes(self._answers)
        self._answers.clear()
        return data

    def close(self) -> None:
        """Nothing to close."""

    @property
    def leftovers(self) -> str:
        """What was not sent or not read, in words; empty when the dialogue is complete."""
        unsent = [expected for expected, _ in self._left]
        unread = bytes(self._answers) + bytes(self._buffer)
        parts = [f"never sent: {unsent}"] * bool(unsent) + [f"never read: {unread!r}"] * bool(unread)
        return "; ".join(parts + [f"half sent: {self._partial!r}"] * bool(self._partial))


@contextmanager
def expected_wire(exchanges: Iterable[Exchange]) -> Iterator[ScriptedLink]:
    """Yield a link for a driver under test, and fail if anything of the dialogue is left over."""
    link = ScriptedLink(exchanges)
    yield link
    if link.leftovers:
        raise AssertionError(f"the dialogue is not complete; {link.leftovers}")


class ScriptedResource:
    """A scripted VISA resource: (command, answer) pairs, answer None for a command without one.

    Give it to a VISA driver as ``resource=``; `expected_visa` checks that nothing is left over.
    """

    resource_name = "SCRIPTED::INSTR"
    session = None
    timeout = 1000.0
    read_termination = write_termination = "\n"

    def __init__(self, exchanges: Iterable[tuple[str, str | None]]) -> None:
        self.left = list(exchanges)
        self.visalib = SimpleNamespace(resource_manager=None, library_path="scripted")

    def _next(self, command: str) -> str | None:
        if not self.left:
            raise AssertionError(f"the driver sent {command!r} after the end of the script")
        expected, answer = self.left.pop(0)
        if expected != command:
            raise AssertionError(f"the driver sent {command!r}, the script expects {expected!r}")
        return answer

    def write(self, command: str) -> int:
        """Take a command that has no answer."""
        if (answer := self._next(command)) is not None:
            raise AssertionError(f"the driver does not read the answer {answer!r} of {command!r}")
        return len(command)

    def query(self, command: str) -> str:
        """Take a command and return its answer."""
        answer = self._next(command)
        if answer is None:
            raise AssertionError(f"the driver waits for an answer to {command!r}, which has none")
        return answer

    def clear(self) -> None:
        """Nothing to clear."""

    def close(self) -> None:
        """Nothing to close."""


@contextmanager
def expected_visa(exchanges: Iterable[tuple[str, str | None]]) -> Iterator[Any]:
    """Yield a resource for a VISA driver under test, and fail if anything of the dialogue is left over."""
    resource = ScriptedResource(exchanges)
    yield resource
    if resource.left:
        raise AssertionError(f"the dialogue is not complete; never sent: {resource.left}")
