"""One-time authentication keys: 256 bits that make or check a single tag and are then gone.

The tag is Poly1305 under a key (r, s) of which every bit is fresh: a polynomial in r over the field of 2**130 - 5
elements, of which s pads 128 bits. Used once this is a Wegman-Carter tag: it needs no assumption on the adversary.
Nothing of a key is kept, so no hash key ages (Abidin and Larsson): the price is 256 bits a tag instead of 128.

A forger who has seen one message with its tag and offers another has a chance of at most
``8 ceil(L / 16) / 2**106``, L being the longer one's bytes. Each key checks one tag only, so that the chances of
several tags add and no chance is multiplied by a number of trials.

Sources
-------
Wegman and Carter, J. Comput. Syst. Sci. 22 (1981) 265; Bernstein, "The Poly1305-AES message-authentication code",
FSE 2005, theorem 3.3 and section 5 (differential probability); Abidin and Larsson, arXiv:1109.5168.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.poly1305 import Poly1305

from faintlink.core.errors import LocalProtocolError
from faintlink.postprocess.channel.envelope import Direction

KEY_BYTES = 32
"""Bytes of a one-time key."""
TAG_BYTES = 16


@dataclass(frozen=True, slots=True, order=True)
class KeyPosition:
    """Where a one-time key stands in the reserve of its direction."""

    segment: int
    """Number of the distilled key that the reserve was refilled with."""
    slot: int
    """Index of the one-time key in it; it begins at bit 256 times this."""


class OneTimeKey:
    """A booked one-time key. It makes or checks one tag; its ``repr`` shows only where it came from."""

    __slots__ = ("_key", "direction", "position")

    def __init__(self, key: bytearray, *, direction: Direction, position: KeyPosition) -> None:
        """Take possession of ``key``, 32 bytes, which are overwritten with zeros after use."""
        if len(key) != KEY_BYTES:
            raise LocalProtocolError(f"a one-time key has {KEY_BYTES} bytes, got {len(key)}")
        self._key: bytearray | None = key
        self.direction = direction
        self.position = position

    def __repr__(self) -> str:
        state = "used" if self._key is None else "unused"
        return f"OneTimeKey({self.direction.name}, {self.position}, {state})"

    def __reduce__(self) -> str:
        raise LocalProtocolError("a one-time key cannot be copied: it would be used twice")

    def tag(self, parts: Iterable[bytes]) -> bytes:
        """Return the tag of the joined parts and forget the key.

        Raises
        ------
        LocalProtocolError
            The key was used before.
        """
        key = self._key
        if key is None:
            raise LocalProtocolError(f"{self!r} makes one tag only", hint="book a new key for each tag")
        try:
            hash_ = Poly1305(key)
            for part in parts:
                hash_.update(part)
            return hash_.finalize()
        finally:
            self.wipe()

    def check(self, parts: Iterable[bytes], tag: bytes) -> bool:
        """Return whether ``tag`` is that of the joined parts, and forget the key either way."""
        return hmac.compare_digest(self.tag(parts), tag)

    def wipe(self) -> None:
        """Overwrite the key with zeros. Copies that the interpreter or a library made are out of reach."""
        if self._key is not None:
            self._key[:] = bytes(len(self._key))
            self._key = None


class KeySource(Protocol):
    """Where one-time keys come from; `faintlink.postprocess.channel.reserve.KeyReserve` is one."""

    def take(self, direction: Direction) -> OneTimeKey:
        """Book and return the next unused key of a direction, for a tag to be made."""
        ...

    def claim(self, direction: Direction, position: KeyPosition) -> OneTimeKey:
        """Book and return the key that the peer has used, for its tag to be checked."""
        ...
