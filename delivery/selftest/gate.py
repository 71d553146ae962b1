"""The gate in front of a site's keys: shut until all self-tests have passed, and shut for good when one fails.

The KME runs `SelfTestGate.run` before it serves, and asks `SelfTestGate.require_open` before each release. Tests may
be run again at any time; one that fails shuts the gate until the process is started anew.
"""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from faintlink.core.entropy import Entropy, OsEntropy
from faintlink.core.errors import SelfTestError
from faintlink.delivery.selftest.integrity import check
from faintlink.delivery.selftest.known_answers import Result, Vector, require_passed, try_all, vectors
from faintlink.delivery.selftest.source import HealthTestedEntropy
from faintlink.delivery.witness import Event, Fact, Witness


class SelfTestGate:
    """Keeps the outcome of the self-tests.

    Parameters
    ----------
    witness
        Is told of each run, before its outcome counts.
    site
        Name of the site.
    manifest
        Of the installed files; None leaves that test out, and the outcome says so.
    entropy
        Random source that is put under health tests.
    chosen
        What returns the vectors.
    """

    def __init__(
        self,
        witness: Witness,
        *,
        site: str,
        manifest: Path | None = None,
        entropy: Entropy | None = None,
        chosen: Callable[[], Iterable[Vector]] = vectors,
    ) -> None:
        self._witness, self._site, self._manifest, self._chosen = witness, site, manifest, chosen
        self._source: Entropy = entropy or OsEntropy()
        self._state = "the self-tests have not run"
        self._has_failed = False
        self._lock = threading.Lock()
        self._tested: HealthTestedEntropy | None = None
        self.results: list[Result] = []
        """Known-answer tests of the last run."""

    @property
    def is_open(self) -> bool:
        """Whether keys may leave."""
        return not self._state

    def run(self) -> None:
        """Run all tests; the gate is open when this returns.

        Raises
        ------
        SelfTestError
            One failed, now or before.
        AuditError
            The outcome cannot be noted; the gate stays shut.
        """
        with self._lock:
            if self._has_failed:
                self.require_open()
            about: dict[str, str | int | float | list[str]] = {}
            try:
                self._run(about)
            except SelfTestError as error:
                self._has_failed, self._state = True, error.message
                self._witness.note(Fact(Event.SELF_TEST, self._site, {**about, "passed": 0, "reason": error.message}))
                raise
            self._witness.note(Fact(Event.SELF_TEST, self._site, {**about, "passed": 1}))
            self._state = ""

    def require_open(self) -> None:
        """Let a key go.

        Raises
        ------
        SelfTestError
            A test failed, or none was run.
        """
        if self._state:
            raise SelfTestError(f"nothing is handed out: {self._state}", hint="see `faintlink selftest`")

    def entropy(self) -> HealthTestedEntropy:
        """Return the random source under its health tests.

        Raises
        ------
        SelfTestError
            The gate is shut.
        """
        self.require_open()
        assert self._tested is not None
        return self._tested

    def _run(self, about: dict[str, str | int | float | list[str]]) -> None:
        self.results = try_all(self._chosen())
        about["known_answers"] = len(self.results)
        require_passed(self.results)
        if self._tested is None:
            self._tested = HealthTestedEntropy(self._source)
        about["integrity"] = check(self._manifest) if self._manifest else "not checked"
