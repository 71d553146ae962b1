"""The states of a bring-up, and the steps that lead from one to the next.

Each step is one calibration routine. What a step needs, how long its record is good and where to go back to when it
fails stands in the tables here, and nowhere else; nothing here touches an instrument. Used by `machine` and by
``faintlink up`` and ``faintlink status``.

The ages are a choice: phases and polarization follow the temperature of fibre and room within hours, everything else
within days. What a run accepts is `faintlink.acquisition.calibration.in_force.MAX_AGE_S`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from faintlink.acquisition.calibration.bring_up import ADVISORY, ATTEMPTS, ROUTINES, routines_of
from faintlink.acquisition.calibration.in_force import MAX_AGE_S
from faintlink.core.config.link import LinkConfig
from faintlink.core.errors import ConfigError
from faintlink.instruments.calibration.lab import Lab


class State(StrEnum):
    """How far a link is brought up."""

    OFF = "OFF"
    """Nothing is connected."""
    CONNECTED = "CONNECTED"
    """Every instrument answers, and link and station describe the same table."""
    DARK_CHECKED = "DARK_CHECKED"
    """The detectors' counts without light are known."""
    LIGHT_FOUND = "LIGHT_FOUND"
    """The laser is on and the detectors see it."""
    GATED = "GATED"
    """The detectors' gates are open when light comes."""
    BALANCED = "BALANCED"
    """Bright pulses are as bright as they should be, and dark ones dark."""
    ALIGNED = "ALIGNED"
    """Sender and receiver agree on phases or polarization."""
    TIMED = "TIMED"
    """Clock, frame and gate, or the coincidence peak, are found."""
    HERALDED = "HERALDED"
    """The efficiency of both arms of a pair link is known."""
    CHARACTERIZED = "CHARACTERIZED"
    """Detectors and interferometers are characterised; this stops nothing."""
    READY = "READY"
    """The error rate is what the policy allows: a run can be taken."""
    FAILED = "FAILED"
    """A step did not pass; the light is off and the steps before it hold."""
    INTERRUPTED = "INTERRUPTED"
    """The operator or a crash ended it; the next one goes on from there."""


REACHES: Mapping[str, State] = {
    "dark_counts": State.DARK_CHECKED,
    "laser": State.LIGHT_FOUND,
    "gate_delay": State.GATED,
    "intensity_bias": State.BALANCED,
    "attenuation": State.BALANCED,
    "photon_number": State.BALANCED,
    "delay_line": State.ALIGNED,
    "receiver_phase": State.ALIGNED,
    "sender_phase": State.ALIGNED,
    "polarization_drive": State.ALIGNED,
    "polarization": State.ALIGNED,
    "arrival": State.TIMED,
    "efficiency_ratio": State.CHARACTERIZED,
    "detector_gaps": State.CHARACTERIZED,
    "visibility": State.CHARACTERIZED,
    "qber": State.READY,
    "pair_window": State.TIMED,
    "pair_level": State.BALANCED,
    "heralding": State.HERALDED,
    "pair_polarization": State.ALIGNED,
    "pair_qber": State.READY,
}
"""The state that a routine leads to, once all routines that lead there have passed."""
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "gate_delay": ("laser",),
    "intensity_bias": ("laser", "gate_delay"),
    "attenuation": ("intensity_bias",),
    "photon_number": ("intensity_bias",),
    "delay_line": ("intensity_bias", "gate_delay"),
    "receiver_phase": ("intensity_bias", "delay_line"),
    "sender_phase": ("delay_line", "receiver_phase"),
    "polarization_drive": ("intensity_bias",),
    "polarization": ("polarization_drive",),
    "arrival": ("gate_delay", "intensity_bias"),
    "efficiency_ratio": ("sender_phase", "polarization"),
    "visibility": ("sender_phase",),
    "qber": ("attenuation", "photon_number", "sender_phase", "polarization", "arrival"),
    "pair_level": ("pair_window",),
    "heralding": ("pair_window", "pair_level"),
    "pair_polarization": ("pair_window", "pair_level"),
    "pair_qber": ("pair_level", "pair_polarization"),
}
"""Routines whose records must hold, and be older, for a record to be worth anything."""
_FALLS_BACK: Mapping[str, tuple[str, ...]] = {
    "arrival": ("gate_delay",),
    "qber": ("sender_phase", "polarization"),
    "pair_qber": ("pair_polarization",),
}
"""The step to take again when one fails, the first that the link has."""
_WANDERS_S = 4 * 3600.0
_AGES_S: Mapping[str, float] = dict.fromkeys(
    ("sender_phase", "polarization", "visibility", "qber", "pair_polarization", "pair_qber"), _WANDERS_S
)


@dataclass(frozen=True, slots=True)
class Step:
    """One calibration of a bring-up."""

    routine: str
    """Its name."""
    reaches: State
    """The state that it leads to."""
    needs: tuple[str, ...] = ()
    """Steps whose records must hold before it."""
    max_age_s: float = MAX_AGE_S
    """How long its record is good."""
    timeout_s: float = 120.0
    """How long it may take."""
    attempts: int = ATTEMPTS
    """How often it is tried."""
    is_advisory: bool = False
    """Whether the bring-up goes on without it."""
    falls_back_to: str = ""
    """The step to take again, once, before its failure is final; empty for none."""


def steps_of(
    names: Sequence[str], *, max_age_s: float | None = None, timeout_s: float | None = None
) -> tuple[Step, ...]:
    """Return the steps of a bring-up.

    Parameters
    ----------
    names
        Routines in order, as `routines_of` chooses them.
    max_age_s
        Greatest age of any record; the shorter of this and the step's own is used.
    timeout_s
        Time for each step; the routine's own by default.
    """
    own_s = {name: _AGES_S.get(name, MAX_AGE_S) for name in names}
    return tuple(
        Step(
            routine=name,
            reaches=REACHES[name],
            needs=tuple(need for need in _NEEDS.get(name, ()) if need in names),
            max_age_s=own_s[name] if max_age_s is None else min(own_s[name], max_age_s),
            timeout_s=timeout_s or ROUTINES[name].timeout_s,
            is_advisory=name in ADVISORY,
            falls_back_to=next((other for other in _FALLS_BACK.get(name, ()) if other in names), ""),
        )
        for name in names
    )


def steps_of_link(
    link: LinkConfig,
    options: Mapping[str, float] | None = None,
    *,
    max_age_s: float | None = None,
    timeout_s: float | None = None,
) -> tuple[Step, ...]:
    """Return the steps that the roles of a link file allow, without opening an instrument.

    Raises
    ------
    ConfigError
        The link binds no roles that a bring-up could work on.
    """
    on_paper = Lab(link, dict(link.roles), dict(link.roles), None, dict)
    names = routines_of(on_paper, options or {})
    if not any(REACHES[name] is State.READY for name in names):
        raise ConfigError(
            f"link {link.name} has nothing to bring up: it binds {', '.join(link.roles) or 'no roles'}",
            hint="bind `sender` or `pair_source` under `roles` of the link file; take other runs with `faintlink run`",
        )
    return steps_of(names, max_age_s=max_age_s, timeout_s=timeout_s)


def state_named(name: str, steps: Sequence[Step]) -> State:
    """Return the state of a name that the steps lead to.

    Raises
    ------
    ConfigError
        They lead to no such state.
    """
    offered = list(dict.fromkeys(step.reaches for step in steps))
    for state in offered:
        if state.value == name.strip().upper().replace("-", "_"):
            return state
    raise ConfigError(f"this bring-up has no state {name!r}", hint=f"its states are {', '.join(offered)}")
