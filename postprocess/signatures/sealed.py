"""The channel between receiver and verifier: messages under a one-time tag, and where asked under a one-time pad.

Its keys are a third pool that these two share; the signer must not know them, else it repudiates at will.

Notes
-----
The tag is the hash of `faintlink.postprocess.signatures.hash` with b'_H bits and its polynomial, under a pad: 3 b'_H
key bits a message. The authors count 5 b'_H for all messages together, with one hash key for several messages; here
each message has its own, which costs more key and needs no argument about reuse.

Sources: H. Krawczyk, CRYPTO '94, 129; M. Wegman, J. Carter, J. Comput. Syst. Sci. 22, 265 (1981).
"""

import hmac

from faintlink.core.entropy import Entropy
from faintlink.core.errors import AuthenticationError
from faintlink.postprocess.signatures.hash import draw_irreducible, is_irreducible, register_hash
from faintlink.postprocess.signatures.keys import KeyPool
from faintlink.postprocess.signatures.messages import Reader, as_bytes, decode_slices, encode_slices


def sealed(pool: KeyPool, body: bytes, tag_bits: int, purpose: str, entropy: Entropy, *, is_secret: bool) -> bytes:
    """Return a message with its tag and the names of its key bits.

    Raises
    ------
    KeyExhaustedError
        The pool holds too few.
    """
    pad_bits = 8 * len(body) if is_secret else 0
    key, slices = pool.take(3 * tag_bits + pad_bits, purpose)
    body = (int.from_bytes(body, "big") ^ (key >> 3 * tag_bits)).to_bytes(len(body), "big")
    polynomial = draw_irreducible(tag_bits, entropy)
    tag = _tag(purpose, body, polynomial, key, tag_bits) ^ (key >> tag_bits & (1 << 2 * tag_bits) - 1)
    return encode_slices(slices) + as_bytes(tag, 2 * tag_bits) + body


def opened(pool: KeyPool, message: bytes, tag_bits: int, purpose: str, *, is_secret: bool) -> bytes:
    """Return the body of a message whose tag is right.

    Raises
    ------
    AuthenticationError
        It was changed, or does not come from the peer.
    RecordReplayedError
        Its key bits were used before.
    RemoteProtocolError
        It is malformed.
    """
    reader = Reader(message)
    slices = decode_slices(reader)
    padded, at = reader.integer(2 * tag_bits), len(encode_slices(slices)) + (2 * tag_bits + 7) // 8
    body = message[at:]
    needed = 3 * tag_bits + (8 * len(body) if is_secret else 0)
    if sum(part.bits for part in slices) != needed:
        raise AuthenticationError(f"a message of {len(body)} bytes needs {needed} key bits", hint="ask for it again")
    key = pool.take_named(slices, purpose)
    tag = padded ^ (key >> tag_bits & (1 << 2 * tag_bits) - 1)
    polynomial = tag >> tag_bits | 1 << tag_bits
    if not is_irreducible(polynomial) or not hmac.compare_digest(
        as_bytes(_tag(purpose, body, polynomial, key, tag_bits), 2 * tag_bits), as_bytes(tag, 2 * tag_bits)
    ):
        raise AuthenticationError(
            f"a message for {purpose} does not carry the tag of receiver and verifier",
            hint="it was changed on its way; start again with fresh keys",
        )
    return (int.from_bytes(body, "big") ^ (key >> 3 * tag_bits)).to_bytes(len(body), "big")


def _tag(purpose: str, body: bytes, polynomial: int, key: int, tag_bits: int) -> int:
    """Return hash and polynomial, hash lowest; purposes and lengths differ, so the text starts with both."""
    text = b"\1" + len(body).to_bytes(8, "big") + purpose.encode() + b"\0" + body
    value = register_hash(text, polynomial, key & (1 << tag_bits) - 1)
    return value | (polynomial ^ 1 << tag_bits) << tag_bits
