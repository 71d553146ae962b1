"""What authentication adds to the epsilon of a key: a forged seal, or a guessed nonce.

Two ways lead past the seals of `faintlink.postprocess.channel.auth`: a seal that verifies over something the peer
did not send or receive, at most ``8 ceil(L / 16) / 2**106`` each; and a frame that was made up before the peer sent
it and turned out equal, for which its nonce of 128 bits has to be guessed, at most 2**-128 each.

L is a bound that held *before* the adversary chose: the greatest number of bytes that either side would have put
under one tag. The lengths seen afterwards are partly the adversary's choice, so the default is the channel's limit.
"""

from dataclasses import dataclass
from fractions import Fraction

from faintlink.core.errors import ConfigError
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonPart
from faintlink.postprocess.security.rounding import float_above

MAX_SEALED_BYTES = 2**28
"""Bytes under one tag, at most, on both sides."""
_NONCE_GUESS = Fraction(1, 2**128)
_SOURCE = "Wegman-Carter with one-time Poly1305 keys: Bernstein, FSE 2005, theorem 3.3"


@dataclass(frozen=True, slots=True)
class TagTally:
    """How much was tagged. Tallies add."""

    tags: int = 0
    """Seals made and checked."""
    frames: int = 0
    """Frames sent and received."""
    longest_bytes: int = 0
    """Most bytes under one tag."""
    tagged_bytes: int = 0
    """Bytes under all tags together."""

    def __add__(self, other: "TagTally") -> "TagTally":
        longest = max(self.longest_bytes, other.longest_bytes)
        tagged = self.tagged_bytes + other.tagged_bytes
        return TagTally(self.tags + other.tags, self.frames + other.frames, longest, tagged)


def forgery_bound(length_bytes: int) -> Fraction:
    """Return the chance, at most, that one forged tag over up to ``length_bytes`` bytes passes.

    Raises
    ------
    ConfigError
        The length is negative.
    """
    if length_bytes < 0:
        raise ConfigError(f"a length must not be negative, got {length_bytes}")
    return min(Fraction(8 * max(1, -(-length_bytes // 16)), 2**106), Fraction(1))


def authentication_part(*, tags: int, frames: int, longest_bytes: int = MAX_SEALED_BYTES) -> EpsilonPart:
    """Return the part of an epsilon ledger that authentication takes.

    Parameters
    ----------
    tags
        Seals made and checked, of both directions.
    frames
        Frames sent and received.
    longest_bytes
        Most bytes that either side would have put under one tag.

    Raises
    ------
    ConfigError
        A count is negative, or the sum exceeds 1.
    """
    if tags < 0 or frames < 0:
        raise ConfigError(f"counts must not be negative, got {tags} tags and {frames} frames")
    exact = tags * forgery_bound(longest_bytes) + frames * _NONCE_GUESS
    name = f"forgery under {tags} seals of at most {longest_bytes} bytes, or one of {frames} nonces guessed"
    return EpsilonPart(name, float_above(exact), _SOURCE, EpsilonKind.AUTHENTICATION, exact)
