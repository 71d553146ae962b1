"""One block for two nodes: what Bob detected, what Alice played, and stores for their keys."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faintlink.core.config.link import Preamble, PulsedSource, SecurityPolicy
from faintlink.core.entropy import Entropy, SeededEntropy
from faintlink.core.symbols import SYNC_FLAG, pack_settings
from faintlink.core.units import Slots
from faintlink.postprocess.kernels.detect import join_settings
from faintlink.postprocess.keystore import FileKeyStore
from faintlink.postprocess.node.alice import AliceSide, Recorded, alice_block
from faintlink.postprocess.node.bob import BobSide, bob_block
from faintlink.postprocess.node.machine import BlockMachine
from faintlink.postprocess.qkd.detection import Detections
from faintlink.postprocess.qkd.hash_families import get

SOURCE = PulsedSource(
    pulse_rate_hz=80e6,
    intensities=(0.5, 0.15),
    probabilities=(0.5, 0.5),
    key_basis_probability=0.6,
    preamble=Preamble(slots=4096),
)
POLICY = SecurityPolicy(bound="rusca2018", length="legacy", eps_sec=1e-6, eps_cor=1e-9)


@dataclass(frozen=True, eq=False)
class NodeBlock:
    """Detections of a block, and the sender's record of it."""

    detections: Detections
    slots: Slots
    """(m,) int64 slots on Alice's record."""
    codes: npt.NDArray[np.uint8]
    """(m,) uint8 her settings."""

    def lookup(self, slots: Slots) -> Recorded:
        """Answer as Alice's record does."""
        codes, found = np.zeros(slots.size, np.uint8), np.zeros(slots.size, np.bool_)
        join_settings(slots, self.slots, self.codes, codes, found)
        return Recorded(codes, found)

    def machines(
        self,
        folder: Path,
        *,
        policy: SecurityPolicy = POLICY,
        entropy: Entropy | None = None,
        source: PulsedSource = SOURCE,
        family: str = "toeplitz",
    ) -> tuple[BlockMachine, BlockMachine]:
        """Return Alice's and Bob's machine of this block; their keys go below ``folder``."""
        keys = FileKeyStore(folder / "alice")
        alice = AliceSide(source, policy, self.lookup, entropy or SeededEntropy(5), keys, get(family))
        bob = BobSide(source, policy, FileKeyStore(folder / "bob"), get(family))
        return BlockMachine(alice_block(0, alice)), BlockMachine(bob_block(0, self.detections, [], bob))


def node_block(
    n: int = 700_000,
    *,
    qber: float = 0.02,
    missing: int = 100,
    seed: int = 12,
    source: PulsedSource = SOURCE,
    share_x: float = 0.4,
) -> NodeBlock:
    """Return a block of ``n`` detections whose gains follow the intensities; some have no setting on record."""
    rng = np.random.default_rng(seed)
    slots = np.cumsum(rng.integers(1, 200, n))
    bit, basis = rng.integers(0, 2, n), (rng.random(n) < share_x).astype(np.int64)
    weights = [p * mu for p, mu in zip(source.probabilities, source.intensities, strict=True)]
    intensity = (rng.random(n) >= weights[0] / sum(weights)).astype(np.int64)
    codes = pack_settings(bit=bit, basis=basis, intensity=intensity)
    codes[slots < 4096] |= np.uint8(SYNC_FLAG)
    bob_basis = (rng.random(n) < share_x).astype(np.uint8)
    seen = np.where(bob_basis == basis, bit ^ (rng.random(n) < qber), rng.integers(0, 2, n)).astype(np.uint8)
    kept = np.ones(n, bool)
    kept[rng.choice(n, missing, replace=False)] = False
    return NodeBlock(Detections(slots, 2 * bob_basis + seen, 0), slots[kept], codes[kept])


def with_policy(**changes: object) -> SecurityPolicy:
    """Return the policy of the blocks with some fields changed."""
    return POLICY.model_copy(update=changes)
