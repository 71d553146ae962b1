"""The two parties of Cascade as sans-I/O objects that exchange bytes and nothing else.

Bob drives: ``request = bob.next_request()``, ``answer = alice.answer(request)``, ``bob.receive(answer)``, until
`CascadeBob.next_request` returns None. All frames of a run go forward together, one message a level. Neither
object ever sees the other's bits, opens a socket, or authenticates: the caller feeds the running transcript to its
authentication. Whether the frames agree in the end is not decided here but by `faintlink.postprocess.qkd.verify`.

Messages, little-endian. A request is uint16 words: the number of groups, then for each group its frame (ascending),
set and number of ranges, followed by the first and the last position of each range. Sets 0 to 2 are the passes,
3 + j is the random subset j, 256 are all 20 subsets; a group without ranges asks for all block parities of a
pass, or for those of all subsets. An answer is one bit per parity in the order asked, eight a byte,
the first one lowest, the last byte padded with zeros.

Sources: as `faintlink.postprocess.kernels.cascade`.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.kernels import bisect, cascade, cascade_bob
from faintlink.postprocess.kernels.parity import Words, pack_rows, permute_frames
from faintlink.postprocess.qkd.asking import Asking
from faintlink.postprocess.qkd.cascade.parameters import CascadeParameters, frame_length, public_layout

MAX_FRAMES = 4_096
_FAULTS = {
    cascade.BAD_HEADER: "its number of groups does not fit its size",
    cascade.BAD_FRAME: "a frame number is out of range or out of order",
    cascade.BAD_SET: "a set number is out of range",
    cascade.BAD_COUNT: "a number of ranges does not fit its size or set",
    cascade.BAD_RANGE: "a range is empty or leaves the frame",
    cascade.OVER_BUDGET: "it asks for more parities than a frame has bits to hide",
}


def disclosure_limit(length: int) -> int:
    """Return the most parity bits that a frame of ``length`` bits may disclose; far above any frame with key."""
    return 2 * length + 64


def checked_bits(bits: Bits) -> Bits:
    """Return ``bits`` if they are a non-empty 1-d uint8 array of zeros and ones.

    Raises
    ------
    LocalProtocolError
        They are not.
    """
    if bits.ndim != 1 or bits.dtype != np.uint8 or bits.size == 0 or int(bits.max()) > 1:
        raise LocalProtocolError(
            f"expected a non-empty 1-d uint8 array of bits, got {bits.dtype} of shape {bits.shape}",
            hint="one bit per byte, each 0 or 1",
        )
    return bits


def _framed(bits: Bits, frame_bits: int) -> Bits:
    frames, length = frame_length(bits.size, frame_bits)
    if frames > MAX_FRAMES:
        raise LocalProtocolError(
            f"a run holds at most {MAX_FRAMES} frames, got {frames}", hint="cut the block into several runs"
        )
    padded = np.zeros(frames * length, np.uint8)
    padded[: bits.size] = bits
    return padded.reshape(frames, length)


def _rows(framed: Bits, order: npt.NDArray[np.uint16]) -> Words:
    packed = pack_rows(framed)
    rows = np.empty((framed.shape[0], order.shape[0], packed.shape[1]), np.uint64)
    permute_frames(packed, order, rows)
    return rows


class CascadeAlice:
    """Answers parity questions about her bits.

    Parameters
    ----------
    bits
        Her bits of the run, (n,) uint8, n >= 1.
    parameters
        Public parameters, equal to Bob's.
    seed
        Public seed, equal to Bob's, chosen after sifting.
    """

    def __init__(self, bits: Bits, parameters: CascadeParameters, seed: bytes) -> None:
        framed = _framed(checked_bits(bits), parameters.frame_bits)
        frames, length = framed.shape
        self._layout, order = public_layout(parameters, length, seed)
        self._length = length
        self._rows = np.append(_rows(framed, order), np.uint64(0))
        self._left = np.full(frames, disclosure_limit(length), np.int64)
        self._most_at_top = max(cascade.SUBSET_COUNT, -(-length // int(self._layout.blocks.min())))
        self._most = frames * max(length, cascade.SUBSET_COUNT)
        self.leaked_bits = 0
        """Parity bits that have left her."""

    def answer(self, request: bytes) -> bytes:
        """Return the parities that a request asks for, and count them.

        Raises
        ------
        RemoteProtocolError
            The request is malformed, or asks for too much; nothing is answered.
        """
        if len(request) % 2 or len(request) < 2:
            raise RemoteProtocolError(f"a parity request has a size of {len(request)} bytes, expected an even size")
        words = np.frombuffer(request, "<u2")
        room = min(self._most, int(words[0]) * self._most_at_top + words.size)
        answer = np.zeros(room // 8 + 1, np.uint8)
        bits = cascade.answer_request(
            self._layout.masks, self._layout.blocks, self._length, self._rows, words, self._left, answer
        )
        if bits < 0:
            raise RemoteProtocolError(
                f"a parity request of {len(request)} bytes is refused: {_FAULTS[bits]}",
                hint="both sides must run the same parameters, seed and program version",
            )
        self.leaked_bits += bits
        return answer[: (bits + 7) // 8].tobytes()


class CascadeBob(Asking):
    """Corrects his bits by asking for parities.

    Parameters
    ----------
    bits
        His bits of the run, (n,) uint8, n >= 1; not changed.
    parameters
        Public parameters, equal to Alice's.
    seed
        Public seed, equal to Alice's, chosen after sifting.
    """

    def __init__(self, bits: Bits, parameters: CascadeParameters, seed: bytes) -> None:
        super().__init__()
        framed = _framed(checked_bits(bits), parameters.frame_bits)
        frames, length = framed.shape
        self._size = bits.size
        self._layout, order = public_layout(parameters, length, seed)
        self._state = _fresh_state(framed, order)
        self._request = np.empty(1 + frames * (length + 3), np.uint16)
        self._learn(np.zeros(0, np.uint8))

    def _learn(self, answer: npt.NDArray[np.uint8]) -> None:
        state = self._state
        words, bits = cascade_bob.advance(
            *self._layout,
            state.memory,
            state.frame_words,
            state.ranges,
            state.books,
            state.corrected,
            answer,
            self._request,
        )
        if words == bisect.CONTRADICTION:
            self._next = None
            raise RemoteProtocolError(
                f"the parities of frame {bits} contradict each other",
                hint="both sides must run the same parameters, seed and program version",
            )
        self._asked = bits
        self._next = self._request[:words].astype("<u2").tobytes() if bits else None

    @property
    def corrected_errors(self) -> int:
        """Bits flipped so far."""
        return int(self._state.books[:, bisect.FLIPS].sum())

    @property
    def exhausted_frames(self) -> int:
        """Frames given up because their parities would have disclosed more than they hold."""
        return int(np.count_nonzero(self._state.books[:, bisect.LEFT] < 0))

    def corrected(self) -> Bits:
        """Return his bits as corrected so far, (n,) uint8."""
        return self._state.corrected[: self._size].copy()


def _fresh_state(framed: Bits, order: npt.NDArray[np.uint16]) -> bisect.State:
    frames, length = framed.shape
    rows = _rows(framed, order)
    frame_words = bisect.stride(rows.shape[2])
    memory = np.zeros(frames * frame_words + 1, np.uint64)
    memory[:-1].reshape(frames, frame_words)[:, : rows[0].size] = rows.reshape(frames, -1)
    books = np.zeros((frames, bisect.COLUMNS), np.int64)
    books[:, bisect.LEFT] = disclosure_limit(length)
    return bisect.State(
        memory=memory,
        frame_words=frame_words,
        ranges=np.empty(frames * length * 3, np.int32),
        books=books,
        corrected=framed.reshape(-1),
    )
