"""The pseudo-terminal server: what it closes is its own."""

import os
import time
from collections.abc import Callable

import pytest

from faintlink.instruments.emulators.kit.device import LineDevice
from faintlink.instruments.emulators.kit.faults import Fault
from faintlink.instruments.emulators.kit.scpi import BLOCK, ScpiDevice
from faintlink.instruments.emulators.kit.servers import PtyServer


class _Parrot(LineDevice):
    def handle(self, line: str) -> bytes:
        return line.encode() + b"\n"


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_after_a_cut_it_does_not_close_handles_that_are_somebody_elses_by_then() -> None:
    server = PtyServer(_Parrot())
    server.faults.inject(Fault.CUT)
    port = os.open(server.address, os.O_RDWR | os.O_NOCTTY)
    os.write(port, b"hello\n")
    _wait_for(lambda: not server._open_handles)
    strangers = [handle for _ in range(4) for handle in os.pipe()]
    server.close()
    for handle in strangers:
        os.fstat(handle)
        os.close(handle)
    os.close(port)


def test_closing_twice_does_no_harm() -> None:
    server = PtyServer(_Parrot())
    server.close()
    server.close()
    with pytest.raises(OSError, match=r"."):
        os.fstat(server._master)


@pytest.mark.parametrize("cut", [1, 3, 7, 12, 100])
def test_a_block_of_bytes_may_hold_anything_and_be_cut_anywhere(cut: int) -> None:
    device = ScpiDevice("box")
    seen: list[tuple[str, bytes]] = []
    device.on("DATA", lambda name, block: seen.append((name + block, device.block)))
    block = b"\n;,#12\n"
    message = b"*CLS\nDATA first," + b"#17" + block + b"DATA second,#10\n*IDN?\n"
    session = device.session()
    answer = b"".join(session.receive(message[at : at + cut]) for at in range(0, len(message), cut))
    assert seen == [("first" + BLOCK, block), ("second" + BLOCK, b"")]
    assert answer == b"box\n"
