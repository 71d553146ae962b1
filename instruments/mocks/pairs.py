"""Where the two photons of an entangled pair end up: joint probabilities, as plain functions.

`pair_table` is called by the bench whenever a knob was turned. Outcome 0..3 is a detector (Z0, Z1, X0, X1) and 4
is a lost photon.

Sources: C. Bennett, G. Brassard, N. D. Mermin, PRL 68 557 (1992); correlation E(a, b) = a . T b of a Bell state
for the Stokes vectors a, b of the analysers.
"""

import numpy as np
import numpy.typing as npt

from faintlink.core.units import db_to_ratio
from faintlink.instruments.mocks.polarization import link_rotation
from faintlink.instruments.mocks.state import Attack, BenchState, PairState, ReceiverState

Floats = npt.NDArray[np.float64]
LOST = 4
ANALYSERS = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
"""Stokes vectors (4, 3) that detectors Z0, Z1, X0, X1 look for."""
BELL = {
    PairState.PHI_PLUS: np.diag([1.0, 1.0, -1.0]),
    PairState.PSI_MINUS: -np.eye(3),
}
"""Correlation matrix of each state."""


def correlation(state: BenchState, *, time_s: float) -> Floats:
    """Return the correlations (4, 4) in -1..1 of Alice's and Bob's detectors."""
    bell = BELL[state.pairs.state]
    turned = link_rotation(state, time_s)
    plain: Floats = ANALYSERS @ bell @ turned.T @ ANALYSERS.T
    if state.attack is Attack.NONE:
        return state.link.visibility * plain
    eve: Floats = np.zeros((4, 4))
    if state.attack is Attack.INTERCEPT_RESEND:
        bases = ANALYSERS[[0, 2]]
        eve = sum(
            (0.5 * np.outer(ANALYSERS @ bell @ basis, ANALYSERS @ turned @ basis) for basis in bases),
            start=eve,
        )
    share = state.attack_fraction
    return state.link.visibility * ((1.0 - share) * plain + share * eve)


def arrival(receiver: ReceiverState, transmission: float) -> Floats:
    """Return the chance (4,) that a photon sent to a receiver is registered by each detector, for random bits."""
    split = receiver.basis_probability_z
    efficiency = np.array([det.efficiency if det.enabled else 0.0 for det in receiver.detectors])
    shares = np.array([split, split, 1.0 - split, 1.0 - split])
    registered: Floats = transmission * receiver.transmission * shares * efficiency
    return registered


def pair_table(state: BenchState, *, time_s: float) -> Floats:
    """Return the joint probabilities (5, 5) of Alice's and Bob's outcome for one pair, including both lost."""
    alice = arrival(state.receivers["alice"], db_to_ratio(state.pairs.alice_loss_db))
    bob = arrival(state.receivers["bob"], state.link.transmission)
    table: Floats = np.zeros((5, 5))
    table[:4, :4] = np.outer(alice, bob) * (1.0 + correlation(state, time_s=time_s)) / 4.0
    table[:4, LOST] = alice / 2.0 - table[:4, :4].sum(axis=1)
    table[LOST, :4] = bob / 2.0 - table[:4, :4].sum(axis=0)
    table[LOST, LOST] = 1.0 - table.sum()
    clipped: Floats = np.clip(table, 0.0, 1.0)
    return clipped
