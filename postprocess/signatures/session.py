"""One signature from keys to verdicts: the three parties in one process, their records, and the outcome.

Called by ``faintlink qds``. Each party reads its own home folder only, in which each link's keys are a folder:
``signer/receiver``, ``signer/verifier``, ``receiver/signer``, ``receiver/verifier``, ``verifier/signer``,
``verifier/receiver``. Parties on several machines exchange the same bytes by their own means.

Sources: as `faintlink.postprocess.signatures.parameters`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faintlink.core.entropy import Entropy
from faintlink.core.recordfile import Record, fresh_seal_key, write_record
from faintlink.postprocess.applications import Outcome
from faintlink.postprocess.conjugate.tails import as_epsilon
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.report.files import write_new
from faintlink.postprocess.report.outcome import write_outcome
from faintlink.postprocess.signatures.keys import KeyPool, KeySlice
from faintlink.postprocess.signatures.messages import decode_signed
from faintlink.postprocess.signatures.panels import panels
from faintlink.postprocess.signatures.parameters import Parameters, Variant
from faintlink.postprocess.signatures.parties import Receiver, SignatureVerdict, Signer, Verifier

ATTACKS = ("none", "forge-document", "alter-signature", "repudiate", "replay")
STATEMENTS = (
    "Proved (Lim, Liao, Marin, Kersaint Tournebize, after Grasselli et al.): forging and repudiation succeed with at "
    "most the two epsilons named here, with perfect keys and an authenticated channel between receiver and verifier.",
    "Proved (Krawczyk, CRYPTO '94): the hash collides with a probability of at most b_M / 2**(b_H - 1).",
    "The keys' own epsilons are those of their links; they are added in 'epsilon with keys'. That sum is this "
    "program's own: a protocol that is eps-secure with perfect keys is (eps + sum of the keys' eps)-secure with these.",
    "Assumed: at most one of the three parties is dishonest, and the verifier's decision is final.",
    "Assumed: signer does not know the keys between receiver and verifier.",
    "The tags between receiver and verifier take 3 b'_H fresh bits a message, more than the authors count.",
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What came of one document."""

    receiver: SignatureVerdict
    """The receiver's verdict."""
    verifier: SignatureVerdict
    """The verifier's verdict, which is final."""
    message: bytes
    """The signed document as it was sent."""


def verify_both(
    message: bytes, homes: Path, entropy: Entropy, *, is_rehearsal: bool, delivered: bytes | None = None
) -> Signed:
    """Let receiver and verifier decide about a signed document, from their home folders.

    Parameters
    ----------
    message
        As the signer made it.
    homes
        Holds ``receiver`` and ``verifier``.
    entropy
        Of both.
    is_rehearsal
        Whether keys that are marked unusable may be taken.
    delivered
        What arrives instead, for rehearsals of attacks.

    Raises
    ------
    RemoteProtocolError, AuthenticationError, RecordReplayedError, KeyExhaustedError
        As the parties.
    """
    signed = decode_signed(message)
    delivered = message if delivered is None else delivered
    parties = []
    for kind, key in ((Receiver, signed.receiver_key), (Verifier, signed.verifier_key)):
        other = "verifier" if kind is Receiver else "receiver"
        folders = [KeyPool(homes / kind.name / link, is_rehearsal) for link in ("signer", other)]
        parties.append(kind(signed.parameters, key, *folders))
    receiver, verifier = parties
    assert isinstance(receiver, Receiver)
    assert isinstance(verifier, Verifier)
    if signed.parameters.variant is Variant.SEQUENCE:
        verifier.take_document(receiver.forward(delivered, entropy))
    verifier.accept_blocks(receiver.distribute(entropy), "receiver")
    receiver.accept_blocks(verifier.distribute(entropy), "verifier")
    first = receiver.verify(delivered)
    if signed.parameters.variant is Variant.BLOCK:
        verifier.take_document(receiver.forward(delivered, entropy))
    second = verifier.verify(receiver.report(first, entropy))
    return Signed(first, second, message)


def sign_document(
    document: bytes, parameters: Parameters, homes: Path, entropy: Entropy, *, is_rehearsal: bool
) -> bytes:
    """Return a document signed with fresh keys of the signer's home folder.

    Raises
    ------
    KeyExhaustedError, LocalProtocolError
        As `Signer`.
    """
    signer = Signer(*(KeyPool(homes / "signer" / link, is_rehearsal) for link in ("receiver", "verifier")))
    return signer.sign(document, signer.reserve(parameters), entropy)


def key_epsilon(message: bytes, homes: Path) -> float:
    """Return the sum of the epsilons of the keys that a signed document names, as the receivers' stores say."""
    contents = decode_signed(message)
    named = {("receiver", part.key_id) for part in contents.receiver_key}
    named |= {("verifier", part.key_id) for part in contents.verifier_key}
    return float(sum(FileKeyStore(homes / party / "signer").about(key)["epsilon"] for party, key in sorted(named)))


def write_results(signed: Signed, folder: Path, *, session: str, is_rehearsal: bool, key_epsilon: float) -> Outcome:
    """Leave the signed document, both parties' records and the report in a folder, and return the outcome.

    Parameters
    ----------
    signed
        What came of the document.
    folder
        Exists.
    session
        Name of the session.
    is_rehearsal
        Marked in records and outcome.
    key_epsilon
        Sum of the epsilons of all keys that were used.
    """
    contents = decode_signed(signed.message)
    p = contents.parameters
    facts = {
        "variant": str(p.variant),
        "document bits": p.message_bits,
        "blocks": p.blocks,
        "hash bits": p.hash_bits,
        "tag bits": p.tag_bits,
        "most wrong": p.max_errors,
        "receiver checked": signed.receiver.checked,
        "receiver found wrong": signed.receiver.wrong,
        "verifier checked": signed.verifier.checked,
        "verifier found wrong": signed.verifier.wrong,
        "eps_for": as_epsilon(p.eps_forge),
        "eps_rep": as_epsilon(p.eps_repudiate),
        "epsilon with keys": as_epsilon(p.epsilon) + key_epsilon,
        "shared bits as the authors count": p.total_bits,
        "rehearsal": is_rehearsal,
    }
    accepted = signed.receiver.is_accepted and signed.verifier.is_accepted
    words = "accepted by receiver and verifier" if accepted else "refused"
    rehearsal = " (a rehearsal: the keys were not secret)" if is_rehearsal else ""
    outcome = Outcome("Quantum digital signature", accepted, f"The document is {words}{rehearsal}.", facts, STATEMENTS)
    write_new(folder / "document.signed", signed.message)
    for party, verdict, key in (
        ("receiver", signed.receiver, contents.receiver_key),
        ("verifier", signed.verifier, contents.verifier_key),
    ):
        _write_party(folder / party, party, session, verdict, facts, key)
    write_outcome(outcome, folder, panels(p))
    return outcome


def _write_party(
    folder: Path,
    party: str,
    session: str,
    verdict: SignatureVerdict,
    facts: dict[str, object],
    key: tuple[KeySlice, ...],
) -> None:
    folder.mkdir(mode=0o700)
    header = {**facts, "accepted": verdict.is_accepted, "keys": [part.key_id for part in key]}
    columns = {
        "first_bit": np.array([part.first_bit for part in key], np.int64),
        "bits": np.array([part.bits for part in key], np.int64),
    }
    record = Record("signature-verdict", session, "", party, header, {"public": columns})
    write_record(folder / "verdict.h5", record, fresh_seal_key(folder))


def tampered(message: bytes, attack: str) -> bytes:
    """Return what arrives of a signed document under an attack of a rehearsal."""
    contents = decode_signed(message)
    if attack == "forge-document":
        return message[:-1] + bytes([message[-1] ^ 1])
    if attack in ("alter-signature", "repudiate"):
        width = (2 * contents.parameters.hash_bits + 7) // 8
        start = len(message) - len(contents.document) - width * contents.parameters.signatures
        last = start + width * contents.parameters.signatures - 1
        places = [last]
        if attack == "repudiate" and contents.parameters.variant is Variant.BLOCK:
            places = [last - width * j for j in range(contents.parameters.max_errors + 1)]
        changed = bytearray(message)
        for place in places:
            changed[place] ^= 1
        return bytes(changed)
    return message
