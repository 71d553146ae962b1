"""Two node processes over authenticated TCP: sifted bits of the key basis that become secret key, a second.

Both processes run on this machine's cores; everything is counted from the first detections to the released key:
sifting, test, Cascade, verification, bound, modular hash, seals, TLS 1.3 and the disk. Delayed rows go through a proxy
that holds every byte back for half the round trip. The peer column is the same chain of both parties in one process
and on one core, measured in the same run.
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faintlink.core.entropy import OsEntropy
from faintlink.core.symbols import Party
from faintlink.postprocess.node.home import create_homes
from faintlink.postprocess.node.inprocess import run_block
from tests.benchmarks.harness import Row
from tests.node_process import made_up
from tests.node_sessions import POLICY
from tests.node_sessions import SOURCE as ONE_INTENSITY

BLOCKS = 16
DETECTIONS = 12_500_000
SHARE_X = 0.1
QBERS = (0.02, 0.01, 0.05)


@dataclass(frozen=True)
class Way:
    """How the nodes talk."""

    round_trip_ms: float
    reconciliation: str
    in_flight: int
    asked: str


WAYS = (
    Way(0.0, "cascade", 4, ">= 20 Mbit/s"),
    Way(0.0, "cascade-few-messages", 6, "none"),
    Way(10.0, "cascade", 6, "none"),
    Way(10.0, "cascade-few-messages", 6, ">= 70 % of the undelayed"),
)


def run() -> list[Row]:
    """Return a row for each error rate and way over the line."""
    rows = []
    for qber in QBERS:
        alone = in_one_process(qber)
        for way in WAYS if qber == 0.02 else WAYS[:1]:
            rate, bits = two_processes(qber, way)
            name = f"Two nodes over TLS, Q = {qber:.0%}, {way.reconciliation}, round trip {way.round_trip_ms:g} ms"
            note = f"{BLOCKS} blocks of {bits:,} sifted key bits, {way.in_flight} in flight; both start and end counted"
            rows.append(Row(name, rate, alone, "Mbit/s", "both in one process", way.asked, note))
    return rows


def in_one_process(qber: float) -> float:
    """Return the rate of both parties' programs on one core, messages as bytes."""
    block = made_up(0, DETECTIONS, qber, SHARE_X)
    with tempfile.TemporaryDirectory() as folder:
        machines = block.machines(
            Path(folder), policy=POLICY, source=ONE_INTENSITY, entropy=OsEntropy(), family="modular"
        )
        start = time.perf_counter()
        run_block(*machines)
        seconds = time.perf_counter() - start
    settled = machines[0].settled
    assert settled is not None
    return settled.counts.key.bits / seconds / 1e6


def two_processes(qber: float, way: Way) -> tuple[float, int]:
    """Return the rate from the beginning of the first block to the end of the last, and the bits of one block."""
    with tempfile.TemporaryDirectory() as folder, line(way.round_trip_ms) as (listen, call):
        homes = Path(folder) / "homes"
        create_homes(homes, link_id="bench", seals=4096)
        shape = [
            str(BLOCKS),
            str(DETECTIONS),
            str(qber),
            "1",
            str(SHARE_X),
            "modular",
            str(way.in_flight),
            way.reconciliation,
        ]
        nodes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.node_process", party, str(homes / party), str(port), *shape],
                stdout=subprocess.PIPE,
                text=True,
            )
            for party, port in ((Party.ALICE, listen), (Party.BOB, call))
        ]
        said = nodes[1].communicate(timeout=1200)[0]
        nodes[0].communicate(timeout=60)
    start, *ends = [line_.split() for line_ in said.splitlines()]
    bits = int(ends[-1][1])
    return bits * len(ends) / (float(ends[-1][2]) - float(start[2])) / 1e6, bits


@contextmanager
def line(round_trip_ms: float) -> Iterator[tuple[int, int]]:
    """Yield the port to listen on and the port to call, with the delay between."""
    listen = free_port()
    if not round_trip_ms:
        yield listen, listen
        return
    call = free_port()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(_serve(call, listen, round_trip_ms / 2e3), loop).result()
    yield listen, call
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


async def _serve(port: int, target: int, delay_s: float) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_delayed(reader, far_writer, delay_s), _delayed(far_reader, writer, delay_s))

    await asyncio.start_server(join, "127.0.0.1", port)


async def _delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(1 << 20):
        loop.call_later(delay_s, writer.write, data)
    loop.call_later(delay_s, writer.close)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
