"""What clients and server tell each other, as bytes: commitments, angles, reports and openings.

Both ends use it. Every message has a type, a length that follows from what both know, and nothing else; anything
malformed is refused before it is used. The channel between the parties is authenticated by whoever carries it.

Layout: one byte of type, then ``<I`` batch, ``<B`` vertex (255 for preparation), ``<I`` attempts, then one byte an
attempt: an angle 0..7 with type 1, a report with type 2 (0 or 1 for an outcome, 2 for a loss; in a preparation one byte
an attempt and vertex, 1 arrived, 2 lost). Type 3 is a commitment of 32 bytes, type 4 an opening of 64.

Sources: none.
"""

import struct

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import RemoteProtocolError
from faintlink.postprocess.bqc.graph import STEPS, Angles
from faintlink.postprocess.bqc.order import SEED_BYTES, Opening

ANGLES, REPORT, COMMITMENT, OPENING = 1, 2, 3, 4
PREPARATION = 255
"""In place of a vertex."""
LOST = 2
"""A qubit that did not arrive, or gave no outcome, or two."""
MAX_ATTEMPTS = 1 << 20
MAX_VERTICES = 10
_HEAD = struct.Struct("<BIBI")


def pack_angles(batch: int, vertex: int, angles: Angles) -> bytes:
    """Return the angles of one vertex, (n,) uint8."""
    return _HEAD.pack(ANGLES, batch, vertex, angles.size) + angles.tobytes()


def unpack_angles(data: bytes, *, batch: int, vertex: int, attempts: int) -> Angles:
    """Return the angles of the vertex that is due, (n,) uint8.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another batch, vertex or number, or an angle exceeds 7.
    """
    return _unpack(data, ANGLES, batch, vertex, attempts, attempts, range(STEPS))


def pack_report(batch: int, vertex: int, report: npt.NDArray[np.uint8]) -> bytes:
    """Return the outcomes (n,) of one vertex, or the arrivals (n, v) of a preparation; uint8."""
    return _HEAD.pack(REPORT, batch, vertex, len(report)) + report.tobytes()


def unpack_outcomes(data: bytes, *, batch: int, vertex: int, attempts: int) -> npt.NDArray[np.uint8]:
    """Return the outcomes of the vertex that is due, (n,) uint8: 0, 1 or `LOST`.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another batch, vertex or number, or no such outcome.
    """
    return _unpack(data, REPORT, batch, vertex, attempts, attempts, range(3))


def unpack_arrivals(data: bytes, *, batch: int, attempts: int, vertices: int) -> npt.NDArray[np.uint8]:
    """Return what arrived in a preparation, (n, vertices) uint8: 1 or `LOST`.

    Raises
    ------
    RemoteProtocolError
        Malformed, of another batch or number.
    """
    flat = _unpack(data, REPORT, batch, PREPARATION, attempts, attempts * vertices, range(1, 3))
    return flat.reshape(attempts, vertices)


def pack_commitment(commitment: bytes) -> bytes:
    """Return a commitment as a message."""
    return bytes([COMMITMENT]) + commitment


def unpack_commitment(data: bytes) -> bytes:
    """Return the commitment, 32 bytes.

    Raises
    ------
    RemoteProtocolError
        Malformed.
    """
    if len(data) != 1 + SEED_BYTES or data[0] != COMMITMENT:
        raise _malformed(f"{len(data)} bytes are no commitment")
    return data[1:]


def pack_opening(opening: Opening) -> bytes:
    """Return an opening as a message."""
    return bytes([OPENING]) + opening.seed + opening.nonce


def unpack_opening(data: bytes) -> Opening:
    """Return the opening.

    Raises
    ------
    RemoteProtocolError
        Malformed.
    """
    if len(data) != 1 + 2 * SEED_BYTES or data[0] != OPENING:
        raise _malformed(f"{len(data)} bytes are no opening")
    return Opening(data[1 : 1 + SEED_BYTES], data[1 + SEED_BYTES :])


def _unpack(
    data: bytes, kind: int, batch: int, vertex: int, attempts: int, size: int, allowed: range
) -> npt.NDArray[np.uint8]:
    if len(data) != _HEAD.size + size:
        raise _malformed(f"a message of {len(data)} bytes, expected {_HEAD.size + size}")
    expected = kind, batch, vertex, attempts
    seen = _HEAD.unpack_from(data)
    if seen != expected:
        raise _malformed(f"a message for (type, batch, vertex, attempts) {seen}, due is {expected}")
    values = np.frombuffer(data, np.uint8, offset=_HEAD.size)
    if size and not allowed.start <= int(values.min()) <= int(values.max()) < allowed.stop:
        raise _malformed(f"values from {allowed.start} to {allowed.stop - 1} are due, got {values.max()}")
    return values


def _malformed(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(text, hint="the other side, or somebody in between, does not keep to the protocol")
