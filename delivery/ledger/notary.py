"""Tell the witness beside other work: the disk of the audit log need not wait for that of the store."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future

from faintlink.core.errors import AuditError
from faintlink.delivery.witness import Fact, Witness

_log = logging.getLogger(__name__)


class Notary:
    """Speaks to a witness, in the threads of ``pool`` where there is one."""

    def __init__(self, witness: Witness, pool: Executor | None = None) -> None:
        self._witness = witness
        self._pool = pool

    def note(self, fact: Fact) -> None:
        """Have a fact kept before this returns; raises as `Witness.note`."""
        self._witness.note(fact)

    def begin(self, fact: Fact) -> Callable[[], None]:
        """Begin to have a fact kept; what is returned waits until it is, and raises as `Witness.note`."""
        if self._pool is None:
            self._witness.note(fact)
            return lambda: None
        return self._pool.submit(self._witness.note, fact).result

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
