"""Random bits of reanalyses: repeatable for campaigns, and marked as no secret wherever parameters were changed.

A policy is fixed before the first pulse. Whoever changes it with the data at hand can choose what looks best, and
no proof covers that choice; keys from such an analysis are marked as not usable.
"""

import hashlib

from faintlink.core.entropy import Entropy, SeededEntropy

_LABEL = b"faintlink campaign/1|"


class Rehearsal:
    """Passes on another source's bytes, and says that keys made with them protect nothing."""

    is_secret_grade = False

    def __init__(self, source: Entropy) -> None:
        self._source = source

    def draw(self, size: int, purpose: str) -> bytes:
        """Return ``size`` bytes of the source."""
        return self._source.draw(size, purpose)


def campaign_entropy(run_id: str, config_sha256: str) -> SeededEntropy:
    """Return the repeatable random bits of one run in a campaign; anybody can compute them.

    Parameters
    ----------
    run_id
        Of the run.
    config_sha256
        Of the configuration with all defaults.
    """
    text = f"{len(run_id)}|{run_id}|{config_sha256}"
    return SeededEntropy(hashlib.sha256(_LABEL + text.encode()).digest())
