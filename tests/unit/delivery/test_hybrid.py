"""Hybrid keys need both secrets, agree at both ends, and come only of an exchange that nobody touched."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import AuthenticationError, ConfigError, LocalProtocolError, RemoteProtocolError
from faintlink.delivery import hybrid
from faintlink.delivery.hybrid import TAG_KEY_BYTES, HybridSecret, Kem, MlKemOffer, combine, reply_to
from faintlink.delivery.hybrid_ends import signed
from faintlink.delivery.keystore.model import DeliveredKey
from tests.unit.delivery.hybrid_pki import Pki

QKD, SHARED = bytes(range(32)), bytes(range(100, 132))


def tag_keys(number: int = 0) -> bytearray:
    return bytearray(hashlib.shake_256(b"tags %d" % number).digest(TAG_KEY_BYTES))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.make(tmp_path_factory.mktemp("pki"))


def hkdf_sha384(secret: bytes, info: bytes, length: int) -> bytes:
    """Return HKDF of RFC 5869, written out: the reference that ours is held against."""
    prk, block, out = hmac.digest(bytes(48), secret, "sha384"), b"", b""
    for counter in range(1, -(-length // 48) + 1):
        block = hmac.digest(prk, block + info + bytes((counter,)), "sha384")
        out += block
    return out[:length]


def offered(pki: Pki, kem: Kem = Kem.ML_KEM_768, keys: bytearray | None = None) -> MlKemOffer:
    return MlKemOffer(kem, tag_keys() if keys is None else keys, pki.ends("east", "west"))


def replied(pki: Pki, offer: bytes) -> tuple[bytes, HybridSecret]:
    return reply_to(offer, tag_keys(), pki.ends("west", "east"))


def sizes_at(offer: bytes, reply: bytes, kem: Kem) -> list[tuple[bytes, int]]:
    """Return the messages with the places of their signatures' lengths."""
    return [(offer, 5 + 1 + kem.key_bytes), (reply, 5 + kem.ciphertext_bytes)]


def exchange(kem: Kem, pki: Pki) -> tuple[HybridSecret, HybridSecret]:
    offer = offered(pki, kem)
    reply, theirs = replied(pki, offer.message)
    return offer.finish(reply), theirs


@pytest.mark.parametrize("size", [16, 32, 48, 49, 1024])
def test_the_combined_key_is_that_of_an_independent_hkdf(size: int) -> None:
    qkd = hashlib.shake_256(b"qkd").digest(size)
    info = b"faintlink hybrid key 1" + size.to_bytes(4, "big") + (32).to_bytes(4, "big") + b"context"
    assert combine(qkd, SHARED, b"context") == hkdf_sha384(qkd + SHARED, info, size)


def test_the_combined_key_is_pinned() -> None:
    # Our own value: a change of the derivation would part old sites from new ones and must not go unnoticed.
    expected = "9b6cc81682adc03a31d6f29be1cf251c0283ad8da0a53c2eee0ed87308934d8c"
    assert combine(QKD, SHARED, b"").hex() == expected


@given(st.binary(min_size=16, max_size=64), st.binary(min_size=32, max_size=32), st.binary(max_size=40))
def test_every_part_decides_the_key(qkd: bytes, shared: bytes, context: bytes) -> None:
    key = combine(qkd, shared, context)
    assert len(key) == len(qkd)
    other_qkd = bytes((qkd[0] ^ 1,)) + qkd[1:]
    other_shared = shared[:-1] + bytes((shared[-1] ^ 128,))
    others = [combine(other_qkd, shared, context), combine(qkd, other_shared, context)]
    others += [combine(qkd, shared, context + b"\0")]
    assert len({key, *others}) == 4


def test_bits_moved_from_one_secret_to_the_other_give_another_key() -> None:
    assert combine(QKD + SHARED[:1], SHARED[1:] + b"\0", b"")[:32] != combine(QKD, SHARED, b"\0")


@pytest.mark.parametrize(("qkd", "shared"), [(15, 32), (0, 32), (32, 31), (32, 33), (48 * 255 + 1, 32)])
def test_secrets_of_another_length_are_refused(qkd: int, shared: int) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be combined"):
        combine(bytes(qkd), bytes(shared), b"")


@pytest.mark.parametrize("kem", Kem)
def test_both_ends_of_an_exchange_agree(pki: Pki, kem: Kem) -> None:
    ours, theirs = exchange(kem, pki)
    assert ours.shared == theirs.shared
    assert (ours.name, ours.kem) == (theirs.name, kem)
    assert len(ours.shared) == 32


def test_no_two_exchanges_agree_by_chance(pki: Pki) -> None:
    secrets = [exchange(Kem.ML_KEM_768, pki)[0] for _ in range(3)]
    assert len({bytes(secret.shared) for secret in secrets}) == len({secret.name for secret in secrets}) == 3


@pytest.mark.parametrize("kem", Kem)
def test_the_sizes_are_those_of_fips_203(pki: Pki, kem: Kem) -> None:
    offer = offered(pki, kem)
    reply, _ = replied(pki, offer.message)
    lengths = [int.from_bytes(message[at : at + 2], "big") for message, at in sizes_at(offer.message, reply, kem)]
    assert len(offer.message) == 5 + 1 + kem.key_bytes + 2 + lengths[0] + 16
    assert len(reply) == 5 + kem.ciphertext_bytes + 2 + lengths[1] + 16


@pytest.mark.parametrize("at", [0, 4, 5, 6, 700, -17, -1])
def test_an_offer_that_was_altered_is_refused(pki: Pki, at: int) -> None:
    message = bytearray(offered(pki).message)
    message[at] ^= 1
    with pytest.raises((AuthenticationError, RemoteProtocolError)):
        replied(pki, bytes(message))


@pytest.mark.parametrize("at", [0, 4, 5, 700, -17, -1])
def test_a_reply_that_was_altered_is_refused_before_it_is_decapsulated(pki: Pki, at: int) -> None:
    offer = offered(pki)
    reply = bytearray(replied(pki, offer.message)[0])
    reply[at] ^= 1
    with pytest.raises((AuthenticationError, RemoteProtocolError)):
        offer.finish(bytes(reply))


def test_a_reply_to_another_offer_is_refused(pki: Pki) -> None:
    first, second = offered(pki), offered(pki)
    with pytest.raises(AuthenticationError):
        second.finish(replied(pki, first.message)[0])


def test_an_offer_under_another_key_is_refused(pki: Pki) -> None:
    with pytest.raises(AuthenticationError):
        reply_to(offered(pki).message, tag_keys(1), pki.ends("west", "east"))


def test_an_offer_of_bytes_that_are_no_key_is_refused(pki: Pki) -> None:
    keys = hybrid._tag_keys(tag_keys())[0]
    ends = pki.ends("east", "west")
    body = b"FLHO\x02\x01" + b"\xff" * 1184
    body += signed(ends.own, ends.text(began_here=True) + body)
    with pytest.raises(RemoteProtocolError, match="no key of ML-KEM-768"):
        replied(pki, body + keys.tag([body]))


def test_an_unknown_parameter_set_is_refused(pki: Pki) -> None:
    with pytest.raises(RemoteProtocolError, match="parameter set 9"):
        replied(pki, b"FLHO\x02\x09" + bytes(1200))


def test_the_library_decapsulates_an_altered_ciphertext_to_something_else() -> None:
    # FIPS 203, algorithm 18: implicit rejection. It is why the reply's tag is checked first.
    private = mlkem.MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    shared, ciphertext = private.public_key().encapsulate()
    assert private.decapsulate(ciphertext) == shared
    altered = bytes((ciphertext[0] ^ 1,)) + ciphertext[1:]
    assert private.decapsulate(altered) == private.decapsulate(altered) != shared


def test_a_delivered_key_is_combined_and_its_material_overwritten(pki: Pki) -> None:
    ours, theirs = exchange(Kem.ML_KEM_1024, pki)
    keys = [DeliveredKey("key-1", 256, bytearray(QKD)) for _ in range(2)]
    one, told = ours.apply(keys[0], master="app-a", slave="app-c")
    two, _ = theirs.apply(keys[1], master="app-a", slave="app-c")
    assert one == two != QKD
    assert told == {"faintlink_hybrid": "ML-KEM-1024", "faintlink_exchange": ours.name}
    assert all(key.material == bytes(32) for key in keys)


@pytest.mark.parametrize(
    "names", [("key-2", "app-a", "app-c"), ("key-1", "app-c", "app-a"), ("key-1", "app", "-aapp-c")]
)
def test_the_name_of_the_key_and_the_applications_decide_the_combined_key(
    pki: Pki, names: tuple[str, str, str]
) -> None:
    ours, _ = exchange(Kem.ML_KEM_768, pki)
    one, _ = ours.apply(DeliveredKey("key-1", 256, bytearray(QKD)), master="app-a", slave="app-c")
    two, _ = ours.apply(DeliveredKey(names[0], 256, bytearray(QKD)), master=names[1], slave=names[2])
    assert one != two


def test_no_secret_shows_in_a_repr_and_tags_keys_are_overwritten(pki: Pki) -> None:
    material = tag_keys()
    offer = offered(pki, keys=material)
    assert material == bytes(TAG_KEY_BYTES)
    _, secret = replied(pki, offer.message)
    assert secret.shared.hex() not in repr(secret)
    assert repr(bytes(secret.shared)) not in repr(secret)
    secret.wipe()
    assert secret.shared == bytes(32)


def test_tag_keys_of_another_length_are_refused(pki: Pki) -> None:
    with pytest.raises(LocalProtocolError, match="64 bytes"):
        offered(pki, keys=bytearray(63))


def test_an_old_cryptography_package_is_named(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mlkem", None)
    monkeypatch.delattr("cryptography.hazmat.primitives.asymmetric.mlkem", raising=False)
    with pytest.raises(ConfigError, match="no ML-KEM"):
        offered(pki)
