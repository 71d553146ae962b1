"""Upper bounds of what any measurement can reach, certified by a feasible point of the dual semidefinite program.

The primal: the greatest sum of Tr[M_x W_x] over measurements M_x >= 0 that add to the identity. The dual: the least
Tr Y with Y >= W_x for all x. By weak duality every feasible Y bounds the primal, whatever made it: the solver's Y
is shifted until the eigenvalues of all Y - W_x show it to be feasible, and its own value is never used. Without a
solver, Y = c 1 is a feasible point, too: it gives the dimension times the greatest eigenvalue.

`cvxpy` is imported when it is asked for.

Sources: S. Boyd, L. Vandenberghe, "Convex Optimization" (2004), section 5.9 (duality of semidefinite programs).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from faintlink.core.errors import FaintlinkError
from faintlink.postprocess.money.states import Floats, Matrices

MARGIN = 1e-11
"""Relative to the greatest entry: far more than the error of `numpy.linalg.eigvalsh` on matrices of 9 dimensions."""


@dataclass(frozen=True, slots=True)
class DualBound:
    """An upper bound of the primal."""

    value: float
    """Tr Y of a feasible Y, rounded up."""
    shift: float
    """How much of the identity had to be added to the proposed Y."""
    is_optimised: bool
    """Whether a solver proposed Y; otherwise it is a multiple of the identity."""


def has_solver() -> bool:
    """Return whether `cvxpy` is installed."""
    return find_spec("cvxpy") is not None


def certified(proposed: Floats, ops: Matrices, *, is_optimised: bool) -> DualBound:
    """Return the bound of a proposed Y (d, d) for operators W_x (k, d, d), after it was made feasible.

    Notes
    -----
    Y + s 1 with s at least minus the least eigenvalue of all Y - W_x, plus `MARGIN` of the greatest entry.
    """
    dual = (proposed + proposed.T) / 2.0
    scale = max(1.0, float(np.abs(ops).max()), float(np.abs(dual).max()))
    least = float(np.linalg.eigvalsh(dual[None] - ops).min())
    shift = max(0.0, -least) + MARGIN * scale
    value = (float(np.trace(dual)) + shift * dual.shape[0]) * (1.0 + 1e-12)
    return DualBound(value, shift, is_optimised)


def isotropic_bound(ops: Matrices) -> DualBound:
    """Return the bound by Y = c 1; exact where the states are as symmetric as those of a pair of single photons."""
    top = float(np.linalg.eigvalsh(ops).max())
    return certified(top * np.eye(ops.shape[1]), ops, is_optimised=False)


def dual_bound(ops: Matrices, *, shapes: Matrices | None = None, enough: Sequence[int] | None = None) -> DualBound:
    """Return the bound by the Y that a solver proposes.

    Parameters
    ----------
    ops
        W_x (k, d, d).
    shapes
        (m, d, d) matrices that Y is composed of, where a symmetry leaves no others; all symmetric ones by default.
    enough
        Rows of ``ops`` that the solver needs to know, the others following by symmetry. The result is checked
        against all of them, so that a symmetry that there is not costs tightness and never validity.

    Raises
    ------
    FaintlinkError
        `cvxpy` is not installed, or its solver gave up.
    """
    return certified(_proposal(ops if enough is None else ops[list(enough)], shapes), ops, is_optimised=True)


def _proposal(ops: Matrices, shapes: Matrices | None) -> Floats:
    try:
        cvxpy: Any = import_module("cvxpy")
    except ModuleNotFoundError as error:
        raise FaintlinkError(
            "semidefinite programs need cvxpy, which is not installed",
            hint='pip install "faintlink[analysis]", or take the conservative bound, which needs no solver',
        ) from error
    size = ops.shape[1]
    if shapes is None:
        dual = cvxpy.Variable((size, size), symmetric=True)
    else:
        parts = cvxpy.Variable(len(shapes))
        dual = sum(parts[row] * shape for row, shape in enumerate(shapes))
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.trace(dual)), [dual - one >> 0 for one in distinct(ops)])
    try:
        with warnings.catch_warnings():
            # How accurate the solver is does not matter: its proposal is made feasible.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=cvxpy.CLARABEL)
    except cvxpy.error.SolverError as error:
        raise FaintlinkError(f"the solver gave up: {error}", hint="take the conservative bound") from error
    if dual.value is None:
        raise FaintlinkError(f"the solver ended with status {problem.status}", hint="take the conservative bound")
    return np.asarray(dual.value, np.float64)


def distinct(ops: Matrices) -> Matrices:
    """Return the operators without repetitions; the bound is checked against all of them."""
    kept = np.unique(np.round(ops.reshape(ops.shape[0], -1), 14), axis=0)
    return kept.reshape(-1, *ops.shape[1:])
