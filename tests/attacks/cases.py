"""The cases: what each adversary does to a block of clicks, and how often that is noticed.

Sources: G. Brassard et al., Phys. Rev. Lett. 85, 1330 (2000) (photon-number splitting); L. Lydersen et al., Nature
Photon. 4, 686 (2010) and Opt. Express 18, 27938 (2010) (blinding); C. Wiechers et al., New J. Phys. 13, 013043 (2011)
(after-gate); B. Qi et al., Quantum Inf. Comput. 7, 73 (2007) (time shift); H. Weier et al., New J. Phys. 13, 073024
(2011) (dead time); P. Chaiwongkhot et al., Phys. Rev. A 96, 044301 (2017) (small blocks).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from tests.attacks.clicks import FLOOR_HZ, MU, RATE_HZ, Clicks, Light, attacked_link, watch

Attack = Callable[[np.random.Generator], Clicks]
MULTI_PHOTON = (float(1 - math.exp(-MU[0]) * (1 + MU[0])), float(1 - math.exp(-MU[1]) * (1 + MU[1])))
"""Shares of the pulses with two or more photons."""


@dataclass(frozen=True)
class Case:
    """One adversary with one strength."""

    name: str
    attack: Attack
    least: float
    """Share of the blocks that must be noticed, by a monitor or by a refusal; see the tests for the sense."""
    most_keys: float = 0.0
    """Share of the blocks that may give a key."""
    dead_time_ps: int = 0
    has_floor: bool = False
    """Whether the link file says how high the floor is."""
    vetoes: bool = True
    """False watches the bound alone."""


@dataclass(frozen=True)
class Tally:
    """What became of a number of blocks."""

    blocks: int
    noticed: int
    """Blocks without a key for a monitor's or an error rate's sake, or because the bound allows none."""
    keys: int
    """Blocks with a key."""
    mean_bits: float
    """Mean length of these keys; 0 if there are none."""
    reasons: tuple[str, ...]
    """Kinds of refusals, with the first monitor's name."""


def tally(case: Case, blocks: int, *, seed: int = 1) -> Tally:
    """Attack a number of blocks; equal arguments give equal figures."""
    link = attacked_link(
        dead_time_ps=case.dead_time_ps, floor_hz=FLOOR_HZ if case.has_floor else 0.0, vetoes=case.vetoes
    )
    noticed = keys = bits = 0
    reasons: dict[str, None] = {}
    for number in range(blocks):
        seen = watch(case.attack(np.random.default_rng((seed, number))), link)
        result = seen.distil()
        noticed += result.refusal is not None
        keys += bool(result.keys)
        bits += result.key_bits
        if result.refusal is not None:
            name = type(result.refusal).__name__
            for what in seen.objections[:1] if name == "MonitorVetoError" else [name]:
                reasons[what] = None
    return Tally(blocks, noticed, keys, bits / keys if keys else 0.0, tuple(reasons))


def of(light: Light) -> Attack:
    """Return the attack that is a kind of light."""
    return light.clicks


def blinded(share: float, every_s: float) -> Attack:
    """Blind all detectors for a share of the time, periodically: no darks, no doubles, and clicks at will."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        phase = (clicks.slots / RATE_HZ / every_s + rng.random()) % 1.0
        return clicks.keep(~clicks.is_dark | (phase >= share))

    return attack


def after_gate(share: float) -> Attack:
    """Move a share of the clicks behind the gate, where a gated detector would be linear."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        late = rng.random(clicks.slots.size) < share
        clicks.phases[late] = 600 + np.abs(clicks.phases[late]) % 1000
        return clicks

    return attack


def faked_in_gate(share: float, late_ps: int) -> Attack:
    """Fake a share of the states, late for ones only: a blinded detector's click follows the bright pulse."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        faked = (rng.random(clicks.slots.size) < share) & (clicks.outcomes & 1 == 1) & ~clicks.is_dark
        clicks.phases[faked] += np.int32(late_ps)
        return clicks

    return attack


def bright(share: float) -> Attack:
    """Let both detectors of a basis fire in a share of the slots."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        hit = rng.random(clicks.slots.size) < share
        return clicks.and_also(clicks.slots[hit], clicks.phases[hit], clicks.outcomes[hit] ^ np.uint8(1))

    return attack


def second_pulse(share: float, *, late_slots: int = 3) -> Attack:
    """Send a second pulse while the detector that just fired is dead: the other one of its basis answers."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        hit = rng.random(clicks.slots.size) < share
        slots = clicks.slots[hit] + late_slots
        outcomes = clicks.outcomes[hit] ^ np.uint8(1)
        # The sender's bit agrees: the adversary lets only those pulses through that she measured to do so.
        known = np.setdiff1d(slots, clicks.setting_slots)
        first = np.searchsorted(np.sort(slots), known)
        by_slot = np.argsort(slots, kind="stable")[first]
        sent = np.where(rng.random(known.size) < 0.5, 0, 4) + outcomes[by_slot] % 2 + 2 * (outcomes[by_slot] >> 1)
        merged = np.concatenate((clicks.setting_slots, known))
        order = np.argsort(merged)
        settings = np.concatenate((clicks.settings, sent.astype(np.uint8)))[order]
        more = clicks.and_also(slots, rng.normal(0.0, 100.0, slots.size).round().astype(np.int32), outcomes)
        return Clicks(more.slots, more.phases, more.outcomes, more.is_dark, merged[order], settings)

    return attack


def without(outcomes: Iterable[int]) -> Attack:
    """Silence detectors."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        return clicks.keep(~np.isin(clicks.outcomes, list(outcomes)))

    return attack


def stuck_on(outcome: int, hz: float = 50_000.0) -> Attack:
    """Let one detector click at random, whatever comes."""

    def attack(rng: np.random.Generator) -> Clicks:
        clicks = Light().clicks(rng)
        at = rng.choice(clicks.setting_slots, round(hz))
        return clicks.and_also(
            at, rng.integers(-500, 500, at.size, dtype=np.int32), np.full(at.size, outcome, np.uint8)
        )

    return attack


def worn(rng: np.random.Generator) -> Clicks:
    """Return an honest block of worn devices: afterpulses, a drifting dark rate, unequal and misaligned detectors."""
    light = Light(shift_ps=(0.0, 10.0, -5.0, 5.0), efficiency=(1.0, 0.9, 0.95, 1.0), floor_hz=1.1 * FLOOR_HZ)
    clicks = light.clicks(rng)
    drift = np.cos(2 * np.pi * clicks.slots / RATE_HZ)
    clicks = clicks.keep(~clicks.is_dark | (rng.random(clicks.slots.size) < (1.0 + 0.1 * drift) / 1.1))
    # 3 % of the clicks, a microsecond later on average, in any place of a slot; not where nobody recorded a setting.
    again = rng.random(clicks.slots.size) < 0.03
    slots = clicks.slots[again] + rng.exponential(1e-6 * RATE_HZ, int(again.sum())).astype(np.int64) + 1
    phases = rng.integers(-6_250, 6_250, slots.size, dtype=np.int32)
    known = np.isin(slots, clicks.setting_slots) | (np.abs(phases) > 500)
    return clicks.and_also(slots[known], phases[known], clicks.outcomes[again][known])


def split(blocked: float) -> Light:
    """Block a share of the single photons and pass the others, at an unchanged rate of clicks."""
    single = np.exp(-MU) * MU * (1.0 - blocked)
    gains = single + np.array(MULTI_PHOTON)
    return Light(gains=(float(gains[0]), float(gains[1])))


def alarms(case: Case, blocks: int, *, seed: int = 2) -> int:
    """Return in how many blocks any monitor objects, without distilling them."""
    link = attacked_link(dead_time_ps=case.dead_time_ps, floor_hz=FLOOR_HZ if case.has_floor else 0.0)
    return sum(
        bool(watch(case.attack(np.random.default_rng((seed, number))), link).objections) for number in range(blocks)
    )


DEAD_PS = 100_000
HONEST = Case("honest", of(Light()), 0.0, most_keys=1.0, has_floor=True)
SHORT_HONEST = Case("honest, 0.2 s", of(Light(photons=20_000, seconds=0.2)), 0.0, has_floor=True)
WORN = Case("honest, worn", worn, 0.0, most_keys=1.0)
CASES = (
    Case("PNS, all single photons blocked, bound alone", of(split(1.0)), 1.0, vetoes=False),
    Case("PNS, all single photons blocked", of(split(1.0)), 1.0),
    Case("PNS, 90 % of the single photons blocked", of(split(0.9)), 0.99),
    Case("PNS, 80 % of the single photons blocked", of(split(0.8)), 0.0, most_keys=1.0),
    Case("intercept-resend, all pulses", of(Light(resent=1.0)), 1.0),
    Case("intercept-resend, half", of(Light(resent=0.5)), 1.0),
    Case("intercept-resend, a quarter", of(Light(resent=0.25)), 1.0),
    Case("intercept-resend, a tenth", of(Light(resent=0.1)), 0.0, most_keys=1.0),
    Case("blinding, CW, dark rate known", blinded(1.0, 1.0), 0.99, has_floor=True),
    Case("blinding, CW but for 10 ms in 100, dark rate unknown", blinded(0.9, 0.1), 0.99),
    Case("blinding, CW, dark rate unknown", blinded(1.0, 1.0), 0.0, most_keys=1.0),
    Case("blinding, 10 % of the time, every 50 ms", blinded(0.1, 50e-3), 0.99),
    Case("blinding, 50 % of the time, every 5 ms", blinded(0.5, 5e-3), 0.99),
    Case("blinding, 10 % of the time, every 5 ms, dark rate known", blinded(0.1, 5e-3), 0.99, has_floor=True),
    Case("blinding, 10 % of the time, every 1 us, dark rate known", blinded(0.1, 1e-6), 0.99, has_floor=True),
    Case("blinding, 10 % of the time, every 1 us, dark rate unknown", blinded(0.1, 1e-6), 0.0, most_keys=1.0),
    Case("blinding, 1 % of the time, every 1 us, dark rate known", blinded(0.01, 1e-6), 0.0, 1.0, has_floor=True),
    Case("after-gate, 30 % of the clicks", after_gate(0.3), 0.0, most_keys=1.0),
    Case("time shift, 25 ps on one detector", of(Light(shift_ps=(0, 25, 0, 0))), 0.0, most_keys=1.0),
    Case("time shift, 50 ps on one detector", of(Light(shift_ps=(0, 50, 0, 0))), 0.99),
    Case("time shift, 100 ps on one detector", of(Light(shift_ps=(0, 100, 0, 0))), 0.99),
    Case("time shift, 200 ps on one detector", of(Light(shift_ps=(0, 200, 0, 0))), 0.99),
    Case("time shift, 500 ps on one detector", of(Light(shift_ps=(0, 500, 0, 0))), 0.99),
    Case("faked states 300 ps late, 10 % of the ones", faked_in_gate(0.1, 300), 0.99),
    Case("skew of 200 ps between zeros and ones", of(Light(shift_ps=(0, 200, 0, 200))), 0.99),
    Case("bright pulses, both detectors in 10 % of the slots", bright(0.1), 0.99),
    Case("second pulse in the dead time, no common dead time", second_pulse(0.3), 0.99),
    Case("second pulse in the dead time", second_pulse(0.3), 0.0, most_keys=1.0, dead_time_ps=DEAD_PS),
    Case("one detector silent", without([1]), 1.0),
    Case("one detector stuck on", stuck_on(0), 1.0),
    Case("one detector at half efficiency", of(Light(efficiency=(1.0, 0.5, 1.0, 1.0))), 0.99),
    Case("one detector at 70 % efficiency", of(Light(efficiency=(1.0, 0.7, 1.0, 1.0))), 0.99),
    Case("one detector at 90 % efficiency", of(Light(efficiency=(1.0, 0.9, 1.0, 1.0))), 0.0, most_keys=1.0),
    Case("rate lowered to 1 %", of(Light(photons=1_000)), 1.0),
    Case("rate and darks lowered to 1 %", of(Light(photons=1_000, floor_hz=200.0)), 1.0),
)


def named(name: str) -> Case:
    """Return a case."""
    return next(case for case in CASES if case.name == name)
