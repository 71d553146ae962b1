"""Reconciliation between two nodes: several runs in flight at once, so that a round trip delays none but its own.

Alice answers whatever run is asked; Bob keeps the questions of `RUNS_IN_FLIGHT` runs on their way. Both count each
disclosed bit. Who corrects is the plan's business.
"""

from dataclasses import dataclass, field

import numpy as np

from faintlink.core.errors import RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.node.distilling import Answer, Corrected, Parities
from faintlink.postprocess.node.machine import Hear, Say, Steps, hear
from faintlink.postprocess.qkd.asking import Asking
from faintlink.postprocess.qkd.cascade.parties import CascadeAlice
from faintlink.postprocess.qkd.ldpc.parties import LdpcAlice
from faintlink.postprocess.qkd.reconciliation import RUNS_IN_FLIGHT, Plan


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What Bob has after all his questions."""

    bits: Bits = field(repr=False)
    """(n,) uint8, corrected as far as it went."""
    leaked: int
    """Bits that Alice disclosed."""
    flipped: int
    """Bits he changed."""
    messages: int
    """Requests of all runs."""


def answer_all(bits: Bits, plan: Plan, seed: bytes) -> Steps[tuple[int, int]]:
    """Be Alice: answer until Bob is done; return the disclosed bits and how many bits Bob says he flipped."""
    runs = plan.runs()
    parties: dict[int, CascadeAlice | LdpcAlice] = {}
    while True:
        heard = yield Hear((Parities, Corrected))
        if isinstance(heard, Corrected):
            return sum(alice.leaked_bits for alice in parties.values()), heard.errors
        if not isinstance(heard, Parities) or heard.run >= len(runs):
            raise RemoteProtocolError(f"parities of a run are asked that the block does not have ({len(runs)} runs)")
        if heard.run not in parties:
            parties[heard.run] = plan.answering(bits[runs[heard.run]], seed)
        yield Say(Answer(heard.run, parties[heard.run].answer(heard.data)))


def ask_all(bits: Bits, plan: Plan, seed: bytes) -> Steps[Asked]:
    """Be Bob: ask until each run is corrected."""
    runs = plan.runs()
    corrected = bits.copy()
    leaked = flipped = messages = begun = 0
    going: dict[int, Asking] = {}
    while going or begun < len(runs):
        if begun < len(runs) and len(going) < RUNS_IN_FLIGHT:
            number, bob = begun, plan.asking(bits[runs[begun]], seed)
            going[begun] = bob
            begun += 1
        else:
            heard = yield from hear(Answer)
            if heard.run not in going:
                raise RemoteProtocolError("an answer came to a run that asked nothing")
            number, bob = heard.run, going[heard.run]
            bob.receive(heard.data)
        request = bob.next_request()
        if request is not None:
            messages += 1
            yield Say(Parities(number, request))
            continue
        del going[number]
        corrected[runs[number]] = bob.corrected()
        leaked, flipped = leaked + bob.leaked_bits, flipped + bob.corrected_errors
    yield Say(Corrected(flipped))
    return Asked(np.ascontiguousarray(corrected), leaked, flipped, messages)
