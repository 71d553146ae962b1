"""The simulated Qline with a small computing server: exact state vectors, losses, dark counts, and time tags.

Used by the instruments of `qline_bench`; knows no instrument library. A batch of attempts is simulated at once, each
with its own state vector of at most ten qubits, so that outcomes follow the exact joint distribution.

What is simulated: each qubit starts as |+>, every client's rotation about Z is added (or one client makes a dummy |0>
or |1>), a bit flip X and a phase flip Z may happen, the server entangles by CZ and measures vertex after vertex at the
angles it is told. Qubits that do not arrive, or give no click, leave no tag; a dark count in their place is a random
outcome. Not simulated: that a missing qubit also leaves its neighbours unentangled (the attempt is lost anyway but for
a dark count), several photons in one pulse, and light that modulators send back.

Sources: R. Raussendorf, H. Briegel, Phys. Rev. Lett. 86, 5188 (2001) (measuring graph states).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.errors import LocalProtocolError
from faintlink.core.tags import TagBlock
from faintlink.core.units import PS_PER_S, Channels, TimesPs

TRIGGER, HERALD, OUTCOME_0, OUTCOME_1 = 1, 2, 3, 4
"""Channels of the server's tagger."""
DUMMY = 8
"""Setting for the dummy |0>; one more for |1>."""
Codes = npt.NDArray[np.uint8]
Listener = Callable[[TimesPs, Channels, int], None]


class ServerAttack(StrEnum):
    """What a dishonest server does."""

    NONE = "none"
    FLIP = "flip"
    """Flips the outcome of one vertex, in a random share of the attempts."""
    REPLACE = "replace"
    """Throws the qubits away and answers at random, in a random share of the attempts."""
    SELECTIVE = "selective"
    """Flips as above, in those attempts whose first angle is small: it guesses which rounds compute."""


@dataclass(frozen=True, slots=True)
class QlineState:
    """The table's knobs."""

    visibility: float = 0.98
    """A phase flip happens to each qubit with (1 - visibility)/2."""
    bit_flip: float = 0.0
    """Probability of a bit flip of each qubit before it is entangled."""
    readout_error: float = 0.0
    """Probability that an outcome is the wrong one."""
    arrival: float = 0.98
    """Probability that a qubit arrives and is heralded."""
    efficiency: float = 0.98
    """Probability that an arrived qubit gives a click when it is measured."""
    dark_rate_hz: float = 200.0
    """Dark counts of each detector."""
    jitter_ps: float = 60.0
    """Standard deviation of each click."""
    clock_offset_ps: int = 0
    """What the tagger's clock is ahead of the clients'."""
    attack: ServerAttack = ServerAttack.NONE
    attack_share: float = 1.0
    """Share of the attempts that are attacked."""
    attack_vertex: int = -1
    """Whose outcome is flipped; -1 for the last one measured."""


@dataclass(frozen=True, slots=True)
class QlineTiming:
    """Times of the table."""

    slot_ps: int = 1_000_000
    """From trigger to trigger."""
    turnaround_ps: int = 50_000_000
    """From the last slot of one vertex to the first of the next: the clients work out the angles."""
    flight_ps: int = 5_000
    """From the clients to the server's electronics."""
    herald_delay_ps: int = 100_000
    """From a trigger to its herald."""
    outcome_delay_ps: int = 300_000
    """From a trigger to its outcome."""


class QlineEngine:
    """A seeded Qline.

    Parameters
    ----------
    seed
        Chooses every random number.
    state, timing
        The table.
    """

    def __init__(self, *, seed: int, state: QlineState | None = None, timing: QlineTiming | None = None) -> None:
        self.lock = threading.RLock()
        self.state = state or QlineState()
        self.timing = timing or QlineTiming()
        self.listeners: list[Listener] = []
        self.now_ps = 0
        self._rng = np.random.default_rng(seed)
        self._loaded: dict[str, Codes] = {}
        self._slots: TimesPs = np.empty(0, np.int64)
        self._edges: tuple[tuple[int, int], ...] = ()
        self._order: tuple[int, ...] = ()
        self._signs: npt.NDArray[np.float64] = np.empty(0)
        self._psi = np.empty((0, 1), np.complex128)
        self._arrived = np.empty((0, 0), np.bool_)
        self._step = 0
        self._attacked = np.empty(0, np.bool_)

    def update(self, **changes: Any) -> None:
        """Turn knobs."""
        with self.lock:
            self.state = replace(self.state, **changes)

    def entangle_by(self, edges: Sequence[tuple[int, int]], order: Sequence[int]) -> None:
        """Set the graph that the server makes, and the order in which it measures."""
        self._edges, self._order = tuple(edges), tuple(order)
        n = len(self._order)
        place = {vertex: at for at, vertex in enumerate(self._order)}
        index = np.arange(2**n)
        bits = {vertex: index >> (n - 1 - place[vertex]) & 1 for vertex in self._order}
        parity = sum((bits[a] & bits[b] for a, b in self._edges), np.zeros(2**n, np.int64))
        self._signs = (1 - 2 * (parity & 1)).astype(np.float64)

    def load(self, client: str, settings: Codes) -> None:
        """Set a client's modulator for the next batch, (a, n) uint8: angles 0..7, or a dummy."""
        self._loaded[client] = settings

    def transmit(self, count: int) -> TimesPs:
        """Let the clients' next ``count`` settings or angles leave; return when, (count,) int64."""
        with self.lock:
            start = self.now_ps + self.timing.turnaround_ps
            sent = start + self.timing.slot_ps * np.arange(count, dtype=np.int64)
            self._slots = sent + self.timing.flight_ps
            self.now_ps = start + count * self.timing.slot_ps
        return sent

    def prepare(self) -> TagBlock:
        """Let a batch of qubits pass the clients and arrive; return the server's tags."""
        settings = list(self._loaded.values())
        self._loaded = {}
        shape = settings[0].shape if settings else (0, 0)
        if any(part.shape != shape for part in settings) or shape[1] != len(self._order):
            raise LocalProtocolError(f"settings of {[part.shape for part in settings]} do not fit the graph")
        self._require_slots(shape[0] * shape[1])
        self._psi = self._states(settings) * self._signs
        self._arrived = self._rng.random(shape) < self.state.arrival
        self._step = 0
        clicks = [(HERALD, self._arrived.reshape(-1), self.timing.herald_delay_ps)]
        return self._emit(clicks)

    def _states(self, settings: list[Codes]) -> npt.NDArray[np.complex128]:
        """Return the product states (a, 2**n), the first measured vertex as the highest bit."""
        attempts = settings[0].shape[0]
        psi = np.ones((attempts, 1), np.complex128)
        for vertex in self._order:
            amplitudes = self._qubits([part[:, vertex] for part in settings])
            psi = (psi[:, :, None] * amplitudes[:, None, :]).reshape(attempts, -1)
        return psi

    def _qubits(self, settings: list[Codes]) -> npt.NDArray[np.complex128]:
        """Return the amplitudes (a, 2) of one vertex after modulators and noise."""
        total = np.add.reduce([part.astype(np.int64) for part in settings])
        amplitudes = np.empty((total.size, 2), np.complex128)
        amplitudes[:, 0] = np.sqrt(0.5)
        amplitudes[:, 1] = np.sqrt(0.5) * np.exp(0.25j * np.pi * total)
        dummy = settings[0] >= DUMMY
        amplitudes[dummy] = np.eye(2)[settings[0][dummy] & 1]
        flipped = self._rng.random(total.size) < self.state.bit_flip
        amplitudes[flipped] = amplitudes[flipped][:, ::-1]
        amplitudes[self._rng.random(total.size) < 0.5 * (1.0 - self.state.visibility), 1] *= -1.0
        return amplitudes

    def measure(self, vertex: int, angles: Codes) -> TagBlock:
        """Measure one vertex of each attempt at angles (a,) uint8 in steps of pi/4; return the server's tags.

        Raises
        ------
        LocalProtocolError
            Another vertex is due.
        """
        if self._step >= len(self._order) or self._order[self._step] != vertex:
            raise LocalProtocolError(f"vertex {vertex} is not due", hint="measure in the order of the graph")
        self._require_slots(angles.size)
        outcome = self._project(angles) ^ (self._rng.random(angles.size) < self.state.readout_error)
        if self._step == 0:
            self._attacked = self._choose(angles)
        outcome = self._deviate(vertex, outcome)
        self._step += 1
        clicked = self._arrived[:, vertex] & (self._rng.random(angles.size) < self.state.efficiency)
        delay = self.timing.outcome_delay_ps
        return self._emit([(OUTCOME_0, clicked & ~outcome, delay), (OUTCOME_1, clicked & outcome, delay)])

    def _project(self, angles: Codes) -> npt.NDArray[np.bool_]:
        """Return the outcomes (a,) of the first qubit left, and leave the others' states."""
        pairs = self._psi.reshape(angles.size, 2, -1)
        turned = pairs[:, 1] * np.exp(-0.25j * np.pi * angles)[:, None]
        plus = (pairs[:, 0] + turned) * np.sqrt(0.5)
        chance = np.einsum("ij,ij->i", plus.real, plus.real) + np.einsum("ij,ij->i", plus.imag, plus.imag)
        outcome: npt.NDArray[np.bool_] = self._rng.random(angles.size) >= chance
        left = np.where(outcome[:, None], (pairs[:, 0] - turned) * np.sqrt(0.5), plus)
        weight = np.where(outcome, 1.0 - chance, chance)
        self._psi = left / np.sqrt(np.maximum(weight, 1e-30))[:, None]
        return outcome

    def _choose(self, angles: Codes) -> npt.NDArray[np.bool_]:
        if self.state.attack is ServerAttack.SELECTIVE:
            return angles < round(8 * self.state.attack_share)
        return self._rng.random(angles.size) < self.state.attack_share

    def _deviate(self, vertex: int, outcome: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        attack = self.state.attack
        if attack is ServerAttack.REPLACE:
            answered: npt.NDArray[np.bool_] = np.where(self._attacked, self._rng.random(outcome.size) < 0.5, outcome)
            return answered
        target = self.state.attack_vertex if self.state.attack_vertex >= 0 else self._order[-1]
        if attack is ServerAttack.NONE or vertex != target:
            return outcome
        flipped: npt.NDArray[np.bool_] = outcome ^ self._attacked
        return flipped

    def _require_slots(self, count: int) -> None:
        if self._slots.size != count:
            raise LocalProtocolError(f"{count} slots are due, {self._slots.size} were transmitted")

    def _emit(self, clicks: list[tuple[int, npt.NDArray[np.bool_], int]]) -> TagBlock:
        """Return the tags of the slots transmitted last, and hand them to whoever listens."""
        triggers = self._slots
        times, channels = [triggers], [np.full(triggers.size, TRIGGER, np.uint8)]
        last = self.timing.slot_ps - self.timing.flight_ps - 1
        for channel, mask, delay in clicks:
            jitter = np.rint(self._rng.normal(0.0, self.state.jitter_ps, int(mask.sum()))).astype(np.int64)
            times.append(triggers[mask] + np.clip(delay + jitter, 1, last))
            channels.append(np.full(times[-1].size, channel, np.uint8))
        for channel in (HERALD, OUTCOME_0, OUTCOME_1):
            darks = self._rng.poisson(self.state.dark_rate_hz * self.timing.slot_ps / PS_PER_S * triggers.size)
            slots = triggers[self._rng.integers(0, max(1, triggers.size), darks if triggers.size else 0)]
            times.append(slots + self._rng.integers(1, last, slots.size))
            channels.append(np.full(slots.size, channel, np.uint8))
        at = np.concatenate(times) + self.state.clock_offset_ps
        order = np.argsort(at, kind="stable")
        block = TagBlock(at[order], np.concatenate(channels)[order])
        self._slots = np.empty(0, np.int64)
        with self.lock:
            for listener in tuple(self.listeners):
                listener(block.times_ps, block.channels, self.now_ps + self.state.clock_offset_ps)
        return block
