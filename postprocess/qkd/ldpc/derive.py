"""Derive the shipped codes anew: ``python -m faintlink.postprocess.qkd.ldpc.derive [out.npz]``.

For each number of rows: the ensemble of least density whose predicted threshold is near the best, then a
quasi-cyclic graph of it without cycles of four, grown edge by edge. Everything follows from the constants below and
one fixed seed. It takes minutes and is never called at run time.

Sources: as `faintlink.postprocess.qkd.ldpc.ensembles` and `faintlink.postprocess.kernels.ldpc_peg`.
"""

import logging
import math
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.postprocess.kernels.ldpc_peg import grow
from faintlink.postprocess.qkd.ldpc.codes import CODES_FILE, COLUMNS, LIFT, SHIFT_BITS, BaseMatrix
from faintlink.postprocess.qkd.ldpc.ensembles import Ensemble, design

log = logging.getLogger(__name__)

ROW_COUNTS = (36, 41, 47, 54, 62, 72, 83, 95, 110, 126, 145, 167, 192, 221, 254, 292, 336, 386, 444)
"""Rows of the base matrices: leaks of 0.045 to 0.555 a bit in steps of 15 %; splitting rows reaches between them."""
PREDICTED_EFFICIENCY = 1.024
"""Predicted f at which a denser ensemble is no longer worth its edges."""
SEED = 20_090_214


def ensemble_of(rows: int) -> Ensemble:
    """Return the ensemble of least density whose predicted f suffices, or else the one of the best f."""
    best: tuple[float, Ensemble] | None = None
    degree = 3.8 * COLUMNS / rows
    while degree < 9.0 * COLUMNS / rows:
        found = design(rows, COLUMNS, degree)
        degree *= 1.05
        if found is None:
            continue
        f = rows / COLUMNS / -(found.qber * math.log2(found.qber) + (1 - found.qber) * math.log2(1 - found.qber))
        if best is None or f < best[0]:
            best = f, found
        if best[0] <= PREDICTED_EFFICIENCY or f > best[0] + 0.004:
            break
    assert best is not None
    log.info("%d rows: predicted f %.4f, degrees %s", rows, best[0], best[1].degrees)
    return best[1]


def grown(rows: int, ensemble: Ensemble) -> tuple[npt.NDArray[np.int32], ...]:
    """Return (row, column, shift) of each edge, by rows, and the unit of lifts without cycles of four, (1,)."""
    generator = np.random.default_rng(SEED + rows)
    targets = np.repeat([d for d, _ in ensemble.degrees], [c for _, c in ensemble.degrees]).astype(np.int32)
    unit = 32
    while True:
        draws = generator.integers(0, 2**63, int(targets.sum()), dtype=np.uint64)
        degrees, row, shift = grow(targets, rows, LIFT, unit, draws)
        if degrees.sum() == targets.sum() or unit == 256:
            break
        unit *= 2
    # Columns of all degrees mixed, so that bursts and shortened ends meet all alike.
    place = generator.permutation(COLUMNS)
    edges = [(int(row[c, k]), int(place[c]), int(shift[c, k])) for c in range(COLUMNS) for k in range(degrees[c])]
    table = np.array(sorted(edges), np.int32)
    return table[:, 0], table[:, 1], table[:, 2], np.array([unit], np.int32)


def packed(codes: dict[int, BaseMatrix]) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of the file: all codes one after another, columns as steps, shifts as ten bits each."""
    columns = np.concatenate([code.columns for code in codes.values()])
    shifts = np.concatenate([code.shifts for code in codes.values()])
    return {
        "row_counts": np.array(list(codes), np.uint16),
        "units": np.array([code.unit for code in codes.values()], np.uint16),
        "widths": np.concatenate([np.diff(code.rows) for code in codes.values()]).astype(np.uint16),
        "column_steps": (np.diff(columns, prepend=0) % COLUMNS).astype(np.uint16),
        "shifts": np.packbits((shifts[:, None] >> np.arange(SHIFT_BITS)) & 1),
    }


def derived(rows: int) -> BaseMatrix:
    """Return the code of ``rows`` rows, designed and grown anew."""
    row, column, shift, unit = grown(rows, ensemble_of(rows))
    log.info("%d rows: %d edges, unit %d", rows, row.size, unit[0])
    bounds = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows)))).astype(np.int32)
    return BaseMatrix(bounds, column, shift, int(unit[0]))


def main(target: Path) -> None:
    """Derive all codes and write them to ``target``."""
    arrays = packed({rows: derived(rows) for rows in ROW_COUNTS})
    np.savez_compressed(target, allow_pickle=False, **arrays)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else CODES_FILE)
