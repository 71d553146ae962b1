"""A site on the way that knows every relayed key puts itself between an ML-KEM exchange, and is caught each time."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem

from faintlink.core.errors import AuthenticationError, ConfigError, LocalProtocolError, RemoteProtocolError
from faintlink.delivery import hybrid
from faintlink.delivery.hybrid import TAG_KEY_BYTES, Kem, MlKemOffer, reply_to
from faintlink.delivery.hybrid_ends import MOST_SIGNATURE_BYTES, Ends, OwnEnd, PinnedEnd, signed
from faintlink.delivery.kme.provision import site_urn
from tests.unit.delivery.hybrid_pki import KEY_IDS, Pki

KEM = Kem.ML_KEM_768
KEY_END = 6 + KEM.key_bytes
CIPHERTEXT_END = 5 + KEM.ciphertext_bytes
TAG_BYTES = 16
NOT_SIGNED = "not signed by urn:faintlink:kme:{}"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki.make(tmp_path_factory.mktemp("pki"))


def relayed() -> bytearray:
    """Return the keys of the tags: both ends have them, and so has every site on the way."""
    return bytearray(hashlib.shake_256(b"relayed").digest(TAG_KEY_BYTES))


@dataclass
class Middle:
    """Site ``middle``, with the relayed keys, its own certificate, and an ML-KEM key of its own."""

    pki: Pki

    def __post_init__(self) -> None:
        self.private = mlkem.MLKEM768PrivateKey.generate()

    def tagged_offer(self, body: bytes) -> bytes:
        """Return an offer with the tag that the relayed keys make."""
        return body + hybrid._tag_keys(relayed())[0].tag([body])

    def tagged_reply(self, offer: bytes, body: bytes) -> bytes:
        """Return a reply with the tag that the relayed keys make."""
        return body + hybrid._tag_keys(relayed())[1].tag([offer, body])

    def offer_body(self) -> bytes:
        """Return an offer of its own encapsulation key, up to the signature."""
        return b"FLHO\x02\x01" + self.private.public_key().public_bytes_raw()


def offered(pki: Pki, key_ids: tuple[str, ...] = KEY_IDS) -> MlKemOffer:
    return MlKemOffer(KEM, relayed(), pki.ends("east", "west", key_ids))


def replied(pki: Pki, offer: bytes, key_ids: tuple[str, ...] = KEY_IDS) -> bytes:
    return reply_to(offer, relayed(), pki.ends("west", "east", key_ids))[0]


def test_an_honest_exchange_passes_a_middle_that_only_carries_it(pki: Pki) -> None:
    offer = offered(pki)
    reply, theirs = reply_to(offer.message, relayed(), pki.ends("west", "east"))
    ours = offer.finish(reply)
    assert ours.shared == theirs.shared
    assert ours.transcript == theirs.transcript


def test_its_own_key_under_the_ends_signature_is_refused(pki: Pki) -> None:
    middle, honest = Middle(pki), offered(pki).message
    forged = middle.tagged_offer(middle.offer_body() + honest[KEY_END:-TAG_BYTES])
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("east")):
        replied(pki, forged)


def test_its_own_key_under_its_own_signature_is_refused(pki: Pki) -> None:
    middle = Middle(pki)
    # The text is what east would have signed: only the key that signs is another.
    text = pki.ends("east", "west").text(began_here=True)
    body = middle.offer_body()
    forged = middle.tagged_offer(body + signed(pki.own("middle"), text + body))
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("east")):
        replied(pki, forged)


def test_an_offer_in_its_own_name_is_refused_although_the_same_authority_knows_it(pki: Pki) -> None:
    forged = MlKemOffer(KEM, relayed(), pki.ends("middle", "west")).message
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("east")):
        replied(pki, forged)


def test_its_own_ciphertext_under_the_other_ends_signature_is_refused(pki: Pki) -> None:
    offer = offered(pki)
    honest = replied(pki, offer.message)
    _, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(offer.message[6:KEY_END]).encapsulate()
    forged = Middle(pki).tagged_reply(offer.message, b"FLHR\x02" + ciphertext + honest[CIPHERTEXT_END:-TAG_BYTES])
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("west")):
        offer.finish(forged)


def test_its_own_ciphertext_under_its_own_signature_is_refused(pki: Pki) -> None:
    offer = offered(pki)
    _, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(offer.message[6:KEY_END]).encapsulate()
    body = b"FLHR\x02" + ciphertext
    text = pki.ends("east", "west").text(began_here=True) + offer.message + body
    forged = Middle(pki).tagged_reply(offer.message, body + signed(pki.own("middle"), text))
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("west")):
        offer.finish(forged)


def test_an_offer_of_an_earlier_exchange_is_refused(pki: Pki) -> None:
    earlier = offered(pki, ("00000000-0000-4000-8000-00000000000a",)).message
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("east")):
        replied(pki, Middle(pki).tagged_offer(earlier[:-TAG_BYTES]))


def test_a_reply_to_another_offer_is_refused(pki: Pki) -> None:
    first, second = offered(pki), offered(pki)
    honest = replied(pki, first.message)
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("west")):
        second.finish(Middle(pki).tagged_reply(second.message, honest[:-TAG_BYTES]))


def test_an_offer_cannot_be_turned_back_to_the_end_that_made_it(pki: Pki) -> None:
    own = offered(pki).message
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("west")):
        reply_to(own, relayed(), pki.ends("east", "west"))


def test_an_exchange_without_signatures_is_not_spoken(pki: Pki) -> None:
    old = b"FLHO\x01" + Middle(pki).offer_body()[5:]
    with pytest.raises(RemoteProtocolError):
        replied(pki, Middle(pki).tagged_offer(old))


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", bytes(72)])
def test_what_is_no_signature_is_refused(pki: Pki, signature: bytes) -> None:
    body = offered(pki).message[:KEY_END] + len(signature).to_bytes(2, "big") + signature
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("east")):
        replied(pki, Middle(pki).tagged_offer(body))


def test_a_signature_longer_than_any_is_refused(pki: Pki) -> None:
    size = MOST_SIGNATURE_BYTES + 1
    body = offered(pki).message[:KEY_END] + size.to_bytes(2, "big") + bytes(size)
    with pytest.raises(RemoteProtocolError, match="161 bytes"):
        replied(pki, Middle(pki).tagged_offer(body))


def test_the_middles_certificate_is_not_pinned_for_an_end(pki: Pki) -> None:
    with pytest.raises(ConfigError, match=r"names urn:faintlink:kme:middle"):
        PinnedEnd.load(pki.certificate("middle"), urn=site_urn("east"))


def test_another_certificate_of_the_same_name_is_another_end(pki: Pki, tmp_path: Path) -> None:
    second = Pki.make(tmp_path)
    with pytest.raises(AuthenticationError, match=NOT_SIGNED.format("east")):
        replied(pki, MlKemOffer(KEM, relayed(), second.ends("east", "west")).message)


@pytest.mark.parametrize("days", [-1, 91])
def test_a_pinned_certificate_that_is_not_valid_now_is_refused(pki: Pki, days: int) -> None:
    then = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    ends = Ends(pki.own("west"), pki.pinned("east", clock=lambda: then), KEY_IDS)
    with pytest.raises(AuthenticationError, match="not valid at this time"):
        reply_to(offered(pki).message, relayed(), ends)


def test_one_end_is_not_both(pki: Pki) -> None:
    with pytest.raises(LocalProtocolError, match="cannot exchange"):
        pki.ends("east", "east")


def test_an_exchange_without_names_of_keys_is_refused(pki: Pki) -> None:
    with pytest.raises(LocalProtocolError, match="under 0 keys"):
        pki.ends("east", "west", ())


def test_names_that_run_into_each_other_are_told_apart(pki: Pki) -> None:
    texts = [pki.ends("east", "west", ids).text(began_here=True) for ids in (("ab", "c"), ("a", "bc"), ("abc",))]
    assert len(set(texts)) == 3


def test_the_key_of_another_certificate_is_refused(pki: Pki) -> None:
    with pytest.raises(ConfigError, match="is not the key of"):
        OwnEnd.load(pki.certificate("east"), pki.folder / "west.key")


def test_a_key_that_is_not_there_is_named(pki: Pki) -> None:
    with pytest.raises(ConfigError, match=r"none\.key cannot be used"):
        OwnEnd.load(pki.certificate("east"), pki.folder / "none.key")


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.crt"
    path.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"wrong\.crt cannot be used"):
        PinnedEnd.load(path, urn=site_urn("east"))


def test_a_certificate_of_another_kind_of_key_is_refused(pki: Pki, tmp_path: Path) -> None:
    path = tmp_path / "ed25519.crt"
    path.write_bytes(ed25519_certificate(pki))
    with pytest.raises(ConfigError, match="by an EC key"):
        PinnedEnd.load(path, urn=site_urn("east"))


def ed25519_certificate(pki: Pki) -> bytes:
    """Return the certificate of ``east`` once more, for a key that the development PKI does not make."""
    old = x509.load_pem_x509_certificate(pki.certificate("east").read_bytes())
    key = ed25519.Ed25519PrivateKey.generate()
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(key.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
    )
    for extension in (x509.SubjectAlternativeName, x509.ExtendedKeyUsage):
        builder = builder.add_extension(old.extensions.get_extension_for_class(extension).value, critical=False)
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM)


def test_no_private_key_shows_in_a_repr(pki: Pki) -> None:
    key = serialization.load_pem_private_key((pki.folder / "east.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    shown = repr(pki.ends("east", "west"))
    assert f"{key.private_numbers().private_value:x}" not in shown
    assert "PrivateKey" not in shown
