"""Cascade between two nodes: many runs of frames in flight at once, so that a round trip delays none but its own.

Alice answers whatever run is asked; Bob keeps every run's question on its way. Both count each disclosed bit.
"""

import numpy as np

from faintlink.core.errors import RemoteProtocolError
from faintlink.core.units import Bits
from faintlink.postprocess.node.distilling import Answer, Corrected, Parities
from faintlink.postprocess.node.machine import Hear, Say, Steps, hear
from faintlink.postprocess.qkd.cascade.parameters import MAX_FRAME_BITS, CascadeParameters, frame_length
from faintlink.postprocess.qkd.cascade.parties import CascadeAlice, CascadeBob

FRAMES_A_RUN = 32
"""Frames that go forward together; several runs are in flight at once."""


def runs(bits: int, qber: float) -> tuple[CascadeParameters, list[slice]]:
    """Return the parameters of a block of ``bits`` bits and the stretch of each run; equal on both sides."""
    _, length = frame_length(bits, MAX_FRAME_BITS)
    size = length * FRAMES_A_RUN
    return CascadeParameters.for_qber(qber, length), [slice(at, at + size) for at in range(0, bits, size)]


def answer_all(bits: Bits, qber: float, seed: bytes) -> Steps[tuple[int, int]]:
    """Be Alice: answer until Bob is done; return the disclosed parities and the bits that Bob says he flipped."""
    parameters, stretches = runs(bits.size, qber)
    parties = [CascadeAlice(bits[stretch], parameters, seed) for stretch in stretches]
    while True:
        heard = yield Hear((Parities, Corrected))
        if isinstance(heard, Corrected):
            return sum(alice.leaked_bits for alice in parties), heard.errors
        if not isinstance(heard, Parities) or heard.run >= len(parties):
            raise RemoteProtocolError(f"parities of a run are asked that the block does not have ({len(parties)} runs)")
        yield Say(Answer(heard.run, parties[heard.run].answer(heard.data)))


def ask_all(bits: Bits, qber: float, seed: bytes) -> Steps[tuple[Bits, int, int]]:
    """Be Bob: ask for all runs at once until each is corrected; return the bits, the leak and the flipped bits."""
    parameters, stretches = runs(bits.size, qber)
    parties = [CascadeBob(bits[stretch], parameters, seed) for stretch in stretches]
    open_runs = set()
    for number, bob in enumerate(parties):
        request = bob.next_request()
        if request is not None:
            open_runs.add(number)
            yield Say(Parities(number, request))
    while open_runs:
        heard = yield from hear(Answer)
        if heard.run not in open_runs:
            raise RemoteProtocolError("an answer came to a run that asked nothing")
        bob = parties[heard.run]
        bob.receive(heard.data)
        request = bob.next_request()
        if request is None:
            open_runs.discard(heard.run)
        else:
            yield Say(Parities(heard.run, request))
    flipped = sum(bob.corrected_errors for bob in parties)
    yield Say(Corrected(flipped))
    corrected = np.concatenate([bob.corrected() for bob in parties])
    return corrected, sum(bob.leaked_bits for bob in parties), flipped
