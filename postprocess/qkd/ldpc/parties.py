"""The two parties of LDPC reconciliation as sans-I/O objects that exchange bytes and nothing else.

Bob drives: ``request = bob.next_request()``, ``answer = alice.answer(request)``, ``bob.receive(answer)``, until
`LdpcBob.next_request` returns None. The first answer holds the syndromes of all frames, and a check value each; it is
mostly the only one. A frame that does not decode asks for Alice's bits where Bob is least certain, round by round,
until it decodes or is given up. Neither object ever sees the other's bits, opens a socket, or authenticates: the
caller feeds the transcript to its authentication. Whether the frames agree is decided by
`faintlink.postprocess.qkd.verify`.

Messages, little-endian. A request is uint32 words. ``1``: all syndromes, once, as the first request. ``2``, then for
each of some frames in ascending order: its number, a count >= 1, and as many ascending positions in the frame, none of
them asked for before. An answer is one bit per parity or position in the order asked, eight a byte, the first one
lowest, the last byte padded with zeros; syndromes come frame by
frame, row by row, each followed by the 40 bits of the check value.

Sources: Elkouss et al., arXiv:0901.2140; Kiktenko et al., arXiv:1612.03673.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError, RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.qkd.asking import Asking
from faintlink.postprocess.qkd.cascade.parties import checked_bits
from faintlink.postprocess.qkd.ldpc.codes import base_matrix
from faintlink.postprocess.qkd.ldpc.decoder import Batch, check_values, frame_syndromes, frames_a_batch
from faintlink.postprocess.qkd.ldpc.parameters import (
    MAX_FRAMES,
    LdpcParameters,
    frame_length,
    public_order,
    public_point,
)

SYNDROMES = 1
POSITIONS = 2
MOST_ROUNDS = 24
"""Rounds of revealed positions after which a frame is given up."""
FIRST_SHARE = 0.005
"""Positions of the first round over the bits of the syndrome; it doubles every second round."""
FEWEST = 4

Places = npt.NDArray[np.int64]


def _coded(bits: Bits, parameters: LdpcParameters, order: npt.NDArray[np.int32]) -> Bits:
    # The frames in the order of the code, (code bits, frames).
    frames, length = frame_length(bits.size, parameters.frame_bits)
    if frames > MAX_FRAMES:
        raise LocalProtocolError(
            f"a run holds at most {MAX_FRAMES} frames, got {frames}", hint="cut the block into several runs"
        )
    if length != parameters.frame_bits:
        raise LocalProtocolError(
            f"{bits.size} bits make {frames} frames of {length}, but the parameters are for {parameters.frame_bits}",
            hint="take frame_length() of the run for LdpcParameters",
        )
    framed = np.zeros((frames, parameters.code_bits), np.uint8)
    flat = np.zeros(frames * length, np.uint8)
    flat[: bits.size] = bits
    framed[:, :length] = flat.reshape(frames, length)
    return np.ascontiguousarray(framed[:, order].T)


class LdpcAlice:
    """Discloses syndromes, and single bits where Bob asks.

    Parameters
    ----------
    bits
        Her bits of the run, (n,) uint8, n >= 1.
    parameters
        Public parameters, equal to Bob's; made for the frames of this run.
    seed
        Public seed, equal to Bob's, chosen after sifting.
    """

    def __init__(self, bits: Bits, parameters: LdpcParameters, seed: bytes) -> None:
        self._parameters = parameters
        self._codes = _coded(checked_bits(bits), parameters, public_order(parameters.code_bits, seed))
        frames = self._codes.shape[1]
        self._bits = np.zeros(frames * parameters.frame_bits, np.uint8)
        self._bits[: bits.size] = bits
        self._asked = np.zeros(self._bits.size, np.bool_)
        self._asked[bits.size :] = True
        self._left = np.full(frames, parameters.disclosure_limit - parameters.opening_bits, np.int64)
        self._point = public_point(seed)
        self._has_sent_syndromes = False
        self.leaked_bits = 0
        """Parities and bits that have left her."""

    def answer(self, request: bytes) -> bytes:
        """Return what a request asks for, and count it.

        Raises
        ------
        RemoteProtocolError
            The request is malformed, or asks for too much; nothing is answered.
        """
        if len(request) % 4 or len(request) < 4:
            raise RemoteProtocolError(f"a request has a size of {len(request)} bytes, expected a multiple of 4")
        words = np.frombuffer(request, "<u4").astype(np.int64)
        if words[0] == SYNDROMES and not self._has_sent_syndromes and words.size == 1:
            self._has_sent_syndromes = True
            bits = self._opening()
        elif words[0] == POSITIONS and self._has_sent_syndromes and words.size > 1:
            bits = self._revealed(words)
        else:
            raise RemoteProtocolError(f"a request of kind {words[0]} and {len(request)} bytes is not allowed now")
        self.leaked_bits += bits.size
        return np.packbits(bits, bitorder="little").tobytes()

    def _opening(self) -> Bits:
        matrix = base_matrix(self._parameters.row_count)
        frames, step = self._codes.shape[1], frames_a_batch(self._parameters)
        parts = []
        for start in range(0, frames, step):
            codes = np.ascontiguousarray(self._codes[:, start : start + step])
            lifted = matrix.lifted(self._parameters.lift, codes.shape[1])
            opening = np.concatenate((frame_syndromes(lifted, codes).T, check_values(codes, self._point)), axis=1)
            parts.append(opening.reshape(-1))
        return np.concatenate(parts)

    def _revealed(self, words: Places) -> Bits:
        # Looks at everything before it changes anything: a refused request must disclose nothing.
        length, at, frame = self._parameters.frame_bits, 1, -1
        found, costs = [], []
        while at < words.size:
            if at + 2 > words.size or not frame < words[at] < self._left.size:
                raise RemoteProtocolError(f"a frame number is out of range or out of order at word {at}")
            frame, count = int(words[at]), int(words[at + 1])
            positions = words[at + 2 : at + 2 + count]
            if count < 1 or positions.size != count:
                raise RemoteProtocolError(f"frame {frame} asks for {count} positions and names {positions.size}")
            if positions[-1] >= length or not np.all(np.diff(positions) > 0):
                raise RemoteProtocolError(f"positions of frame {frame} are out of range or out of order")
            if self._asked[frame * length + positions].any() or count > self._left[frame]:
                raise RemoteProtocolError(f"frame {frame} asks for bits twice or for more than it has to hide")
            found.append(frame * length + positions)
            costs.append((frame, count))
            at += 2 + count
        for frame, count in costs:
            self._left[frame] -= count
        chosen = np.concatenate(found)
        self._asked[chosen] = True
        return self._bits[chosen]


class LdpcBob(Asking):
    """Corrects his bits by Alice's syndromes.

    Parameters
    ----------
    bits
        His bits of the run, (n,) uint8, n >= 1; not changed.
    parameters
        Public parameters, equal to Alice's; made for the frames of this run.
    seed
        Public seed, equal to Alice's, chosen after sifting.
    """

    def __init__(self, bits: Bits, parameters: LdpcParameters, seed: bytes) -> None:
        super().__init__()
        self._parameters = parameters
        self._own = checked_bits(bits).copy()
        self._order = public_order(parameters.code_bits, seed)
        self._point = public_point(seed)
        self._codes = _coded(bits, parameters, self._order)
        self._step = frames_a_batch(parameters)
        self._batches: list[Batch | None] = []
        frames = self._codes.shape[1]
        self._left = np.full(frames, parameters.disclosure_limit - parameters.opening_bits, np.int64)
        self._is_lost = np.zeros(frames, np.bool_)
        self._rounds = 0
        self._wanted: list[tuple[int, Places]] = []
        self._asked = frames * parameters.opening_bits
        self._next = np.array([SYNDROMES], "<u4").tobytes()
        self.iterations = 0
        """Decoding iterations of all batches."""

    def _learn(self, answer: npt.NDArray[np.uint8]) -> None:
        bits = np.unpackbits(answer, count=self._asked, bitorder="little")
        if self._rounds == 0:
            self._start(bits.reshape(self._codes.shape[1], -1))
        else:
            self._reveal(bits)
        self._ask()

    def _start(self, opening: Bits) -> None:
        syndromes, checks = np.split(opening, [self._parameters.syndrome_bits], axis=1)
        padding = np.flatnonzero(self._order >= self._parameters.frame_bits)
        for start in range(0, self._codes.shape[1], self._step):
            frames = slice(start, start + self._step)
            codes = np.ascontiguousarray(self._codes[:, frames])
            turned = np.ascontiguousarray(syndromes[frames].T)
            batch = Batch(self._parameters, codes, turned, checks[frames], self._point, padding)
            missing = (self._codes.shape[1]) * self._parameters.frame_bits - self._own.size
            if missing and start + self._step >= self._codes.shape[1]:
                self._pad_last(batch, codes.shape[1] - 1, missing)
            self._decode(batch, start)
            self._batches.append(batch if batch.unmet.any() else None)

    def _pad_last(self, batch: Batch, frame: int, missing: int) -> None:
        first = self._parameters.frame_bits - missing
        places = np.flatnonzero((self._order >= first) & (self._order < self._parameters.frame_bits))
        batch.reveal(frame, places, np.zeros(places.size, np.uint8))

    def _decode(self, batch: Batch, start: int) -> None:
        before = batch.iterations
        batch.decode()
        self.iterations += batch.iterations - before
        self._codes[:, start : start + batch.unmet.size] = batch.decided

    def _reveal(self, bits: Bits) -> None:
        at = 0
        for frame, places in self._wanted:
            batch = self._batches[frame // self._step]
            assert batch is not None
            batch.reveal(frame % self._step, places, bits[at : at + places.size])
            at += places.size
        for number in sorted({frame // self._step for frame, _ in self._wanted}):
            batch = self._batches[number]
            assert batch is not None
            self._decode(batch, number * self._step)

    def _ask(self) -> None:
        # A frame that fails narrowly asks for little; else the amount grows with the rounds.
        share = FIRST_SHARE * 2 ** (self._rounds // 2)
        self._rounds += 1
        self._wanted = []
        for number, batch in enumerate(self._batches):
            if batch is None:
                continue
            for inside in np.flatnonzero(batch.unmet):
                frame = number * self._step + int(inside)
                count = min(int(share * self._parameters.syndrome_bits), 2 * int(batch.unmet[inside]))
                self._want(batch, frame, max(FEWEST, count))
            if all(self._is_lost[number * self._step + f] for f in np.flatnonzero(batch.unmet)):
                self._batches[number] = None
        words = [np.array([POSITIONS], np.int64)]
        for frame, places in self._wanted:
            words += [np.array([frame, places.size]), self._order[places].astype(np.int64)]
        self._asked = sum(places.size for _, places in self._wanted)
        self._next = np.concatenate(words).astype("<u4").tobytes() if self._wanted else None

    def _want(self, batch: Batch, frame: int, count: int) -> None:
        if self._is_lost[frame]:
            return
        places = batch.least_certain(frame % self._step, count)
        if self._rounds > MOST_ROUNDS or places.size == 0 or places.size > self._left[frame]:
            self._is_lost[frame] = True
            return
        self._left[frame] -= places.size
        self._wanted.append((frame, places[np.argsort(self._order[places])]))

    @property
    def lost_frames(self) -> tuple[int, ...]:
        """Numbers of the frames given up; they hold Bob's own bits."""
        return tuple(int(frame) for frame in np.flatnonzero(self._is_lost))

    @property
    def exhausted_frames(self) -> int:
        """Frames given up."""
        return int(np.count_nonzero(self._is_lost))

    def corrected(self) -> Bits:
        """Return his bits as corrected so far, (n,) uint8; frames given up are as they were."""
        place = np.empty(self._order.size, np.int32)
        place[self._order] = np.arange(self._order.size, dtype=np.int32)
        flat: Bits = self._codes.T[:, place[: self._parameters.frame_bits]].reshape(-1)[: self._own.size]
        return flat

    @property
    def corrected_errors(self) -> int:
        """Bits flipped so far."""
        return int(np.count_nonzero(self.corrected() != self._own))
