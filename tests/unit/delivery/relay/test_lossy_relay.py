"""Whatever is lost, repeated, late or crashes on the way: no key twice, never two different ones, nothing left over."""

import asyncio
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from faintlink.core.errors import FaintlinkError, KeyUnknownError, PeerUnavailableError
from faintlink.delivery.keystore.model import KeyState, Role
from tests.unit.delivery.relay.sites import Line, folder_of_stores

SITES = ("a", "b", "c")
HOPS = st.sampled_from([("a", "b"), ("b", "c")])
MISHAPS = st.sampled_from(["request lost", "answer lost", "receiver crashes", "sender crashes"])
OPEN = (KeyState.READY, KeyState.DELIVERED)


class Lossy(Line):
    """A line on which the next frames of some hops meet with mishaps."""

    def __post_init__(self) -> None:
        self.ahead: list[tuple[tuple[str, str], str]] = []
        super().__post_init__()

    async def carry(self, sender: str, receiver: str, frame: bytes) -> bytes:
        mishap = self._next(sender, receiver)
        if mishap == "request lost":
            self.frames.append((sender, receiver, frame))
            raise PeerUnavailableError("the request was lost")
        answer = await super().carry(sender, receiver, frame)
        if mishap is None:
            return answer
        if mishap == "receiver crashes":
            self.start(receiver)
        if mishap == "sender crashes":
            self.start(sender)
            raise CrashError
        raise PeerUnavailableError("the answer was lost")

    def _next(self, sender: str, receiver: str) -> str | None:
        for at, (hop, mishap) in enumerate(self.ahead):
            if hop == (sender, receiver):
                del self.ahead[at]
                return mishap
        return None


class CrashError(FaintlinkError):
    """Ends what a process was about."""

    def __init__(self) -> None:
        super().__init__("the process ended")


class Relaying(RuleBasedStateMachine):
    """Applications at both ends, and a line that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(folder_of_stores(Path(tempfile.gettempdir())))
        self.line = self.stack.enter_context(Lossy(folder, SITES, units=2000, share_reserve=90))
        self.keys: set[str] = set()
        self.handed: dict[str, dict[Role, bytes]] = {}

    def teardown(self) -> None:
        try:
            self.line.ahead.clear()
            assert self.line.settle() == 0
            ours, theirs = self.line.stores["a"], self.line.stores["c"]
            assert ours.unsettled("c") == []
            # Nothing lies there that nobody will be handed.
            assert {record.assignment.key_id for record in ours.waiting("c")} <= self.line.services["a"]._promised
            for record in theirs.waiting("a"):
                # Its name may have been handed out, so that somebody may still come for it.
                assert ours.record(record.assignment.key_id).state in OPEN
        finally:
            self.stack.close()

    @initialize()
    def fill(self) -> None:
        self.before = len(self.line.frames)

    @rule(number=st.integers(1, 3), mishaps=st.lists(st.tuples(HOPS, MISHAPS), max_size=3))
    def relay(self, number: int, mishaps: list[tuple[tuple[str, str], str]]) -> None:
        self.line.ahead.extend(mishaps)
        known = {record.assignment.key_id for record in self.line.stores["c"].waiting("a")}
        with suppress(FaintlinkError):
            self.keys.update(self.line.relay(number))
        self.line.ahead.clear()
        self.keys |= {record.assignment.key_id for record in self.line.stores["c"].waiting("a")} - known

    @rule(mishaps=st.lists(st.tuples(HOPS, MISHAPS), max_size=2))
    def settle(self, mishaps: list[tuple[tuple[str, str], str]]) -> None:
        self.line.ahead.extend(mishaps)
        with suppress(FaintlinkError):
            self.line.settle()
        self.line.ahead.clear()

    @rule(site=st.sampled_from(SITES))
    def restart(self, site: str) -> None:
        self.line.start(site)

    @precondition(lambda self: self.line.frames)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """A frame of any time comes once more, or for the first time if it was lost."""
        sender, receiver, frame = data.draw(st.sampled_from(self.line.frames))
        with suppress(FaintlinkError):
            asyncio.run(self.line.services[receiver].receive(sender, frame))

    @precondition(lambda self: self.keys)
    @rule(data=st.data(), role=st.sampled_from(Role))
    def fetch(self, data: st.DataObject, role: Role) -> None:
        key = data.draw(st.sampled_from(sorted(self.keys)))
        site = "a" if role is Role.MASTER else "c"
        if role is Role.SLAVE and Role.MASTER not in self.handed.get(key, {}):
            return  # nobody at the slave's end knows its name yet
        if role is Role.MASTER and key not in self.line.services["a"]._promised:
            return  # whoever asked for it is gone, and with him the only one who is ever handed it
        try:
            (handed,) = self.line.stores[site].deliver([key], role=role, sae=f"app-{site}")
        except KeyUnknownError:
            return
        seen = self.handed.setdefault(key, {})
        assert role not in seen, "a key was handed out twice"
        seen[role] = bytes(handed.material)

    @invariant()
    def what_was_handed_out_is_the_same_at_both_ends(self) -> None:
        for seen in self.handed.values():
            assert len(set(seen.values())) == 1

    @invariant()
    def the_masters_end_never_has_a_key_that_the_slaves_has_not(self) -> None:
        for record in self.line.stores["a"].waiting("c"):
            if record.assignment.key_id not in self.line.services["a"]._promised:
                continue  # nobody is ever handed it here; `settle` gives it up
            assert self.line.stores["c"].record(record.assignment.key_id).state in OPEN


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
TestRelaying = Relaying.TestCase
TestRelaying.settings = settings(max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=CHECKS)


@pytest.mark.slow
class TestRelayingLong(Relaying.TestCase):  # type: ignore[misc, valid-type] # made by hypothesis
    settings = settings(max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=CHECKS)
