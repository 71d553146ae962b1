"""The monitored figures of a link: what they are, from where on they are an alarm, and which routine cures them.

Pure; used by `segments` and by tests. Every figure is told so that greater is worse. Visibility is watched through
the error rates of both bases, e = (1 - V) / 2.
"""

from collections.abc import Mapping, Sequence

from faintlink.acquisition.calibration.sifting import error_rate
from faintlink.acquisition.unattended.planner import Watched
from faintlink.core.config.link import LinkConfig
from faintlink.postprocess.qkd.live import LiveSummary

LOST_RATE = 0.5
"""Share of the first run's rate that may be lost before it is an alarm."""
_CURES: Mapping[str, tuple[str, ...]] = {
    "qber_key": ("sender_phase", "polarization", "pair_polarization", "receiver_phase", "intensity_bias", "arrival"),
    "qber_test": ("sender_phase", "polarization", "pair_polarization", "receiver_phase", "arrival"),
    "gate_offset_ps": ("arrival",),
    "lost_rate": ("gate_delay", "intensity_bias", "attenuation", "pair_level"),
}
_WANDERING = frozenset({"polarization", "pair_polarization"})
"""Routines that undo what a fibre does at random."""
_RATE_SIGMA = 0.01
"""Relative; light and detectors breathe by more than the counting statistics."""

Figures = Mapping[str, tuple[float, float]]


def watched_of(link: LinkConfig, routines: Sequence[str]) -> list[Watched]:
    """Return the monitored figures of a link.

    Parameters
    ----------
    link
        Its policy gives the alarm lines.
    routines
        That its roles allow.
    """
    alarms = {
        "qber_key": link.security.max_qber,
        "qber_test": link.security.max_qber,
        "gate_offset_ps": link.security.monitors.max_timing_skew_ps,
        "lost_rate": LOST_RATE,
    }
    watched = []
    for name, alarm in alarms.items():
        cures = tuple(cure for cure in _CURES[name] if cure in routines)
        wanders = name.startswith("qber") and not _WANDERING.isdisjoint(cures)
        watched.append(Watched(name, alarm, cures, wanders=wanders))
    return watched


def figures_of(live: LiveSummary, *, first_rate_hz: float | None, rate_hz: float) -> dict[str, tuple[float, float]]:
    """Return the figures of a run, each with its standard deviation.

    Parameters
    ----------
    live
        What the live analysis saw.
    first_rate_hz
        Rate of tags in the first run after the bring-up; None if this is the first.
    rate_hz
        Rate of tags in this run.
    """
    found = {}
    for name, count in (("qber_key", live.qber_key), ("qber_test", live.qber_test)):
        if count.bits:
            found[name] = error_rate(count.bits, count.errors)
    if first_rate_hz:
        found["lost_rate"] = (1.0 - rate_hz / first_rate_hz, _RATE_SIGMA)
    return found
