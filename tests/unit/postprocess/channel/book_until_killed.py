"""Book keys of a reserve and write down each one after its booking, until somebody kills this process.

Run as ``python book_until_killed.py RESERVE OUT``. Refills now and then, so that kills meet that too.
"""

import os
import sys
from pathlib import Path

from faintlink.core.errors import KeyExhaustedError
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.channel.onetime import KeyPosition
from faintlink.postprocess.channel.reserve import KeyReserve


def main(path: Path, out: Path) -> None:
    """Book for ever."""
    reserve = KeyReserve.open(path)
    reserve.align(reserve.state())
    handle = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    turn = 0
    while True:
        turn += 1
        for direction in Direction:
            try:
                if turn % 5:
                    key = reserve.take(direction)
                else:
                    ahead = next(s for s in reserve.state().segments if s.next[direction - 1] + 2 < s.slots)
                    key = reserve.claim(direction, KeyPosition(ahead.number, ahead.next[direction - 1] + 1))
            except (KeyExhaustedError, StopIteration):
                reserve.refill(reserve.last_number + 1, os.urandom(64 * 40))
                continue
            place = key.position
            os.write(handle, f"{direction.name} {place.segment} {place.slot}\n".encode())
            key.wipe()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
