"""The secret order of rounds: committed to before the first qubit, opened after the last, derived by everybody alike.

Each client draws a seed and commits to it; the order follows from the exclusive or of all seeds. So it is uniform if
one client is honest, and after the opening the server can check that nobody chose it afterwards.

Notes
-----
The stream of SHAKE-256 over the joined seed gives 64 bits a round, whose sorting order is the permutation (ties are
broken by position; their probability is below n**2 / 2**65), and 64 bits a test round, whose remainder modulo the
number of kinds is its kind (off from uniform by less than 2**-60).

Sources: RFC 7693 (BLAKE2, personalised, over seed and nonce: hiding as long as BLAKE2b of a fresh nonce looks random,
binding as long as it has no collisions); FIPS 202 (SHAKE-256).
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RemoteProtocolError

SEED_BYTES = 32
_PERSON = b"faintlink bqc"


@dataclass(frozen=True, slots=True, repr=False)
class Opening:
    """What opens one client's commitment."""

    seed: bytes
    """32 bytes."""
    nonce: bytes
    """32 bytes."""

    def commitment(self, session: str, client: str) -> bytes:
        """Return the commitment, 32 bytes, bound to session and client."""
        hash_ = hashlib.blake2b(digest_size=32, person=_PERSON)
        for part in (session.encode(), client.encode(), self.seed, self.nonce):
            hash_.update(len(part).to_bytes(4, "little"))
            hash_.update(part)
        return hash_.digest()


def require_opening(opening: Opening, commitment: bytes, session: str, client: str) -> None:
    """Check an opening.

    Raises
    ------
    RemoteProtocolError
        It does not open the commitment.
    """
    sizes = len(opening.seed), len(opening.nonce)
    if sizes != (SEED_BYTES, SEED_BYTES) or not hmac.compare_digest(opening.commitment(session, client), commitment):
        raise RemoteProtocolError(
            f"what {client} opened is not what it committed to",
            hint="the order of the rounds was changed, or the records belong to different sessions",
        )


def joined_seed(openings: Sequence[Opening]) -> bytes:
    """Return the exclusive or of the seeds."""
    joined = np.zeros(SEED_BYTES, np.uint8)
    for opening in openings:
        joined ^= np.frombuffer(opening.seed, np.uint8)
    return joined.tobytes()


def round_types(seed: bytes, *, computations: int, tests: int, kinds: int) -> npt.NDArray[np.uint8]:
    """Return the type of each round, (n,) uint8: 0 computes, j tests by kind j - 1."""
    n = computations + tests
    stream = hashlib.shake_256(b"faintlink bqc order" + seed).digest(8 * (n + tests))
    words = np.frombuffer(stream, "<u8")
    types = np.zeros(n, np.uint8)
    types[np.argsort(words[:n], kind="stable")[:tests]] = (words[n:] % np.uint64(kinds) + 1).astype(np.uint8)
    return types
