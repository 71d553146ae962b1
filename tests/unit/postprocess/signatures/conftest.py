"""Homes of three parties with keys from a seeded stream."""

from pathlib import Path

import pytest

from faintlink.core.entropy import SeededEntropy
from faintlink.core.records import SecretKey
from faintlink.postprocess.keystore import FileKeyStore

LINKS = (("signer", "receiver"), ("signer", "verifier"), ("receiver", "verifier"))


def fill_homes(root: Path, seed: int, *, bits: int = 16_384, usable: bool = True) -> Path:
    """Put two keys of each link into both ends' folders."""
    entropy = SeededEntropy(seed)
    for one, other in LINKS:
        for number in range(2):
            key = SecretKey(f"key-{one}-{other}-{number}", bits, entropy.draw(bits // 8, "key"), 1e-10)
            for ours, theirs in ((one, other), (other, one)):
                (root / ours).mkdir(parents=True, exist_ok=True)
                FileKeyStore(root / ours / theirs).put(key, {"usable": usable})
    return root


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    """Homes with usable keys."""
    return fill_homes(tmp_path / "homes", 1)
