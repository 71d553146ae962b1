"""The algorithms that known-answer tests try, each as bytes in, bytes out, and always the code that keys go through.

Used by `faintlink.delivery.selftest.known_answers` with the vectors of ``vectors.json``. None of these functions
catches an error: whatever an algorithm raises is a failed test.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from faintlink.core.units import Bits
    from faintlink.postprocess.qkd.reconciliation import Reconciler

Algorithm: TypeAlias = Callable[[Mapping[str, bytes]], bytes]


def _aes_gcm(given: Mapping[str, bytes]) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(given["key"])
    sealed = cipher.encrypt(given["nonce"], given["plaintext"], given["associated"])
    if cipher.decrypt(given["nonce"], sealed, given["associated"]) != given["plaintext"]:
        return b"decrypts to something else"
    try:
        cipher.decrypt(given["nonce"], sealed[:-1] + bytes([sealed[-1] ^ 1]), given["associated"])
    except InvalidTag:
        return sealed
    return b"accepts a wrong tag"


def _digest(name: str) -> Algorithm:
    return lambda given: hashlib.new(name, given["message"]).digest()


def _hmac_sha256(given: Mapping[str, bytes]) -> bytes:
    return hmac.digest(given["key"], given["message"], "sha256")


def _hkdf_sha256(given: Mapping[str, bytes]) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    length = int.from_bytes(given["length"], "big")
    return HKDF(algorithm=SHA256(), length=length, salt=given["salt"], info=given["info"]).derive(given["key"])


def _ed25519(given: Mapping[str, bytes]) -> bytes:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    signature = Ed25519PrivateKey.from_private_bytes(given["secret"]).sign(given["message"])
    public = Ed25519PublicKey.from_public_bytes(given["public"])
    public.verify(signature, given["message"])
    try:
        public.verify(signature, given["message"] + b"!")
    except InvalidSignature:
        return signature
    return b"accepts a wrong message"


def _one_time_tag(given: Mapping[str, bytes]) -> bytes:
    from faintlink.postprocess.channel.envelope import Direction
    from faintlink.postprocess.channel.onetime import KeyPosition, OneTimeKey

    def key() -> OneTimeKey:
        return OneTimeKey(bytearray(given["key"]), direction=Direction.ALICE_TO_BOB, position=KeyPosition(0, 0))

    tag = key().tag([given["message"]])
    is_right = key().check([given["message"]], tag) and not key().check([given["message"] + b"!"], tag)
    return tag if is_right else b"checks wrongly"


def _bits(data: bytes) -> "Bits":
    return np.unpackbits(np.frombuffer(data, np.uint8))


def _toeplitz(given: Mapping[str, bytes]) -> bytes:
    from faintlink.postprocess.qkd.amplify import toeplitz_hash

    out_bits = int.from_bytes(given["out_bits"], "big")
    return np.packbits(toeplitz_hash(_bits(given["key"]), given["seed"], out_bits)).tobytes()


def _modular(given: Mapping[str, bytes]) -> bytes:
    from faintlink.postprocess.qkd.modular_hash import modular_hash

    out_bits = int.from_bytes(given["out_bits"], "big")
    return np.packbits(modular_hash(_bits(given["key"]), given["seed"], out_bits)).tobytes()


def _verification(given: Mapping[str, bytes]) -> bytes:
    from faintlink.postprocess.qkd.verify import verification_tag

    return verification_tag(_bits(given["key"]), given["seed"], eps_cor=2.0 ** -int(given["exponent"][0]))


def _reconciliation(reconciler: str) -> Algorithm:
    def correct(given: Mapping[str, bytes]) -> bytes:
        from faintlink.postprocess.qkd.reconciliation import Reconciler

        return _corrected(Reconciler[reconciler], given)

    return correct


def _corrected(reconciler: "Reconciler", given: Mapping[str, bytes]) -> bytes:
    """Return SHA-256 of the corrected key, SHA-256 of all that the parties said, and the errors that were found."""
    from faintlink.postprocess.qkd.reconciliation import Plan

    alice_bits, bob_bits = _bits(given["alice"]), _bits(given["bob"])
    plan = Plan(reconciler, alice_bits.size, int(given["per_mille"][0]) / 1000)
    alice, bob = plan.answering(alice_bits, given["seed"]), plan.asking(bob_bits, given["seed"])
    said = hashlib.sha256()
    while (request := bob.next_request()) is not None:
        answer = alice.answer(request)
        bob.receive(answer)
        for message in (request, answer):
            said.update(len(message).to_bytes(4, "big") + message)
    key = hashlib.sha256(np.packbits(bob.corrected()).tobytes())
    return key.digest() + said.digest() + bob.corrected_errors.to_bytes(4, "big")


def _base64(given: Mapping[str, bytes]) -> bytes:
    text = base64.b64encode(given["data"])
    return text if base64.b64decode(text, validate=True) == given["data"] else b"does not come back"


ALGORITHMS: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        "aes-gcm": _aes_gcm,
        "sha-256": _digest("sha256"),
        "sha-384": _digest("sha384"),
        "blake2b": _digest("blake2b"),
        "hmac-sha-256": _hmac_sha256,
        "hkdf-sha-256": _hkdf_sha256,
        "ed25519": _ed25519,
        "one-time tag (poly1305)": _one_time_tag,
        "privacy amplification, toeplitz": _toeplitz,
        "privacy amplification, modular": _modular,
        "verification hash": _verification,
        "reconciliation, cascade": _reconciliation("CASCADE"),
        "reconciliation, ldpc": _reconciliation("LDPC"),
        "base64": _base64,
    }
)
"""By the name that the vectors use."""
