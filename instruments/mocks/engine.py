"""The simulated table in motion: owns the state, lets time pass, hands clicks to whoever listens.

Every mock instrument of a station turns knobs of the one engine inside its `MockBench`. The engine knows no
instrument library, so that simulations can use it alone. What it emits depends on the seed and on the knobs at
each bench time, never on how the time is cut into calls.
"""

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from faintlink.core.basis_pattern import basis_pattern
from faintlink.core.preamble import preamble_pattern
from faintlink.core.units import PS_PER_S, Slots
from faintlink.instruments.mocks.pair_kernel import next_pair, run_pairs
from faintlink.instruments.mocks.pairs import pair_table
from faintlink.instruments.mocks.pulsed_kernel import (
    KIND,
    OUTCOME,
    OUTCOMES,
    PROGRAMME,
    next_candidate,
    reveal,
    run_pulsed,
    settings_of,
    slot_time,
)
from faintlink.instruments.mocks.random_streams import Records, derived_key, seeded_streams
from faintlink.instruments.mocks.rates import CODES, DARK_LEVEL, LEVELS, RateTable, rate_table
from faintlink.instruments.mocks.receiver import Receiver, Truth
from faintlink.instruments.mocks.state import Attack, BenchState, Model

DRIFT_STEP_PS = PS_PER_S // 100
"""While something drifts, the rates are computed anew on this grid of bench time."""
_ATTACKS = {Attack.NONE: 0, Attack.SCRAMBLE: 1, Attack.INTERCEPT_RESEND: 2}
_PHOTON_STREAM, _TRUTH_STREAM, _ALICE_KEY, _BOB_KEY, _EVE_KEY, _DETECTOR_STREAMS = range(6)


class Engine:
    """A seeded bench without instruments.

    Parameters
    ----------
    state
        The table at the start.
    seed
        Chooses every random stream.
    record_truth
        Keep what really happened behind each click, for `take_truth`.
    """

    def __init__(self, state: BenchState, *, seed: int, record_truth: bool = False) -> None:
        self.lock = threading.RLock()
        self._state = replace(state, seed=seed)
        self._seed = seed
        self._record_truth = record_truth
        self._now_ps = 0
        self._wanted_ps = 0
        self._is_dirty = True
        self._photon_rng = seeded_streams(seed, _PHOTON_STREAM, 1)
        self._truth_rng = seeded_streams(seed, _TRUTH_STREAM, 1)
        self._candidate = np.zeros(1, np.int64)
        self._pair = np.zeros(2, np.int64)
        self._preamble_of = (0, 0)
        self._preamble = np.empty(0, np.uint8)
        self._bases_of = (b"", 0, 1)
        self._bases = np.empty(0, np.uint8)
        self._kinds, self._outcomes = np.zeros(CODES, KIND), np.zeros(0, OUTCOME)
        self._programme = np.zeros(1, PROGRAMME)
        self._pair_wait_ps, self._pair_share = 0.0, np.ones(24)
        self.receivers = {
            name: Receiver(name, part, seed=seed, label=_DETECTOR_STREAMS + index)
            for index, (name, part) in enumerate(sorted(state.receivers.items()))
        }
        for receiver in self.receivers.values():
            receiver.records_truth = record_truth

    @property
    def state(self) -> BenchState:
        """The table as it stands."""
        return self._state

    @property
    def now_ps(self) -> int:
        """Bench time up to which the link was played."""
        return self._now_ps

    @property
    def is_pulsed(self) -> bool:
        """Whether the source is pulsed."""
        return self._state.model is not Model.BBM92

    def update(self, group: str = "", **changes: Any) -> None:
        """Replace fields of one group of the state (``source``, ``link`` …), or of the table itself."""
        with self.lock:
            if group:
                changes = {group: replace(getattr(self._state, group), **changes)}
            self._state = replace(self._state, **changes)
            self._is_dirty = True

    def update_receiver(self, name: str, **changes: Any) -> None:
        """Replace fields of one receiver."""
        with self.lock:
            receivers = {**self._state.receivers, name: replace(self._state.receivers[name], **changes)}
            self.update(receivers=receivers)

    def update_detector(self, receiver: str, index: int, **changes: Any) -> None:
        """Replace fields of one detector."""
        with self.lock:
            detectors = list(self._state.receivers[receiver].detectors)
            detectors[index] = replace(detectors[index], **changes)
            self.update_receiver(receiver, detectors=tuple(detectors))

    def update_clock(self, receiver: str, **changes: Any) -> None:
        """Replace fields of one receiver's clock."""
        with self.lock:
            self.update_receiver(receiver, clock=replace(self._state.receivers[receiver].clock, **changes))

    def start_pattern(self) -> None:
        """Play the pattern from its slot 0, beginning with the next slot, with fresh random settings."""
        with self.lock:
            slot = self._slot_at(self._now_ps) if self.is_pulsed else 0
            run = self._state.programme.run + 1
            self.update("programme", running=True, origin_slot=slot, run=run)

    def stop_pattern(self) -> None:
        """Stop driving the modulators."""
        self.update("programme", running=False)

    def settings_at(self, slots: Slots) -> npt.NDArray[np.uint8]:
        """Return what the pattern plays in its slots (n,) int64, as setting codes (n,) uint8."""
        with self.lock:
            self._refresh()
            programme = self._programme.copy()
            programme["is_running"] = True
        out = np.empty(slots.size, np.uint8)
        settings_of(programme, self._preamble, np.ascontiguousarray(slots, np.int64), out)
        return out

    def advance(self, duration_s: float) -> None:
        """Let bench time pass."""
        with self.lock:
            self._wanted_ps += round(duration_s * PS_PER_S)
            while True:
                self._refresh()
                target = self._wanted_ps
                if self._state.link.drifts:
                    target = min(target, (self._now_ps // DRIFT_STEP_PS + 1) * DRIFT_STEP_PS)
                self._play(target)
                if self._state.link.drifts and target % DRIFT_STEP_PS == 0:
                    self._is_dirty = True
                if target == self._wanted_ps:
                    return

    def skip(self, duration_s: float) -> None:
        """Let bench time pass in which nothing is played: no click, no noise; drifts go on."""
        with self.lock:
            self._wanted_ps += round(duration_s * PS_PER_S)
            self._now_ps = max(self._now_ps, self._wanted_ps)
            for receiver in self.receivers.values():
                receiver.skip_to(self._now_ps)
            self._is_dirty = True

    def take_truth(self, receiver: str = "bob") -> Truth:
        """Return and forget what was recorded behind the clicks of a receiver since the last call."""
        with self.lock:
            return self.receivers[receiver].take_truth()

    def clicks(self, receiver: str, index: int) -> int:
        """Return how often a detector clicked so far."""
        with self.lock:
            return int(self.receivers[receiver].detectors["clicks"][index])

    def _slot_at(self, time_ps: int) -> int:
        """Return the first slot that is not over at a bench time."""
        return round(time_ps / self._state.period_ps)

    def _play(self, target_ps: int) -> None:
        if self.is_pulsed:
            self._play_pulsed(self._slot_at(target_ps))
        else:
            self._play_pairs(target_ps)
        self._now_ps = max(self._now_ps, target_ps)

    def _play_pulsed(self, slot_end: int) -> None:
        receiver, programme = self.receivers["bob"], self._programme
        end_ps = int(slot_time(programme, slot_end)) - int(programme["period_ps"][0]) // 2
        played = end_ps - 1
        while played < end_ps:
            first = receiver.size
            size, reached = run_pulsed(
                receiver.detectors, receiver.rng, self._kinds, self._outcomes, programme, self._preamble,
                self._bases, self._candidate, slot_end, self._photon_rng, receiver.clicks, first,
            )  # fmt: skip
            receiver.size, played = int(size), int(reached)
            if self._record_truth and receiver.listeners:
                fresh = receiver.clicks[first : receiver.size]
                reveal(fresh, programme, self._preamble, self._bases, self._kinds, self._truth_rng)
            receiver.emit(played, delay_ps=self._state.link.delay_ps, origin_slot=int(programme["origin"][0]))

    def _play_pairs(self, end_ps: int) -> None:
        alice, bob = self.receivers["alice"], self.receivers["bob"]
        played = end_ps - 1
        while played < end_ps:
            size_a, size_b, reached = run_pairs(
                alice.detectors, bob.detectors, alice.rng, bob.rng, self._pair_wait_ps, self._pair_share,
                self._pair, end_ps, self._photon_rng, alice.clicks, bob.clicks, alice.size, bob.size,
            )  # fmt: skip
            alice.size, bob.size, played = int(size_a), int(size_b), int(reached)
            alice.emit(played, delay_ps=0, origin_slot=0)
            bob.emit(played, delay_ps=self._state.link.delay_ps, origin_slot=0)

    def _refresh(self) -> None:
        """Compute tables anew if a knob was turned."""
        if not self._is_dirty:
            return
        state, time_s = self._state, self._now_ps / PS_PER_S
        for name, receiver in self.receivers.items():
            receiver.configure(state.receivers[name], now_ps=self._now_ps)
        if self.is_pulsed:
            self._refresh_pulsed(time_s)
        else:
            self._refresh_pairs(time_s)
        self._is_dirty = False

    def _refresh_pulsed(self, time_s: float) -> None:
        state = self._state
        part = state.programme
        if self._preamble_of != (part.preamble_seed, part.preamble_length):
            self._preamble_of = (part.preamble_seed, part.preamble_length)
            self._preamble = preamble_pattern(*self._preamble_of) if part.preamble_length else self._preamble[:0]
        bob = state.receivers["bob"]
        wanted = (bob.basis_seed, bob.basis_slots, bob.basis_hold)
        if self._bases_of != wanted:
            self._bases_of = wanted
            self._bases = basis_pattern(*self._bases_of) if bob.basis_seed and bob.basis_slots else self._bases[:0]
        table = rate_table(state, time_s=time_s)
        self._kinds, self._outcomes = prepared(table)
        self._programme = programme_record(state, seed=self._seed)
        levels = list(range(len(state.source.intensities))) if part.running else []
        chances = self._kinds["click_chance"].reshape(LEVELS, -1)
        self._programme["top_chance"] = chances[[*levels, DARK_LEVEL]].max()
        slot = self._slot_at(self._now_ps)
        self._candidate[0] = next_candidate(self._photon_rng, slot, self._programme["top_chance"][0])

    def _refresh_pairs(self, time_s: float) -> None:
        source = self._state.pairs
        joint = pair_table(self._state, time_s=time_s).reshape(-1)[:24]
        rate_hz = float(joint.sum()) * source.pair_rate_hz if source.enabled else 0.0
        self._pair_wait_ps = PS_PER_S / rate_hz if rate_hz > 0.0 else 0.0
        self._pair_share = np.cumsum(joint) / max(float(joint.sum()), 1e-300)
        self._pair_share[-1] = 1.0
        self._pair[0] = next_pair(self._pair_wait_ps, self._photon_rng, self._now_ps)


def prepared(table: RateTable) -> tuple[Records, Records]:
    """Return a rate table as records (40,) of slot kinds and (j,) of outcomes, ready for the kernel."""
    kinds, outcomes = np.zeros(CODES, KIND), np.zeros(table.detector.size, OUTCOME)
    mean = table.means.sum(axis=1)
    kinds["mean"] = mean
    kinds["click_chance"] = -np.expm1(-mean)
    kinds["photons"] = np.repeat(table.photons, CODES // LEVELS)
    share = np.cumsum(table.means, axis=1) / np.where(mean > 0.0, mean, 1.0)[:, None]
    kinds["share"] = np.pad(share, ((0, 0), (0, OUTCOMES - share.shape[1])), mode="edge")
    outcomes["detector"], outcomes["offset_ps"] = table.detector, table.offset_ps
    return kinds, outcomes


def programme_record(state: BenchState, *, seed: int) -> Records:
    """Return what is played as a record (1,), without the top click chance."""
    part, record = state.programme, np.zeros(1, PROGRAMME)
    below = np.full(4, 2.0**32)
    shares = np.cumsum(part.intensity_probabilities[:-1])
    below[: shares.size] = shares * 2.0**32
    record["alice_key"] = derived_key(seed, _ALICE_KEY, part.run)
    record["bob_key"] = derived_key(seed, _BOB_KEY)
    record["eve_key"] = derived_key(seed, _EVE_KEY)
    record["is_running"], record["origin"] = part.running, part.origin_slot
    record["intensity_below"] = below.astype(np.uint64)
    record["alice_z_below"] = round(part.basis_probability_z * 2**31)
    record["bob_z_below"] = round(state.receivers["bob"].basis_probability_z * 2**32)
    record["is_active"] = state.chooses_actively
    record["attack"], record["eve_below"] = _ATTACKS[state.attack], round(state.attack_fraction * 2**32)
    record["constant"] = part.constant_setting
    record["period_ps"] = int(state.period_ps)
    record["period_rest_ps"] = state.period_ps - int(state.period_ps)
    return record
