"""What the two nodes say to each other about a block: payloads as frozen values, and their bytes.

A message is a kind and a payload; frames, sequence numbers and authentication are the envelope's business. Every
decoder checks all lengths before it allocates and refuses what is left over, with a `RemoteProtocolError`.

The order of a block, which the machines of `alice` and `bob` enforce::

    bob -> alice   DETECTIONS     slots of all detections of the block: from here on they are committed
    alice -> bob   COMMITTED      the same count: only now may bases be spoken of
    bob -> alice   BASES          one bit a detection
    alice -> bob   SIFTED         which are kept, their intensities, Alice's bits of the test basis
    bob -> alice   TESTED         Bob's bits of the test basis
    alice -> bob   RECONCILE      who corrects, and a public seed; again for frames that fail the check once
    bob -> alice   PARITIES       a request of his         alice -> bob  ANSWER     … as often as needed
    bob -> alice   CORRECTED      number of corrected bits
    alice -> bob   CHECK          seed and tags of the verification hash, a tag a frame
    bob -> alice   CHECKED        which frames agree, and when all do, the errors of the key basis by intensity
    alice -> bob   OPENED         only if frames failed twice: her bits of them
    bob -> alice   COUNTED        the answer to that: the errors of the key basis by intensity
    alice -> bob   AMPLIFY        key name, length and seed of the amplifying hash
    bob -> alice   PREPARED       his key is on disk, not yet released
    alice -> bob   RELEASE        hers too: both may release
    either way     ABORT          no key of this block, and why
"""

from typing import TypeAlias

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.node.distilling import (
    Abort,
    Amplify,
    Answer,
    Check,
    Checked,
    Corrected,
    Counted,
    Opened,
    Parities,
    Prepared,
    Reconcile,
    Release,
)
from faintlink.postprocess.node.sifting import Bases, Committed, Detections, Sifted, Tested
from faintlink.postprocess.node.wire import Kind

Message: TypeAlias = (
    Detections
    | Committed
    | Bases
    | Sifted
    | Tested
    | Reconcile
    | Parities
    | Answer
    | Corrected
    | Check
    | Checked
    | Opened
    | Counted
    | Amplify
    | Prepared
    | Release
    | Abort
)
"""Any message about a block."""

_CLASSES: dict[Kind, type[Message]] = {
    one.kind: one
    for one in (
        Detections,
        Committed,
        Bases,
        Sifted,
        Tested,
        Reconcile,
        Parities,
        Answer,
        Corrected,
        Check,
        Checked,
        Opened,
        Counted,
        Amplify,
        Prepared,
        Release,
        Abort,
    )
}


def decode(kind: int, payload: bytes) -> Message:
    """Return the message of a kind and a payload.

    Raises
    ------
    RemoteProtocolError
        There is no such kind, or the payload is malformed.
    """
    if kind not in _CLASSES:
        raise RemoteProtocolError(f"no message has kind {kind}", hint="both nodes must run the same program version")
    return _CLASSES[Kind(kind)].decode(payload)
