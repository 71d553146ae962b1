"""How fast a token of ten thousand positions is issued, presented and verified, and how fast a point decides alone."""

import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from faintlink.acquisition.launch import take_run
from faintlink.acquisition.shipped import shipped_link
from faintlink.core.entropy import SeededEntropy
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.folder import open_run
from faintlink.postprocess.conjugate.observations import observe
from faintlink.postprocess.conjugate.verifier import compare
from faintlink.postprocess.results import link_of
from faintlink.postprocess.tokens.agents import BankAgent
from faintlink.postprocess.tokens.issue import Sent, TokenBank, TokenUser, copies_of
from faintlink.postprocess.tokens.messages import Kind
from faintlink.postprocess.tokens.session import play
from tests.benchmarks.harness import Row, interleaved
from tests.tokens import issued, small_policy

_REPEATS = 5


def run() -> list[Row]:
    """Time whole sessions of the shipped link, report left out, and single decisions beside the shared verifier's."""
    return [_sessions(), _decisions()]


def _session() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        take_run(shipped_link("token"), folder)
        recorded = open_run([folder])
        link = link_of(recorded)
        if link.token is None:
            raise ConfigError("the shipped link has no section `token`")
        seen = observe(recorded, link, pulses=link.token.pulses)
        user = TokenUser(link.token, copies_of(seen, link.token), SeededEntropy(1))
        sent = Sent(seen.slots, seen.sent_basis, seen.sent_bit)
        bank = TokenBank(link.token, seen.first_slot, sent, SeededEntropy(2))
        play(link.token, bank, user, 1, "none")


def _sessions() -> Row:
    _session()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        _session()
        seconds.append(time.perf_counter() - start)
    name = "token of 10 000 positions: record, issue, present, verify"
    return Row(name, 1 / statistics.median(seconds), math.nan, "tokens/s", "none", "one in less than 5 s")


def _decisions() -> Row:
    policy = small_policy(pulses=30_000, positions=10_000, max_error_rate=0.05)
    session = issued(policy, 1)
    shown, deposit = session.user.holding().encode(Kind.PRESENTATION), session.bank.deposit()
    choice = session.user.choose(0)
    held, sent = session.user.held[0], session.bank.issued[0]
    agents = []
    for _ in range(40):
        agent = BankAgent(0)
        agent.take_deposit(deposit)
        agent.take_choice(choice)
        agents.append(agent)

    def ours() -> None:
        agents.pop().judge(shown)

    def peer() -> None:
        measured = held.offsets ^ np.uint8(choice[-1])
        compare(held.bit, sent.bit, measured == sent.basis, max_error_rate=0.05)

    fast, slow = interleaved(ours, peer, repeats=31)
    name = "decision about 10 000 positions, commitment checked"
    asked = "less than light takes to another point and back, 98 us for 10 km"
    return Row(name, 1e-6 / fast, 1e-6 / slow, "decisions/us", "numpy columns, no commitment", asked)
