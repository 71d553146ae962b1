"""Adversaries who act on the protocol instead of the light: when a block ends, what is said, what is counted.

Those on the line between the nodes are in `tests/unit/postprocess/node/test_session.py` and
`tests/unit/postprocess/channel/`.
"""

import inspect
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import AuthenticationError, ClockLostError, RemoteProtocolError
from faintlink.core.runfile.folder import open_run
from faintlink.core.symbols import SYNC_FLAG, Party
from faintlink.postprocess import pipeline
from faintlink.postprocess.channel.session import greeting, read_greeting
from faintlink.postprocess.node.sifting import Bases, Detections
from faintlink.postprocess.qkd.pulsed import PulsedRun
from faintlink.postprocess.qkd.sift import BlockCutter, SiftedBits
from faintlink.postprocess.security.ledger import EpsilonKind, EpsilonLedger, EpsilonPart
from tests.attacks.clicks import Light, attacked_link, watch
from tests.attacks.measure import undetected_flips
from tests.channel import AB, LINK, decoded, reserves
from tests.node_blocks import node_block
from tests.pulses import PulsedLink, small_link, write_pulsed_run

# -- when a block ends, and what is said before


def positions(n: int) -> SiftedBits:
    at = np.linspace(0, 9_999, n).astype(np.int64)
    zeros = np.zeros(n, np.uint8)
    return SiftedBits(at, zeros, zeros, zeros, zeros)


@given(st.integers(0, 5_000), st.integers(500, 4_000))
def test_a_block_ends_at_the_same_slot_whatever_was_detected(n: int, length: int) -> None:
    ends = [[start for start, _ in BlockCutter(length).feed(positions(k), 10_000)] for k in (n, 1)]
    assert ends[0] == ends[1] == list(range(0, 10_000 - length + 1, length))


def test_a_blocks_length_follows_from_the_link_file_alone() -> None:
    assert list(inspect.signature(pipeline.block_length).parameters) == ["link"]
    assert pipeline.block_length(attacked_link()) == 80_000_000


def test_bases_before_the_commitment_are_an_error_on_both_sides(tmp_path: Path) -> None:
    alice, bob = node_block(2_000).machines(tmp_path)
    alice.start()
    with pytest.raises(RemoteProtocolError, match="DETECTIONS is due"):
        alice.receive(Bases(np.zeros(3, np.uint8)))
    bob.start()
    with pytest.raises(RemoteProtocolError, match="COMMITTED is due"):
        bob.receive(Bases(np.zeros(3, np.uint8)))
    assert not list(tmp_path.glob("*/*.key"))


# -- errors that are left, and epsilons that are spent


def test_one_flipped_bit_never_passes_verification() -> None:
    # A tag of 64 bits: a miss in 10,000 trials has a chance of 5e-16.
    assert undetected_flips(10_000) == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_one_flipped_bit_never_passes_verification_in_a_million_trials() -> None:
    assert undetected_flips(1_000_000) == 0


@given(st.lists(st.tuples(st.floats(0, 1e-3), st.sampled_from(list(EpsilonKind))), max_size=40))
def test_what_a_key_may_fail_by_is_never_less_than_its_parts(parts: list[tuple[float, EpsilonKind]]) -> None:
    ledger = EpsilonLedger(tuple(EpsilonPart("part", value, "source", kind) for value, kind in parts))
    assert ledger.total >= sum(sorted(value for value, _ in parts)) * (1 - 1e-12)
    assert all(ledger.total >= value for value, _ in parts)
    assert (ledger + ledger).total >= ledger.total


def test_the_keys_epsilon_is_the_policys_and_the_sum_of_its_ledger() -> None:
    link = attacked_link()
    result = watch(Light().clicks(np.random.default_rng(1)), link).distil()
    spent = sum(part.value for part in result.ledger.parts)
    [epsilon] = {key.epsilon for key in result.keys.values()}
    assert epsilon == result.ledger.total >= spent * (1 - 1e-15)
    assert epsilon <= (link.security.eps_sec + link.security.eps_cor) * (1 + 1e-12)


# -- the reserve, and the calibration of the frame


def test_forged_session_starts_touch_no_key(tmp_path: Path) -> None:
    # A hundred thousand of them: tests/unit/postprocess/channel/test_channel_sessions.py.
    _, bob = reserves(tmp_path)
    (frame,) = decoded(greeting(LINK, AB, bytes(16)))
    before = bob.state()
    for _ in range(2_000):
        with pytest.raises(AuthenticationError):
            read_greeting(bob.link, frame, AB)
    assert bob.state() == before


class InvertedSync(PulsedLink):
    """The preamble with light where dark should be."""

    def _codes(self, rng: np.random.Generator, total: int, link: LinkConfig) -> npt.NDArray[np.uint8]:
        codes = super()._codes(rng, total, link)
        codes[(codes & SYNC_FLAG) != 0] ^= np.uint8(1)
        return codes


def test_an_inverted_preamble_is_no_frame(tmp_path: Path) -> None:
    folder = write_pulsed_run(tmp_path / "inverted", InvertedSync().make())
    with pytest.raises(ClockLostError):
        list(PulsedRun(open_run([folder]), small_link()).pieces())


def test_the_preamble_as_it_should_be_is_one(tmp_path: Path) -> None:
    folder = write_pulsed_run(tmp_path / "right", PulsedLink().make())
    assert sum(len(piece.bits) for piece in PulsedRun(open_run([folder]), small_link()).pieces()) > 10_000


def test_the_sender_is_told_slots_and_no_times() -> None:
    # Arrival within a slot stays with the receiver: what Bob says of his detections are whole slots.
    fields = list(inspect.signature(Detections).parameters)
    assert fields == ["slots"]
    assert Party.BOB in attacked_link().receivers
