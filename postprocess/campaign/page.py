"""Figures and HTML page of a campaign: error rates and key rates over time, and their Allan deviations.

The same runs and configuration give the same bytes, whoever did the work. Nothing of a key is in them.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from faintlink.postprocess.campaign.trends import Row
from faintlink.postprocess.report import style
from faintlink.postprocess.report.html import document
from faintlink.postprocess.report.markup import Markup, join, pairs, single, table, tag
from faintlink.postprocess.report.style import DARK, Theme
from faintlink.postprocess.report.summary import MISSING, figure, per_second, percent, plural, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from matplotlib.axes import Axes

    Draw: TypeAlias = "Callable[[Axes, Theme, Campaign], None]"

Curves: TypeAlias = Mapping[str, Mapping[str, Mapping[str, list[float]]]]
"""Allan deviations by run and by quantity, as `allan.AllanCurve.to_dict` gives them."""
Campaign: TypeAlias = "tuple[Sequence[Row], Curves]"
NOT_STORED: Final = (
    "The keys of a campaign protect nothing and were not kept: their random bits follow from run and configuration."
)
_INCHES = (7.2, 4.4)
_MOST_RUNS = 400
_CAPTIONS: Final = {
    "qber": "QBER: error rates of both bases of each run with their 95 % Clopper-Pearson interval.",
    "key-rate": "Key rate: secret bits per second of each run; runs without key stand at zero.",
    "allan-qber": "Allan deviation of the QBER: overlapping, within each run (NIST SP 1065, equation 11).",
    "allan-clock": "Allan deviation of the clock: the sender's frequency against the receiver's, within each run.",
}


def figures(campaign: "Campaign", theme: Theme) -> dict[str, bytes]:
    """Return the figures of a campaign as PNG, by name; that of the clock only where it was followed."""
    drawn: dict[str, Draw] = {"qber": _qber, "key-rate": _key_rate, "allan-qber": _allan_qber}
    if any("clock" in curves for curves in campaign[1].values()):
        drawn["allan-clock"] = _allan_clock
    return {name: _png(draw, campaign, theme) for name, draw in drawn.items()}


def page(campaign: "Campaign", about: Mapping[str, Any], light: Mapping[str, bytes]) -> str:
    """Return the HTML page of a campaign; ``light`` are its `figures` for light screens."""
    rows, _ = campaign
    dark = figures(campaign, DARK) if light else {}
    failed = [row for row in rows if row.error]
    head = f"{plural(len(rows) - len(failed), 'run')} analysed, {len(failed)} failed"
    return document(
        "campaign",
        join(
            [
                tag("h1", "Campaign"),
                tag("p", head, class_="result"),
                tag("p", NOT_STORED, class_="faint"),
                *(_figure(_CAPTIONS[name], light[name], dark[name]) for name in light),
                tag("h2", "Runs"),
                _runs([row for row in rows if not row.error]),
                tag("h2", "Failures"),
                table(["run", "error", "message"], [[row.name, row.error, row.message] for row in failed]),
                tag("h2", "Configuration"),
                pairs((name, _words(value)) for name, value in about.items()),
            ]
        ),
    )


def _runs(rows: Sequence[Row]) -> Markup:
    names = ["run", "recorded", "QBER key#", "QBER test#", "key bits#", "key rate#", "blocks#", "refused#", "refusals"]
    cells = [
        [
            row.run_id or row.name,
            row.created_utc or MISSING,
            MISSING if row.qber_key is None else percent(row.qber_key),
            MISSING if row.qber_test is None else percent(row.qber_test),
            whole(row.key_bits or 0),
            MISSING if row.key_rate_hz is None else per_second(row.key_rate_hz, "bit"),
            figure(row.blocks),
            figure(row.blocks_refused),
            row.refusals,
        ]
        for row in rows
    ]
    marked = frozenset(at for at, row in enumerate(rows) if row.blocks_refused)
    return table(names, cells, marked=marked)


def _words(value: Any) -> str:
    return ", ".join(f"{name} = {one}" for name, one in value.items()) if isinstance(value, Mapping) else str(value)


def _figure(caption: str, light: bytes, dark: bytes) -> Markup:
    day, night = (f"data:image/png;base64,{b64encode(data).decode()}" for data in (light, dark))
    source = single("source", media="(prefers-color-scheme: dark)", srcset=night)
    picture = tag("div", tag("picture", source, single("img", src=day, alt=caption)), class_="scroll")
    return tag("figure", join((picture, tag("figcaption", caption))))


def _png(draw: "Draw", campaign: "Campaign", theme: Theme) -> bytes:
    from matplotlib.figure import Figure

    with style.drawing(theme):
        canvas = Figure(figsize=_INCHES, dpi=150, layout="constrained")
        draw(canvas.add_subplot(), theme, campaign)
        return style.png(canvas)


def _timed(rows: Sequence[Row]) -> "list[tuple[datetime, Row]]":
    return [(row.time, row) for row in rows if row.time is not None and not row.error]


def _qber(axes: "Axes", theme: Theme, campaign: "Campaign") -> None:
    style.title(axes, "QBER by run, 95 % interval", above_legend=True)
    shown = False
    for basis, color, mark in (("key", theme.z, "o"), ("test", theme.x, "s")):
        seen = [(time, row) for time, row in _timed(campaign[0]) if getattr(row, f"qber_{basis}") is not None]
        if not seen:
            continue
        rate, low, high = (
            [100 * getattr(row, f"qber_{basis}{end}") for _, row in seen] for end in ("", "_low", "_high")
        )
        reach = [
            [value - end for value, end in zip(rate, low, strict=True)],
            [end - value for value, end in zip(rate, high, strict=True)],
        ]
        times = [time for time, _ in seen]
        axes.errorbar(times, rate, reach, fmt=mark, ms=4, capsize=2, color=color, label=f"{basis} basis")  # type: ignore[arg-type]  # matplotlib takes datetimes, its stubs do not say so
        shown = True
    if not shown:
        style.say_empty(axes, "no sifted bits to compare", theme)
        return
    axes.set_ylabel("QBER / %")
    _time_axis(axes)
    style.legend_above(axes, 2)


def _key_rate(axes: "Axes", theme: Theme, campaign: "Campaign") -> None:
    style.title(axes, "Key rate by run")
    seen = [(time, row.key_rate_hz) for time, row in _timed(campaign[0]) if row.key_rate_hz is not None]
    if not seen:
        style.say_empty(axes, "no run was analysed", theme)
        return
    times, rates = zip(*seen, strict=True)
    axes.plot(times, rates, "o", ms=4, color=theme.good)
    axes.set_ylim(0.0, 1.1 * max(rates) or 1.0)
    axes.set_ylabel("key rate / bit/s")
    _time_axis(axes)


def _allan_qber(axes: "Axes", theme: Theme, campaign: "Campaign") -> None:
    style.title(axes, "Overlapping Allan deviation of the QBER", above_legend=True)
    named = (("qber_key", "key basis", theme.z, "-"), ("qber_test", "test basis", theme.x, "--"))
    _curves(axes, theme, campaign[1], named)


def _allan_clock(axes: "Axes", theme: Theme, campaign: "Campaign") -> None:
    style.title(axes, "Overlapping Allan deviation of the clock", above_legend=True)
    _curves(axes, theme, campaign[1], (("clock", "sender against receiver", theme.z, "-"),))


def _curves(axes: "Axes", theme: Theme, curves: Curves, named: Sequence[tuple[str, str, str, str]]) -> None:
    # A faint line a run: a thousand runs make a cloud, in which the odd one shows.
    alpha = max(0.15, min(0.9, 8.0 / max(len(curves), 1)))
    shown = False
    for name, label, color, dashes in named:
        first = label
        for by_name in list(curves.values())[:_MOST_RUNS]:
            curve = by_name.get(name, {"tau_s": [], "deviation": []})
            points = [(t, d) for t, d in zip(curve["tau_s"], curve["deviation"], strict=True) if d > 0.0]
            if points:
                taus, deviations = zip(*points, strict=True)
                axes.plot(taus, deviations, dashes, marker=".", lw=1.1, alpha=alpha, color=color, label=first)
                first, shown = "", True
    if not shown:
        style.say_empty(axes, "no run is long enough", theme)
        return
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("averaging time / s")
    axes.set_ylabel("deviation")
    style.legend_above(axes, 2)


def _time_axis(axes: "Axes") -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel("start of the recording, UTC")
