"""The exchange between clients and server, message by message."""

import numpy as np
import pytest

from faintlink.acquisition.bqc_play import BqcServer, play
from faintlink.acquisition.bqc_run import BqcLive, changed_link, policy_of, shares_of
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.config.loader import parse_yaml
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from faintlink.core.symbols import Party
from faintlink.core.tags import TagBlock
from faintlink.instruments.mocks.qline_engine import QlineEngine
from faintlink.postprocess.bqc import messages
from faintlink.postprocess.bqc.clients import Client, Coordinator
from faintlink.postprocess.bqc.graph import BUILT_IN, EXAMPLES, graph_of
from faintlink.postprocess.bqc.order import Opening
from faintlink.postprocess.bqc.traps import kinds_of
from tests.bqc import NAME, QUIET, EngineCard
from tests.bqc import policy_of as bqc_policy


def parties(seed: int = 1) -> tuple[BqcServer, Client, dict[str, EngineCard]]:
    """Return a server, a client and its card on one engine."""
    engine = QlineEngine(seed=seed, state=QUIET)
    client = Client(Party.ALICE, np.array(EXAMPLES["rotation"][0], np.uint8), SeededEntropy(seed))
    return BqcServer(bqc_policy(), engine), client, {"alice": EngineCard(engine, "alice")}


def test_the_server_knows_the_order_after_the_opening_and_it_is_the_clients() -> None:
    server, client, cards = parties()
    seen: list[int] = []
    played = play(bqc_policy(), NAME, [client], cards, server, seen.append)
    assert played.rounds_left == 0
    assert seen == [0]
    types = server.check_openings(NAME, {"alice": messages.pack_opening(client.opening)})
    assert np.count_nonzero(types == 0) == 50


def test_an_order_that_was_changed_after_the_commitment_is_found_by_the_server() -> None:
    server, client, _ = parties()
    server.take_commitment("alice", messages.pack_commitment(client.opening.commitment(NAME, "alice")))
    other = Opening(bytes(32), client.opening.nonce)
    with pytest.raises(RemoteProtocolError, match="alice opened is not what it committed to"):
        server.check_openings(NAME, {"alice": messages.pack_opening(other)})


def test_a_malformed_commitment_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="no commitment"):
        parties()[0].take_commitment("alice", b"\x03short")


def test_the_server_refuses_angles_of_another_vertex() -> None:
    server, client, cards = parties()
    cards["alice"].load(client.prepare(np.zeros((4, 3), np.uint8)))
    cards["alice"].transmit(12)
    server.prepare(0, 4)
    cards["alice"].transmit(4)
    with pytest.raises(RemoteProtocolError, match="due is"):
        server.measure(0, 0, 4, messages.pack_angles(0, 1, np.zeros(4, np.uint8)))


def test_a_server_that_reports_too_few_outcomes_is_refused() -> None:
    server, client, cards = parties()

    class Short(BqcServer):
        def measure(self, batch: int, vertex: int, attempts: int, message: bytes) -> bytes:
            return super().measure(batch, vertex, attempts, message)[:-1]

    short = Short(bqc_policy(), QlineEngine(seed=1, state=QUIET))
    short._computer = server._computer
    with pytest.raises(RemoteProtocolError, match="expected 110"):
        play(bqc_policy(), NAME, [client], cards, short)


def test_batches_hold_no_more_rounds_than_the_server_can() -> None:
    policy = bqc_policy(rounds_in_flight=30)
    engine = QlineEngine(seed=1, state=QUIET)
    client = Client(Party.ALICE, np.array(EXAMPLES["rotation"][0], np.uint8), SeededEntropy(1))
    played = play(policy, NAME, [client], {"alice": EngineCard(engine, "alice")}, BqcServer(policy, engine))
    assert np.bincount(played.public["batch"].astype(np.int64)).tolist() == [30, 30, 30, 10]


def test_a_coordinator_plays_one_batch_at_a_time() -> None:
    policy = bqc_policy()
    graph = graph_of("rotation")
    client = Client(Party.ALICE, np.zeros(3, np.uint8), SeededEntropy(1))
    coordinator = Coordinator(policy, graph, kinds_of(graph, policy.tests), [client])
    with pytest.raises(LocalProtocolError, match="no batch is under way"):
        coordinator.finish()
    coordinator.begin()
    with pytest.raises(LocalProtocolError, match="a batch is under way"):
        coordinator.begin()


def test_live_figures_count_tags_and_tell_no_error_rate() -> None:
    live = BqcLive()
    assert live.feed(Party.BOB, TagBlock(np.arange(5), np.ones(5, np.uint8))).size == 0
    assert live.finish().size == 0
    assert (live.summary().tags, live.summary().qber_key.bits) == (5, 0)


def test_changes_go_into_the_text_of_the_link_that_the_run_carries() -> None:
    text, link = changed_link(shipped_link("bqc"), {"graph": "grover", "test_rounds": 300})
    assert policy_of(link).test_rounds == 300
    assert parse_yaml(text, type(link), "text") == link


def test_a_link_without_the_section_has_no_policy() -> None:
    with pytest.raises(ConfigError, match="lacks the section 'bqc'"):
        policy_of(changed_link(shipped_link("demo"), {})[1])


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_examples_are_dealt_out_to_both_clients_and_add_up(name: str) -> None:
    policy = bqc_policy(graph=name, clients=(Party.ALICE, Party.CHARLIE))
    shares = shares_of(policy, None, SeededEntropy(2))
    assert tuple((shares[0] + shares[1]).tolist()) in EXAMPLES[name]


def test_a_graph_of_ones_own_needs_angles() -> None:
    with pytest.raises(ConfigError, match="needs angles"):
        shares_of(bqc_policy(graph=BUILT_IN["grover"]), None, SeededEntropy(2))


@pytest.mark.parametrize("angles", [[[1, 2]], [[1, 2, 8]], [[1, 2, 3], [1, 2, 3]]])
def test_shares_that_do_not_fit_are_refused(angles: list[list[int]]) -> None:
    with pytest.raises(ConfigError, match="1 clients need 3 angles each"):
        shares_of(bqc_policy(), angles, SeededEntropy(2))
