"""Where random bits come from, by purpose.

A key is only as good as its random bits. The pipeline asks an `Entropy` for every random bit it needs and says
what for; production uses `OsEntropy`. `ReplayEntropy` repeats recorded public bits, so that an analysis can be
repeated exactly. `SeededEntropy` is for simulations and tests: keys made with it are marked as not secret.
"""

import hashlib
import secrets
from typing import Protocol

from faintlink.core.errors import LocalProtocolError


class Entropy(Protocol):
    """A source of random bytes."""

    @property
    def is_secret_grade(self) -> bool:
        """Whether bits from here may protect a key."""
        ...

    def draw(self, size: int, purpose: str) -> bytes:
        """Return ``size`` fresh bytes; ``purpose`` names the use and separates the streams."""
        ...


class OsEntropy:
    """The operating system's generator."""

    is_secret_grade = True

    def draw(self, size: int, purpose: str) -> bytes:  # noqa: ARG002 - one stream serves all purposes
        """Return ``size`` bytes of `secrets.token_bytes`."""
        return secrets.token_bytes(size)


class SeededEntropy:
    """A repeatable stream for simulations and tests: SHAKE-256 over seed, purpose and call number."""

    is_secret_grade = False

    def __init__(self, seed: int | bytes) -> None:
        self._seed = seed if isinstance(seed, bytes) else seed.to_bytes(32, "big", signed=True)
        self._calls: dict[str, int] = {}

    def draw(self, size: int, purpose: str) -> bytes:
        """Return the next ``size`` bytes of the stream of ``purpose``."""
        call = self._calls.get(purpose, 0)
        self._calls[purpose] = call + 1
        label = b"|".join((self._seed, purpose.encode(), str(call).encode()))
        return hashlib.shake_256(label).digest(size)


class RecordingEntropy:
    """Passes on another source's bytes and keeps those of public purposes for a later replay."""

    def __init__(self, source: Entropy, public: frozenset[str]) -> None:
        self._source = source
        self._public = public
        self.recorded: list[tuple[str, bytes]] = []
        """(purpose, bytes) of each public draw, in order."""

    @property
    def is_secret_grade(self) -> bool:
        """Whether the source behind it is."""
        return self._source.is_secret_grade

    def draw(self, size: int, purpose: str) -> bytes:
        """Return ``size`` bytes of the source, kept if ``purpose`` is public."""
        data = self._source.draw(size, purpose)
        if purpose in self._public:
            self.recorded.append((purpose, data))
        return data


class ReplayEntropy:
    """Gives back recorded draws in their order."""

    is_secret_grade = False

    def __init__(self, recorded: list[tuple[str, bytes]]) -> None:
        self._left = list(recorded)

    def draw(self, size: int, purpose: str) -> bytes:
        """Return the next recorded draw.

        Raises
        ------
        LocalProtocolError
            The analysis asks for something else than the recorded one did.
        """
        if not self._left:
            raise LocalProtocolError(f"the record holds no more random bits, asked for {size} bytes of {purpose}")
        was, data = self._left.pop(0)
        if was != purpose or len(data) != size:
            raise LocalProtocolError(
                f"the record holds {len(data)} bytes of {was}, asked for {size} bytes of {purpose}",
                hint="replay with the configuration and program version of the recorded analysis",
            )
        return data
