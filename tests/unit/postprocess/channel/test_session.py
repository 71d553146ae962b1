"""Greetings are refused unless they are the peer's; each pair of nonces makes another session."""

import pytest

from faintlink.core.errors import AuthenticationError, LocalProtocolError
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.session import LinkIdentity, SessionKeys, greeting, read_greeting
from tests.channel import LINK, decoded, ends, session

NONCE = bytes(range(100, 116))
TO_BOB = Direction.ALICE_TO_BOB


def test_a_greeting_carries_its_nonce() -> None:
    (frame,) = decoded(greeting(LINK, TO_BOB, NONCE))
    assert read_greeting(LINK, frame, TO_BOB) == NONCE


def test_a_reflected_greeting_is_refused() -> None:
    (frame,) = decoded(greeting(LINK, TO_BOB, NONCE))
    with pytest.raises(AuthenticationError, match="no greeting"):
        read_greeting(LINK, frame, TO_BOB.opposite)


@pytest.mark.parametrize("other", [LinkIdentity("other", LINK.key), LinkIdentity(LINK.link_id, bytes(32))])
def test_a_greeting_of_another_link_is_refused(other: LinkIdentity) -> None:
    (frame,) = decoded(greeting(other, TO_BOB, NONCE))
    with pytest.raises(AuthenticationError, match="no greeting"):
        read_greeting(LINK, frame, TO_BOB)


def test_a_message_is_no_greeting() -> None:
    alice, _ = ends()
    (frame,) = decoded(alice.sender.protect(40, b""))
    with pytest.raises(AuthenticationError, match="no greeting"):
        read_greeting(LINK, frame, TO_BOB)


@pytest.mark.parametrize("place", [5, 8, 24, 32, 40, 60])
def test_an_altered_greeting_is_refused(place: int) -> None:
    data = bytearray(greeting(LINK, TO_BOB, NONCE))
    data[place] ^= 1
    (frame,) = decoded(bytes(data))
    with pytest.raises(AuthenticationError, match="no greeting"):
        read_greeting(LINK, frame, TO_BOB)


def test_every_nonce_and_link_makes_another_session() -> None:
    made = [session(0), session(1), session(0, LinkIdentity("other", LINK.key))]
    made.append(SessionKeys.agree(LINK, alice_nonce=NONCE, bob_nonce=bytes(16)))
    made.append(SessionKeys.agree(LINK, alice_nonce=bytes(16), bob_nonce=NONCE))
    assert len({keys.session for keys in made}) == len({keys.frame_key for keys in made}) == len(made)


def test_keys_do_not_show() -> None:
    shown = repr(LINK) + repr(session()) + str(session())
    assert LINK.key.hex() not in shown
    assert session().frame_key.hex() not in shown
    assert repr(session().frame_key) not in shown


@pytest.mark.parametrize(("name", "key"), [("", bytes(32)), ("x" * 256, bytes(32)), ("x", bytes(31))])
def test_a_link_of_wrong_size_is_refused(name: str, key: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        LinkIdentity(name, key)


def test_short_nonces_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="16 bytes"):
        SessionKeys.agree(LINK, alice_nonce=NONCE, bob_nonce=b"short")
