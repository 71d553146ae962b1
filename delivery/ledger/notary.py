"""Tell the witness beside other work: the disk of the audit log need not wait for that of the store."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from faintlink.core.errors import AuditError
from faintlink.delivery.witness import Fact, Witness

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Notary:
    """Speaks to a witness, in the threads of ``pool`` where there is one."""

    def __init__(self, witness: Witness, pool: Executor | None = None) -> None:
        self._witness = witness
        self._pool = pool

    def note(self, fact: Fact) -> None:
        """Have a fact kept before this returns; raises as `Witness.note`."""
        self._witness.note(fact)

    def note_while(self, fact: Fact, action: Callable[[], T]) -> T:
        """Do something while a fact is being kept; both are done when this returns.

        Raises
        ------
        AuditError
            It cannot be kept; the action is done all the same.
        """
        if self._pool is None:
            result = action()
            self._witness.note(fact)
            return result
        keeping = self._pool.submit(self._witness.note, fact)
        try:
            return action()
        finally:
            keeping.result()

    def note_soon(self, fact: Fact) -> None:
        """Have a fact kept that nothing waits for; where it cannot be, the next release will not be either."""
        if self._pool is None:
            self._witness.note(fact)
        else:
            self._pool.submit(self._witness.note, fact).add_done_callback(_tell)


def _tell(kept: "Future[None]") -> None:
    error = kept.exception()
    if isinstance(error, AuditError):
        _log.error("the audit log: %s", error.message)
    elif error is not None:
        _log.error("the audit log fails", exc_info=error)
