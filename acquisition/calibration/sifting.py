"""Count errors of a short stretch of play with the live analysis, without writing a run."""

import secrets

from faintlink.core.errors import ClockLostError
from faintlink.core.records import ErrorCount
from faintlink.core.symbols import Party
from faintlink.instruments.calibration.session import Session
from faintlink.postprocess.qkd.live import PulsedLive
from faintlink.postprocess.qkd.squash import SEED_BYTES


def count_errors(session: Session, duration_s: float) -> tuple[ErrorCount, ErrorCount]:
    """Return compared bits and errors of the key and the test basis.

    Raises
    ------
    ClockLostError
        No clock or no preamble was found in the tags.
    """
    link = session.lab.link
    sender = session.lab.role("sender")
    live = PulsedLive(link, secrets.token_bytes(SEED_BYTES))
    block = session.play_recorded(duration_s)
    for slots in (live.feed(Party.BOB, block), live.finish()):
        live.account(slots, sender.settings_at(slots))
    session.rest()
    summary = live.summary()
    if summary.state != "locked":
        raise ClockLostError(
            f"no errors could be counted: {summary.state}", hint="check the light level and the preamble"
        )
    return summary.qber_key, summary.qber_test
