"""Which module turns a run of which protocol into records: how `faintlink process` recognises what a run holds.

An application's module offers ``analyse_run(run, link, folder, entropy)``, which leaves its records and a report in
the new folder and returns an `Outcome`. Modules are imported when they are needed.
"""

import typing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from faintlink.core.config.link import LinkConfig
from faintlink.core.entropy import Entropy
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.folder import Run
from faintlink.core.symbols import Protocol


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an application made of a run."""

    title: str
    """In a few words: ``Quantum token``."""
    is_accepted: bool
    """Whether everything that an honest session should give was given."""
    verdict: str
    """One sentence: what was decided, and why."""
    facts: dict[str, Any]
    """Figures by name, as JSON holds them; also the machine-readable answer."""
    statements: tuple[str, ...]
    """The security statement: what is proved by which paper, what is measured, what is assumed."""


class AnalyseRun(typing.Protocol):
    """An application's function that judges a run."""

    def __call__(self, run: Run, link: LinkConfig, folder: Path, entropy: Entropy, **rehearsed: str) -> Outcome:
        """Leave records and a report in ``folder``; ``attack=NAME`` rehearses a cheater, where there are any."""
        ...


_MODULES = {
    Protocol.S_MONEY: "faintlink.postprocess.tokens.session",
    Protocol.MONEY: "faintlink.postprocess.money.session",
    Protocol.PAYMENT: "faintlink.postprocess.payments.session",
    Protocol.TRANSFER: "faintlink.postprocess.transfer.session",
    Protocol.BQC: "faintlink.postprocess.bqc.session",
}


def application(protocol: Protocol) -> AnalyseRun:
    """Return the function that analyses a run of an application.

    Raises
    ------
    ConfigError
        The protocol makes keys.
    """
    if protocol not in _MODULES:
        raise ConfigError(f"protocol {protocol} makes keys and no records", hint="use the key pipeline")
    analyse: AnalyseRun = import_module(_MODULES[protocol]).analyse_run
    return analyse
