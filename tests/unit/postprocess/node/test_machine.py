"""A block's program and what drives it: work may be done elsewhere while messages come."""

from typing import Any

import pytest

from faintlink.core.errors import NotEnoughSignalsError, RemoteProtocolError
from faintlink.core.records import DecoyCounts
from faintlink.postprocess.node.distilling import Counted
from faintlink.postprocess.node.machine import BlockMachine, Program, Say, Settled, hear, work
from faintlink.postprocess.node.sifting import Committed
from faintlink.postprocess.security.ledger import EpsilonLedger


def doubling() -> Program:
    """Double what is heard first, say it, and end with what is heard next."""
    heard = yield from hear(Committed)
    yield Say(Committed((yield from work(lambda: 2 * heard.count))))
    last = yield from hear(Committed)
    return Settled(last.count, DecoyCounts.zero(1), None, EpsilonLedger(()), (), None, None)


def said(messages: list[Any]) -> list[int]:
    return [message.count for message in messages]


def test_work_is_done_on_the_spot_unless_somebody_else_sees_to_it() -> None:
    machine = BlockMachine(doubling())
    machine.start()
    assert said(machine.receive(Committed(21))) == [42]
    assert machine.take_work() is None


def test_work_is_given_out_once_and_its_result_goes_on() -> None:
    machine = BlockMachine(doubling(), offloads=True)
    machine.start()
    assert machine.receive(Committed(21)) == []
    given = machine.take_work()
    assert given is not None
    assert machine.take_work() is None
    assert said(machine.worked(given.run())) == [42]


def test_a_message_that_comes_during_work_waits_for_its_end() -> None:
    machine = BlockMachine(doubling(), offloads=True)
    machine.start()
    machine.receive(Committed(1))
    assert machine.receive(Committed(7)) == []
    machine.worked(2)
    assert machine.settled is not None
    assert machine.settled.number == 7


def test_a_wrong_message_during_work_is_refused_at_its_end() -> None:
    machine = BlockMachine(doubling(), offloads=True)
    machine.start()
    machine.receive(Committed(1))
    machine.receive(Counted((1,)))
    with pytest.raises(RemoteProtocolError, match="where COMMITTED is due"):
        machine.worked(2)


def test_a_flood_during_work_is_refused() -> None:
    machine = BlockMachine(doubling(), offloads=True)
    machine.start()
    machine.receive(Committed(1))
    for _ in range(64):
        machine.receive(Committed(1))
    with pytest.raises(RemoteProtocolError, match="where nothing is due"):
        machine.receive(Committed(1))


def refuse() -> int:
    raise NotEnoughSignalsError("too few", hint="measure longer")


def refusing() -> Program:
    """End by work that refuses."""
    yield from hear(Committed)
    yield from work(refuse)
    raise AssertionError("work that refuses was passed over")


@pytest.mark.parametrize("offloads", [False, True])
def test_a_refusal_by_work_ends_the_block_and_is_told(offloads: bool) -> None:
    machine = BlockMachine(refusing(), offloads=offloads)
    machine.start()
    told = machine.receive(Committed(1))
    if offloads:
        told = machine.worked(error=NotEnoughSignalsError("too few"))
    assert [message.kind.name for message in told] == ["ABORT"]
    assert machine.has_refused


def test_the_result_of_work_for_a_block_that_is_over_is_passed_over() -> None:
    machine = BlockMachine(refusing(), offloads=True)
    machine.start()
    machine.receive(Committed(1))
    machine.worked(error=NotEnoughSignalsError("too few"))
    assert machine.worked(5) == []
