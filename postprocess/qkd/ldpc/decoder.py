"""Decoding of a batch of frames that go through the vector loops side by side.

Bob's part alone: it takes his bits and Alice's syndromes, and says for each frame whether the corrected bits meet
the syndrome and the check value. It knows nothing of messages, keys or leak.

Sources: as `faintlink.postprocess.kernels.ldpc`; Kiktenko et al., arXiv:1612.03673 (least certain positions).
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.units import Bits
from faintlink.postprocess.kernels.ldpc import CERTAIN, SCALE, Workspace, sweep, syndrome_of
from faintlink.postprocess.kernels.polynomial import evaluate
from faintlink.postprocess.qkd.ldpc.codes import COLUMNS, BaseMatrix, base_matrix
from faintlink.postprocess.qkd.ldpc.parameters import CHECK_BITS, LdpcParameters

LANES = 1_024
"""Lanes that a batch is filled up to."""
MOST_ITERATIONS = 150
DECEIVED = 16
"""Stands for the unmet checks of a frame that meets all, but not its check value."""
PATIENCE = 16
"""Iterations without progress after which a batch is left."""
PROGRESS = 0.995
"""What the unmet checks must shrink to, to count as progress."""


def frame_syndromes(matrix: BaseMatrix, codes: Bits) -> Bits:
    """Return the syndromes, (rows * Z, F) uint8, of frames (columns * Z, F) uint8 under a matrix lifted for them."""
    out = np.empty(codes.size // COLUMNS * matrix.row_count, np.uint8)
    syndrome_of(matrix.rows, matrix.columns, matrix.shifts, codes.reshape(-1), out)
    return out.reshape(-1, codes.shape[1])


def check_values(codes: Bits, point: np.uint64) -> Bits:
    """Return a universal hash of each frame, (F, 40) uint8 bits, of frames (columns * Z, F) uint8.

    Notes
    -----
    The lowest bits of a polynomial over the field of 2**61 - 1: two frames of 819,200 bits share them with a
    probability of at most 25,601 / 2**39 over the point. It spares lost blocks; the proof rests on the verification.
    """
    values = np.empty((codes.shape[1], CHECK_BITS), np.uint8)
    for frame in range(codes.shape[1]):
        words = np.packbits(codes[:, frame], bitorder="little").view("<u4").astype(np.uint32, copy=False)
        values[frame] = int(evaluate(np.uint64(words.size), words, point)) >> np.arange(CHECK_BITS) & 1
    return values


def frames_a_batch(parameters: LdpcParameters) -> int:
    """Return how many frames share the lanes."""
    return max(1, LANES // parameters.lift)


class Batch:
    """Some frames on their way to agreement.

    Parameters
    ----------
    parameters
        Public parameters of the run.
    codes
        Bob's frames in the order of the code, (columns * Z, F) uint8.
    syndromes
        Alice's syndromes, (rows * Z, F) uint8.
    checks
        Alice's check values, (F, 40) uint8.
    point
        Public point of the check values.
    known
        Places of the code that hold padding, and so a known 0, (p,) int64.
    """

    def __init__(
        self,
        parameters: LdpcParameters,
        codes: Bits,
        syndromes: Bits,
        checks: Bits,
        point: np.uint64,
        known: npt.NDArray[np.int64],
    ) -> None:
        frames = codes.shape[1]
        self._matrix = base_matrix(parameters.row_count).lifted(parameters.lift, frames)
        self._syndromes, self._checks, self._point = syndromes, checks, point
        self._targets = np.negative(syndromes, dtype=np.int16).reshape(-1)
        channel = round(SCALE * np.log((1.0 - parameters.qber) / parameters.qber))
        self._totals = np.where(codes, np.int16(-channel), np.int16(channel)).astype(np.int16)
        self._totals[known] = CERTAIN
        self._is_known = np.zeros(codes.shape, np.bool_)
        self._is_known[known] = True
        self._work = _workspace(self._matrix, parameters.lift * frames)
        self.unmet = np.full(frames, syndromes.shape[0], np.int64)
        """Checks that each frame does not meet, (F,) int64; 0 once it agrees, its check value included."""
        self.iterations = 0
        """Passes over the code so far."""
        self.decided = codes.copy()
        """Corrected bits of the frames that agree, Bob's own of the others, (columns * Z, F) uint8."""

    def decode(self) -> None:
        """Iterate until all frames meet their syndromes, or nothing moves."""
        matrix, totals = self._matrix, self._totals.reshape(-1)
        few = self._targets.size // 200
        best, waited = float(self._targets.size), 0
        for turn in range(MOST_ITERATIONS):
            unmet = sweep(matrix.rows, matrix.columns, matrix.shifts, totals, self._targets, self._work)
            self.iterations += 1
            best, waited = (unmet, 0) if unmet < PROGRESS * best else (best, waited + 1)
            is_last = waited >= PATIENCE or turn == MOST_ITERATIONS - 1
            if (unmet == 0 or is_last or (unmet < few and turn % 2 == 0)) and self._settle():
                return
            if is_last:
                return

    def _settle(self) -> bool:
        # The only judge of success: syndrome and check value of the hard decisions, computed anew. Returns whether
        # iterating can do no more.
        decided = (self._totals < 0).view(np.uint8)
        unmet = np.count_nonzero(frame_syndromes(self._matrix, decided) != self._syndromes, axis=0)
        is_stuck = not unmet[self.unmet > 0].any()
        for frame in np.flatnonzero((unmet == 0) & (self.unmet > 0)):
            own = check_values(decided[:, frame : frame + 1], self._point)[0]
            if not np.array_equal(own, self._checks[frame]):
                unmet[frame] = DECEIVED
        agrees = (unmet == 0) & (self.unmet > 0)
        self.decided[:, agrees] = decided[:, agrees]
        self.unmet = np.where(self.unmet == 0, 0, unmet)
        return is_stuck

    def least_certain(self, frame: int, count: int) -> npt.NDArray[np.int64]:
        """Return up to ``count`` places of a frame whose bits are the least certain, none of them known."""
        free = np.flatnonzero(~self._is_known[:, frame])
        if count >= free.size:
            return free
        return free[np.argpartition(np.abs(self._totals[free, frame]), count)[:count]]

    def reveal(self, frame: int, places: npt.NDArray[np.int64], bits: Bits) -> None:
        """Fix the bits of some places of a frame to Alice's."""
        self._totals[places, frame] = np.where(bits, -CERTAIN, CERTAIN)
        self._is_known[places, frame] = True


def _workspace(matrix: BaseMatrix, lanes: int) -> Workspace:
    widest = int(np.diff(matrix.rows).max())
    room = [np.zeros(size * lanes, np.int16) for size in (matrix.columns.size, widest, 1, 1, 1, 1)]
    return Workspace(*room)
