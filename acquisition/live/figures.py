"""The figures that are read from afar, as words; the same in the window and on a terminal."""

import math
from dataclasses import dataclass

from faintlink.acquisition.live.model import ALARM, RECENT_S, LiveModel, estimate
from faintlink.acquisition.statistics.snapshot import PLANNED
from faintlink.core.records import ErrorCount

_STEPS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Figure:
    """One large figure."""

    title: str
    text: str
    note: str = ""
    """Smaller, below."""
    is_alarm: bool = False
    """Whether somebody must look."""
    is_good: bool = False
    """Whether it is as it should be."""


def figures(model: LiveModel) -> list[Figure]:
    """Return the figures of the moment that is shown."""
    now, recent = model.current, model.recent()
    return [
        _qber(model, "QBER key", recent.counts.key),
        _qber(model, "QBER test", recent.counts.test),
        _rate(model),
        _key(model),
        _pool(model),
        _clock(model),
        _losses(model),
        _run(model, now.elapsed_s),
    ]


def _qber(model: LiveModel, title: str, count: ErrorCount) -> Figure:
    seen = estimate(count)
    if seen is None:
        return Figure(title, "-", "nothing compared")
    alarm = ALARM * model.max_qber
    note = f"{100 * seen.low:.2f} to {100 * seen.high:.2f} %"
    return Figure(title, f"{100 * seen.rate:.2f} %", note, is_alarm=seen.rate > alarm, is_good=seen.high <= alarm)


def _rate(model: LiveModel) -> Figure:
    rates = model.rates_hz()
    return Figure("Count rate", f"{scaled(sum(rates.values()))}/s", f"{scaled(model.current.tags)} tags")


def _key(model: LiveModel) -> Figure:
    bps = model.current.key_rate_bps
    if bps is None:
        return Figure("Key rate", "-", "no forecast")
    note = f"forecast, {model.facts.bound}" if bps else "no key from such blocks"
    return Figure("Key rate", f"{scaled(bps)}bit/s", note, is_alarm=bps == 0.0, is_good=bps > 0.0)


def _pool(model: LiveModel) -> Figure:
    bits = model.current.pool_bits
    if bits is None:
        return Figure("Key pool", "-", "no store watched")
    return Figure("Key pool", f"{scaled(bits)}bit", "finished keys", is_alarm=bits == 0)


def _clock(model: LiveModel) -> Figure:
    now = model.current
    is_lost = "lost" in now.state or now.state.startswith("no error rates")
    if now.clock_ppm is None:
        return Figure("Clock", "-", shortened(now.state, 30), is_alarm=is_lost)
    drift = model.drift_ppb_per_s()
    note = "drift unknown yet" if drift is None else f"drift {round(drift, 2) + 0.0:+.2f} ppb/s"
    note = shortened(now.state, 30) if is_lost else note
    return Figure("Clock", f"{now.clock_ppm:+.3f} ppm", note, is_alarm=is_lost)


def _losses(model: LiveModel) -> Figure:
    now, last = model.current, model.stretch(RECENT_S)
    gaps, fresh = now.gaps_unplanned, bool(last.lost or last.gaps_unplanned)
    causes = ", ".join(cause for cause in now.gaps if cause != PLANNED)
    count = f"{gaps} gap{'s' if gaps != 1 else ''} ({causes})" if gaps else "no gaps"
    note = f"{scaled(last.lost).strip()} lost in {RECENT_S:.0f} s, {count}" if now.lost or gaps else "no gaps"
    return Figure("Lost tags", scaled(now.lost), note, is_alarm=fresh, is_good=not (now.lost or gaps))


def _run(model: LiveModel, elapsed_s: float) -> Figure:
    health = model.health()
    word = "held" if model.is_held and not model.is_replay else health.word
    text = shortened(health.text, 34)
    return Figure(f"Run, {clock_time(elapsed_s)}", word, text, is_alarm=health.is_alarm, is_good=word == "live")


def scaled(value: float) -> str:
    """Return a number with three digits and the letter of its power of a thousand, as ``1.23 M``."""
    if not math.isfinite(value):
        return "-"
    for size, letter in _STEPS:
        # What rounds to a thousand is one of the next.
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g} " if value != round(value) else f"{value:.0f} "


def clock_time(seconds: float) -> str:
    """Return a duration as ``0:12.3`` or ``1:02:03``."""
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}.{int(10 * (seconds - whole))}"


def shortened(text: str, most: int) -> str:
    """Return a text cut to ``most`` characters, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
