"""Sessions: greetings of strangers, and the keys of the cheap tags that keep forged traffic out.

A session begins with one greeting each way, a frame with a fresh nonce of 16 bytes, tagged under the link key. Both
nonces make the session's name and the key of its frame tags. So a greeting that is forged is refused for one short
hash, and one that is replayed leads to a session whose key the replayer does not have: neither reaches the reserve.

The link key is 32 bytes that the parties share from the start. It serves these computational tags only; no bit of
it is ever part of a one-time key, so that even somebody who computes it from the tags learns nothing about those.

Sources: BLAKE2, RFC 7693 (keyed mode, personalisation).
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from faintlink.core.errors import AuthenticationError, LocalProtocolError
from faintlink.postprocess.channel.envelope import MAC_BYTES, NONCE_BYTES, SESSION_BYTES, Direction, Frame, Header

LINK_KEY_BYTES = 32
GREETING_KIND = 1
"""Kind of a greeting frame."""
NO_SESSION = bytes(SESSION_BYTES)
"""Session of greetings."""


@dataclass(frozen=True, slots=True, repr=False)
class LinkIdentity:
    """The name of a link and its key. The ``repr`` shows the name only."""

    link_id: str
    """Equal on both sides and different for each link; 1 … 255 bytes in UTF-8."""
    key: bytes = field(repr=False)
    """The link key."""

    def __post_init__(self) -> None:
        if len(self.key) != LINK_KEY_BYTES:
            raise LocalProtocolError(f"a link key has {LINK_KEY_BYTES} bytes, got {len(self.key)}")
        if not 1 <= len(self.link_id.encode()) <= 255:
            raise LocalProtocolError(f"a link id has 1 to 255 bytes, got {len(self.link_id.encode())}")

    def __repr__(self) -> str:
        return f"LinkIdentity({self.link_id!r})"

    def derive(self, purpose: bytes, data: bytes = b"", *, size: int = 32) -> bytes:
        """Return ``size`` bytes that depend on link key, link id, purpose and data."""
        name = self.link_id.encode()
        text = bytes([len(name)]) + name + data
        return hashlib.blake2b(text, key=self.key, person=purpose, digest_size=size).digest()


@dataclass(frozen=True, slots=True, repr=False)
class SessionKeys:
    """Name and frame key of one session."""

    link_id: str
    """The link."""
    session: bytes
    """The session's name, 16 bytes."""
    frame_key: bytes = field(repr=False)
    """Key of the frame tags."""

    def __repr__(self) -> str:
        return f"SessionKeys({self.link_id!r}, session={self.session.hex()})"

    @classmethod
    def agree(cls, link: LinkIdentity, *, alice_nonce: bytes, bob_nonce: bytes) -> "SessionKeys":
        """Return the keys of the session between two greetings.

        Raises
        ------
        LocalProtocolError
            A nonce has not 16 bytes.
        """
        if len(alice_nonce) != NONCE_BYTES or len(bob_nonce) != NONCE_BYTES:
            raise LocalProtocolError(f"nonces have 16 bytes, got {len(alice_nonce)} and {len(bob_nonce)}")
        both = alice_nonce + bob_nonce
        name = link.derive(b"fl session name", both, size=SESSION_BYTES)
        return cls(link.link_id, name, link.derive(b"fl session key", both))


def frame_mac(key: bytes, previous: bytes, head: bytes, payload: bytes) -> bytes:
    """Return the tag of a frame: keyed BLAKE2b of the tag before it in its direction, its header and payload."""
    hash_ = hashlib.blake2b(previous + head, key=key, digest_size=MAC_BYTES)
    hash_.update(payload)
    return hash_.digest()


def greeting(link: LinkIdentity, direction: Direction, nonce: bytes) -> bytes:
    """Return the frame that opens a session.

    Parameters
    ----------
    link
        The link.
    direction
        The direction in which the greeting goes.
    nonce
        16 fresh random bytes; keep them for `SessionKeys.agree`.
    """
    header = Header(
        kind=GREETING_KIND,
        direction=direction,
        session=NO_SESSION,
        block=0,
        sequence=0,
        nonce=nonce,
        length=0,
    )
    head = header.encode()
    return head + frame_mac(link.derive(b"fl greeting"), bytes(MAC_BYTES), head, b"")


def read_greeting(link: LinkIdentity, frame: Frame, direction: Direction) -> bytes:
    """Return the nonce of a greeting that came in ``direction``.

    A greeting may be a replay: it only allows to answer with an own greeting. What must not be replayed, such as
    aligning the reserves, waits for the first frame under the session's key.

    Raises
    ------
    AuthenticationError
        The frame is no greeting of the peer of this link.
    """
    expected = frame_mac(link.derive(b"fl greeting"), bytes(MAC_BYTES), frame.head, frame.payload)
    header = frame.header
    fits = header.kind == GREETING_KIND and header.session == NO_SESSION and header.direction is direction
    if not hmac.compare_digest(expected, frame.mac) or not fits or header.length:
        raise AuthenticationError(
            "the first frame is no greeting of this link's peer",
            hint="check that both sides use the reserve of the same link; a stranger may be calling",
        )
    return header.nonce
