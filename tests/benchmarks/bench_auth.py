"""Authentication: what the channel costs a message, against the bare Poly1305 of the library under it.

The tag of a seal is one side's, over one message of each size, without booking its key. "Protect, decode and accept" is
both sides' work with the computational frame tags. The peer is one call of Poly1305 over the same bytes, under one key
again and again, which is no authentication by itself. Forged frames are offered to fresh sessions, as strangers would.
"""

import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from cryptography.hazmat.primitives.poly1305 import Poly1305

from faintlink.core.errors import AuthenticationError, RemoteProtocolError
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.conversation import SealFields, seal_text
from faintlink.postprocess.channel.envelope import Direction, FrameDecoder
from faintlink.postprocess.channel.onetime import KeyPosition, OneTimeKey
from faintlink.postprocess.channel.session import greeting, read_greeting
from tests.benchmarks.harness import Row, interleaved
from tests.channel import KIND, LINK, End, MemoryKeys, decoded, ends, key_bytes, reserves

SIZES = {"64 B": 64, "1 KiB": 2**10, "64 KiB": 2**16, "1 MiB": 2**20}
FORGED = 1_000_000
PEER = f"Poly1305.generate_tag, cryptography {version('cryptography')}"


def compared(name: str, ours: Callable[[], object], peer: Callable[[], object], *, size: int, calls: int) -> Row:
    """Return the rates of two ways to tag ``size`` bytes ``calls`` times."""
    ours_s, peer_s = interleaved(ours, peer)
    note = f"{ours_s / calls * 1e6:.2f} us against {peer_s / calls * 1e6:.2f} us"
    bits = 8 * size * calls / 1e6
    return Row(name, bits / ours_s, bits / peer_s, "Mbit/s", PEER, "not the bottleneck", note)


def repeated(run: Callable[[], object], calls: int) -> Callable[[], None]:
    """Return a function that runs another ``calls`` times."""

    def loop() -> None:
        for _ in range(calls):
            run()

    return loop


def tag_rows(label: str, size: int) -> list[Row]:
    """Measure the bare one-time tag, the seal's tag, and the frame tags of both sides, for one size."""
    calls = max(20, min(5000, 2**25 // size))
    message, key = key_bytes(size, size), key_bytes(0, 32)
    position = KeyPosition(0, 0)
    (frame,) = decoded(ends()[0].sender.protect(KIND, message))
    fields = SealFields(position, 0)

    def one_time() -> OneTimeKey:
        return OneTimeKey(bytearray(key), direction=Direction.ALICE_TO_BOB, position=position)

    def bare() -> bytes:
        return one_time().tag((message,))

    def seal() -> bytes:
        return one_time().tag(seal_text("link", frame.head, fields, [frame], []))

    def both_sides() -> None:
        alice, bob = ends()
        for _ in range(calls):
            bob.hear(alice.sender.protect(KIND, message))

    peer = repeated(lambda: Poly1305.generate_tag(key, message), calls)
    return [
        compared(f"one-time tag, {label}", repeated(bare, calls), peer, size=size, calls=calls),
        compared(f"tag of a seal over one message, {label}", repeated(seal, calls), peer, size=size, calls=calls),
        compared(f"protect, decode and accept one message, {label}", both_sides, peer, size=size, calls=calls),
    ]


def flood_row(name: str, offer: Callable[[], object], count: int, source: MemoryKeys) -> Row:
    """Offer something forged ``count`` times, and count what comes through and what it costs."""
    accepted = 0
    start = time.perf_counter()
    for _ in range(count):
        try:
            offer()
        except (AuthenticationError, RemoteProtocolError):
            continue
        accepted += 1
    rate = count / (time.perf_counter() - start)
    note = f"{count} offered, {accepted} accepted, {source.spent} one-time keys spent"
    return Row(name, rate, math.nan, "1/s", "none", "0 accepted, 0 keys spent, 0 crashes", note)


def flood_rows() -> list[Row]:
    """Measure how fast forged frames, greetings and garbage are refused."""
    alice, bob = ends()
    source, keys = MemoryKeys(), bob.conversation.keys
    message, seal = decoded(alice.sender.protect(KIND, bytes(64), block=1) + alice.sender.seal_batch())
    forged = dataclasses.replace(message, mac=bytes(16)), dataclasses.replace(seal, mac=bytes(16))
    (stranger,) = decoded(greeting(LINK, Direction.ALICE_TO_BOB, bytes(16)))
    stranger = dataclasses.replace(stranger, mac=bytes(16))
    garbage = b"GET / HTTP/1.1\r\n" * 8
    turn = iter(range(10 * FORGED))

    def frame() -> object:
        return End.make(Party.BOB, source, keys).verifier.accept(forged[next(turn) & 1])

    def noise() -> object:
        decoder = FrameDecoder()
        decoder.feed(garbage)
        return decoder.next_frame()

    return [
        flood_row("forged messages and seals, a session each", frame, FORGED, source),
        flood_row(
            "forged greetings", lambda: read_greeting(LINK, stranger, Direction.ALICE_TO_BOB), FORGED // 5, source
        ),
        flood_row("garbage, a decoder each", noise, FORGED // 5, source),
    ]


def booking_row(count: int = 400) -> Row:
    """Measure bookings of a reserve on the disk of the temporary folder, fsync included."""
    with tempfile.TemporaryDirectory() as folder:
        alice, bob = reserves(Path(folder), keys=count)
        times = []
        for _ in range(count):
            start = time.perf_counter()
            alice.take(Direction.ALICE_TO_BOB).wipe()
            times.append(time.perf_counter() - start)
        alice.close()
        bob.close()
    median = statistics.median(times)
    return Row("key booked and on disk", 1 / median, math.nan, "1/s", "none", "2 a block", f"{median * 1e3:.3f} ms")


def run() -> list[Row]:
    """Measure everything."""
    rows = [row for label, size in SIZES.items() for row in tag_rows(label, size)]
    return [*rows, *flood_rows(), booking_row()]
