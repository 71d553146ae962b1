"""The parts of a node around its session: journal, control messages, custody, home, and the line."""

import asyncio
import contextlib
import os
import ssl
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.errors import (
    ConfigError,
    CorruptBlockError,
    LocalProtocolError,
    RemoteProtocolError,
    RunExistsError,
)
from faintlink.core.records import SecretKey
from faintlink.core.symbols import Party
from faintlink.postprocess.channel.envelope import Direction
from faintlink.postprocess.node.control import Hello, Verdicts, decode_released, encode_released
from faintlink.postprocess.node.events import BlockEnded
from faintlink.postprocess.node.home import NodeHome, create_homes
from faintlink.postprocess.node.journal import BlockJournal
from faintlink.postprocess.node.loop import Line, NodeLoop
from faintlink.postprocess.node.machine import Program
from tests.node_sessions import Node, keys_of, nodes

UUIDS = st.lists(st.uuids(), max_size=5, unique=True).map(tuple)


def test_a_journal_remembers_what_was_begun(tmp_path: Path) -> None:
    BlockJournal(tmp_path / "j").begin(3)
    journal = BlockJournal(tmp_path / "j")
    assert journal.next_block == 4
    with pytest.raises(LocalProtocolError, match="begun before"):
        journal.begin(3)


def test_a_journal_cut_off_at_any_byte_forgets_no_block(tmp_path: Path) -> None:
    whole = BlockJournal(tmp_path / "whole")
    whole.begin(0)
    before = (tmp_path / "whole").stat().st_size
    whole.begin(1)
    data = (tmp_path / "whole").read_bytes()
    for size in range(before, len(data) + 1):
        (tmp_path / "cut").write_bytes(data[:size])
        assert BlockJournal(tmp_path / "cut").next_block >= (2 if size > before else 1)
        assert BlockJournal(tmp_path / "cut").next_block >= (2 if size > before else 1)


def test_a_damaged_journal_is_refused_by_its_line(tmp_path: Path) -> None:
    BlockJournal(tmp_path / "j").begin(0)
    BlockJournal(tmp_path / "j").begin(1)
    (tmp_path / "j").write_bytes((tmp_path / "j").read_bytes().replace(b"began 0", b"began 7"))
    with pytest.raises(CorruptBlockError, match="line 1"):
        BlockJournal(tmp_path / "j")


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), UUIDS)
def test_a_hello_comes_back_as_it_went(sha: bytes, first: int, refill: int, names: tuple[uuid.UUID, ...]) -> None:
    hello = Hello(sha, first, refill, names)
    assert Hello.decode(hello.encode()) == hello


@given(UUIDS, st.integers(0, 2**64 - 1), st.binary(max_size=40))
def test_verdicts_and_releases_come_back_as_they_went(names: tuple[uuid.UUID, ...], number: int, rest: bytes) -> None:
    assert Verdicts.decode(Verdicts(names).encode()) == Verdicts(names)
    assert decode_released(encode_released(number, rest)) == (number, rest)


@given(st.binary(max_size=200), st.sampled_from([Hello.decode, Verdicts.decode, decode_released]))
def test_arbitrary_bytes_are_a_message_or_a_protocol_error(data: bytes, decode: Callable[[bytes], object]) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(data)


def test_a_hello_of_another_version_is_refused_by_its_number() -> None:
    with pytest.raises(RemoteProtocolError, match="version 9"):
        Hello.decode((9).to_bytes(2, "little") + bytes(60))


def test_a_short_key_pays_nothing_into_the_reserve(tmp_path: Path) -> None:
    alice, _ = nodes(tmp_path)
    alice.greet()
    before = alice.reserve.available(Direction.ALICE_TO_BOB)
    alice.custody.begin_session(0)
    alice.custody.prepare(SecretKey(str(uuid.uuid4()), 1024, bytes(128), 1e-9), {"block": 0})
    alice.custody.release(alice.custody.prepared()[0])
    assert alice.reserve.available(Direction.ALICE_TO_BOB) == before
    assert len(next(iter(keys_of(alice).values()))) == 128


def test_homes_are_private_and_know_each_other_only(tmp_path: Path) -> None:
    alice, bob = create_homes(tmp_path / "homes", link_id="x", seals=4)
    for home in (alice, bob):
        assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700
        for secret in ("tls.key", "channel.reserve"):
            assert stat.S_IMODE((home.folder / secret).stat().st_mode) == 0o600
    assert (alice.folder / "peer.crt").read_bytes() == (bob.folder / "tls.crt").read_bytes()
    assert (alice.folder / "peer.crt").read_bytes() != (bob.folder / "peer.crt").read_bytes()
    with pytest.raises(RunExistsError):
        create_homes(tmp_path / "homes", link_id="x", seals=4)
    with pytest.raises(ConfigError, match="home of bob"):
        NodeHome.open(bob.folder, Party.ALICE)
    with pytest.raises(ConfigError, match="no node's home"):
        NodeHome.open(tmp_path, Party.ALICE)


def test_a_certificate_that_is_missing_is_named(tmp_path: Path) -> None:
    alice, _ = create_homes(tmp_path / "homes", link_id="x", seals=4)
    (alice.folder / "peer.crt").unlink()
    with pytest.raises(ConfigError, match="certificates"):
        alice.tls()


# -- over TCP


class Numbers:
    """A feed of made-up blocks."""

    def __init__(self, bob: Node, blocks: int) -> None:
        self._bob = bob
        self._blocks = iter(range(blocks))

    def next_block(self) -> tuple[int, Callable[[], Program]] | None:
        number = next(self._blocks, None)
        return None if number is None else (number, lambda: self._bob.program(number))


async def over_tcp(
    alice: Node, bob: Node, blocks: int, *, tls: tuple[ssl.SSLContext | None, ssl.SSLContext | None] = (None, None)
) -> list[BlockEnded]:
    """Let both distil ``blocks`` blocks over TCP and return how they ended at Bob's."""
    ended: list[BlockEnded] = []
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    serves = NodeLoop(
        Line("127.0.0.1", 0, tls[0], timeout_s=10.0),
        alice.greet,
        feed=None,
        blocks_in_flight=4,
        on_block=lambda end: None,
    )
    listening = asyncio.create_task(serves.listen(port.set_result))
    calls = NodeLoop(
        Line("127.0.0.1", await port, tls[1], timeout_s=10.0),
        bob.greet,
        feed=Numbers(bob, blocks),
        blocks_in_flight=4,
        on_block=ended.append,
    )
    try:
        await asyncio.wait_for(asyncio.gather(listening, calls.call()), 60.0)
    finally:
        listening.cancel()
    return ended


def test_nodes_distil_over_tls_1_3(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    homes = create_homes(tmp_path / "homes", link_id="x", seals=4)
    ended = asyncio.run(over_tcp(alice, bob, 6, tls=(homes[0].tls(), homes[1].tls())))
    assert [end.number for end in ended] == [0, 1, 2, 3, 4, 5]
    assert len(keys_of(bob)) == 6
    assert keys_of(alice) == keys_of(bob)
    assert homes[0].tls().minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_stranger_with_another_certificate_gets_no_line(tmp_path: Path) -> None:
    ours, _ = create_homes(tmp_path / "ours", link_id="x", seals=4)
    _, stranger = create_homes(tmp_path / "theirs", link_id="x", seals=4)

    async def knock() -> bytes:
        server = await asyncio.start_server(lambda r, w: w.write(b"hello"), "127.0.0.1", 0, ssl=ours.tls())
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, _ = await asyncio.open_connection("127.0.0.1", port, ssl=stranger.tls())
            return await asyncio.wait_for(reader.read(5), 5.0)

    with pytest.raises(ssl.SSLError):
        asyncio.run(knock())


def test_strangers_who_knock_without_a_key_do_not_stop_a_node(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)

    async def both() -> None:
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        serves = NodeLoop(
            Line("127.0.0.1", 0, None, timeout_s=10.0, most_failures=2),
            alice.greet,
            feed=None,
            blocks_in_flight=4,
            on_block=lambda end: None,
        )
        listening = asyncio.create_task(serves.listen(port.set_result))
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", await port)
            writer.write(os.urandom(200))
            await reader.read()
            writer.close()
        calls = NodeLoop(
            Line("127.0.0.1", await port, None, timeout_s=10.0),
            bob.greet,
            feed=Numbers(bob, 2),
            blocks_in_flight=2,
            on_block=lambda end: None,
        )
        await asyncio.wait_for(asyncio.gather(listening, calls.call()), 60.0)

    asyncio.run(both())
    assert len(keys_of(alice)) == 2
    assert keys_of(alice) == keys_of(bob)


def test_sessions_that_keep_breaking_end_a_node_with_the_reason(tmp_path: Path) -> None:
    alice, bob = nodes(tmp_path)
    greet = bob.greet
    bob.greet = lambda: greet(bytes([7]) * 32)  # type: ignore[method-assign,misc,assignment]
    with pytest.raises(RemoteProtocolError, match="same link configuration"):
        asyncio.run(over_tcp(alice, bob, 1))
