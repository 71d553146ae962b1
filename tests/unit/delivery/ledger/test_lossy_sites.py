"""Two sites over a channel that loses, repeats, delays and reorders, with sites that crash at any step."""

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faintlink.delivery.ledger.messages import Request, decode_answer
from faintlink.delivery.ledger.terms import Program
from tests.unit.delivery.ledger.sites import OTHER, Pair, order, silent

sites = st.sampled_from(sorted(OTHER))


@dataclass
class Running:
    """A program that waits for an answer."""

    site: str
    program: Program[Any]
    request: Request
    key_ids: frozenset[str] = frozenset()


class LossySites(RuleBasedStateMachine):
    """Programs of both sites are interleaved at every request."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.running: list[Running] = []
        self.late: list[tuple[str, Request]] = []
        self.names: dict[str, list[str]] = {site: [] for site in OTHER}

    @initialize(blocks=st.integers(1, 3), units=st.sampled_from([13, 100]))
    def fill(self, blocks: int, units: int) -> None:
        self.pair.fill(blocks, units)

    def _step(self, running: Running, answer: bytes | None) -> None:
        self.running.remove(running)
        try:
            program = running.program
            request = program.throw(silent()) if answer is None else program.send(decode_answer(answer))
        except StopIteration as done:
            if isinstance(done.value, list):
                self.names[running.site] += self.pair.keep(done.value)
        except type(silent()):
            pass  # a comparison ends where no answer comes
        else:
            self.running.append(Running(running.site, running.program, request, running.key_ids))

    def _begin(self, site: str, program: Program[Any], key_ids: frozenset[str] = frozenset()) -> None:
        try:
            self.running.append(Running(site, program, next(program), key_ids))
        except StopIteration as done:
            # It ends without a question only where the stock is used up.
            kept = self.pair.keep(done.value)
            if kept:
                raise AssertionError("keys without the other site's word") from None

    @rule(site=sites, number=st.integers(1, 4), bits=st.sampled_from([64, 256, 600]))
    def ask(self, site: str, number: int, bits: int) -> None:
        wanted = order(site, number, bits)
        self._begin(site, self.pair.promise(site, [wanted]), frozenset(wanted.key_ids))

    @rule(site=sites)
    def compare(self, site: str) -> None:
        busy = frozenset(name for one in self.running if one.site == site for name in one.key_ids)
        self._begin(site, self.pair.reconcile(site, busy))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fate=st.sampled_from(["heard", "heard", "heard", "lost", "answer lost", "twice", "late"]))
    def go_on(self, data: st.DataObject, fate: str) -> None:
        running = data.draw(st.sampled_from(self.running))
        if fate == "late":
            self.late.append((running.site, running.request))
        if fate in ("lost", "late"):
            self._step(running, None)
            return
        answer = self.pair.hear(running.site, running.request)
        if fate == "twice":
            answer = self.pair.hear(running.site, running.request)
        self._step(running, None if fate == "answer lost" else answer)

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def arrive_late(self, data: st.DataObject) -> None:
        late = data.draw(st.sampled_from(self.late))
        self.late.remove(late)
        self.pair.hear(*late)

    @rule(site=sites)
    def crash(self, site: str) -> None:
        for one in [one for one in self.running if one.site == site]:
            one.program.close()
            self.running.remove(one)

    @rule(site=sites, data=st.data())
    def fetch(self, site: str, data: st.DataObject) -> None:
        names = self.names[OTHER[site]]
        if names:
            some = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
            self.pair.fetch(site, some)

    @invariant()
    def nothing_twice_and_nothing_different(self) -> None:
        self.pair.check_history()

    def teardown(self) -> None:
        for late in self.late:
            self.pair.hear(*late)
        for site in OTHER:
            self.crash(site)
        # First each gives up its own, then each sees what the other gave up.
        for site in (*OTHER, *OTHER):
            self.pair.run(site, self.pair.reconcile(site))
        self.pair.check_agreement()
        for site in OTHER:
            for name in self.names[OTHER[site]]:
                self.pair.fetch(site, [name])
            handed = {key_id for key_id, role in self.pair.handed if role.value == "slave"}
            # Whatever a master has, its slave can have: nothing is lost by losing messages.
            assert set(self.names[OTHER[site]]) <= handed
        self.pair.check_history()
        for site in OTHER:
            assert self.pair.run(site, self.pair.reconcile(site)).divergence == 0


TestLossySites = LossySites.TestCase
TestLossySites.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
