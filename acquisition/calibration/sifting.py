"""Count errors of a short stretch of play with the live analysis, without writing a run."""

import math
import secrets

from faintlink.core.errors import ClockLostError
from faintlink.core.records import ErrorCount
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.instruments.calibration.session import Session
from faintlink.postprocess.qkd.live import PulsedLive
from faintlink.postprocess.qkd.squash import SEED_BYTES


def error_rate(bits: float, errors: float) -> tuple[float, float]:
    """Return an error rate with its standard deviation; a half if nothing was compared."""
    rate = errors / bits if bits else 0.5
    # One error more than seen: also a basis without errors has an uncertainty.
    sigma = math.sqrt((errors + 1.0) * (bits - errors + 1.0) / (bits + 2.0) ** 3)
    return rate, sigma


def count_errors(session: Session, duration_s: float) -> tuple[ErrorCount, ErrorCount]:
    """Return compared bits and errors of the key and the test basis.

    Raises
    ------
    ClockLostError
        No clock or no preamble was found in the tags.
    """
    block = session.play_recorded(duration_s)
    counted = errors_in(session, block)
    session.rest()
    return counted


def errors_in(session: Session, block: TagBlock) -> tuple[ErrorCount, ErrorCount]:
    """Return the same of tags that hold the start of the pattern which the sender plays now, or played last.

    Raises
    ------
    ClockLostError
        No clock or no preamble was found in the tags.
    """
    sender = session.lab.role("sender")
    live = PulsedLive(session.lab.link, secrets.token_bytes(SEED_BYTES))
    for slots in (live.feed(Party.BOB, block), live.finish()):
        live.account(slots, sender.settings_at(slots))
    summary = live.summary()
    if summary.state != "locked":
        raise ClockLostError(
            f"no errors could be counted: {summary.state}", hint="check the light level and the preamble"
        )
    return summary.qber_key, summary.qber_test
