"""``faintlink plan``: the settings of a link that give the most key, before it is built.

It knows a link by a model, not by its data: expected counts are put into the same bounds that make keys. It makes
no key and reads no run file.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from faintlink.core.config.link import LinkConfig
    from faintlink.postprocess.security import planning
    from faintlink.postprocess.security.decoy import LinkModel
    from faintlink.postprocess.security.planning import PlannedPoint

MOST_DISTANCES = 200
_DECOY = ("rusca2018", "lim2014", "tupkary2024", "asymptotic")
_PAIRS = ("tomamichel2012",)
_DEFAULT_SWEEP = "0:150:16"
_DEFAULT_GATE_PS = 1000.0

EPILOG = """\b
Without LINK: faintlink plan --loss 20 --bound rusca2018
With LINK, its pulse rate, gate, dead time, epsilons, bound and block are
taken; options given here win.
The bound asymptotic is not secure for finite blocks and makes no key.
"""


class Distances(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.2 on only
    """A distance in km, or A:B:N for N distances from A to B."""

    name = "A:B:N"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the distances."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(":")
        if len(parts) == 1:
            return (self._number(parts[0], param, ctx),)
        if len(parts) != 3 or not parts[2].isdecimal():
            self.fail(f"{value!r} is neither a distance nor A:B:N", param, ctx)
        first, last, count = self._number(parts[0], param, ctx), self._number(parts[1], param, ctx), int(parts[2])
        if not (first < last and 2 <= count <= MOST_DISTANCES):
            self.fail(f"need A < B and N in 2..{MOST_DISTANCES}, got {value!r}", param, ctx)
        return tuple(first + (last - first) * k / (count - 1) for k in range(count))

    def _number(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            distance = float(text)
        except ValueError:
            distance = -1.0
        if not 0.0 <= distance < math.inf:
            self.fail(f"{text!r} is no distance in km", param, ctx)
        return distance


@click.command(epilog=EPILOG)
@click.argument("link", required=False, type=click.Path(path_type=Path))
@click.option("--loss", "loss_db", type=click.FloatRange(min=0.0), help="Loss of the channel in dB, detector excluded.")
@click.option("--distance-km", type=Distances(), help=f"Distances in km; default with LINK: {_DEFAULT_SWEEP}.")
@click.option("--db-per-km", type=click.FloatRange(min=0.0), default=0.2, show_default=True, help="Loss of the fibre.")
@click.option("--bound", "bounds", multiple=True, help="Name of a bound; may be given more than once.")
@click.option("--efficiency", type=click.FloatRange(0.0, 1.0, min_open=True), default=0.5, show_default=True)
@click.option("--dark-hz", type=click.FloatRange(min=0.0), default=100.0, show_default=True, help="Of one detector.")
@click.option("--gate-ps", type=click.FloatRange(min=0.0), help="Width of the gate; default: the link's, or 1000.")
@click.option("--dead-time-ns", type=click.FloatRange(min=0.0), help="Default: the link's, or 100.")
@click.option("--misalignment", type=click.FloatRange(0.0, 0.5), default=0.01, show_default=True)
@click.option("--rate-hz", type=click.FloatRange(min=0.0, min_open=True), help="Pulses per second; default 1e9.")
@click.option("--f-ec", type=click.FloatRange(min=1.0), default=1.16, show_default=True, help="Reconciliation.")
@click.option("--block-s", type=click.FloatRange(min=0.0, min_open=True), help="Default: the link's, or the best.")
@click.option("--eps-sec", type=click.FloatRange(0.0, 0.1, min_open=True), help="Default: the link's, or 1e-9.")
@click.option("--eps-cor", type=click.FloatRange(0.0, 0.1, min_open=True), help="Default: the link's, or 1e-15.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--out", type=click.Path(path_type=Path), help="Draw the key rate into this new PNG file.")
def plan(
    link: Path | None,
    loss_db: float | None,
    distance_km: tuple[float, ...] | None,
    db_per_km: float,
    bounds: tuple[str, ...],
    *,
    as_json: bool,
    out: Path | None,
    **choices: float | None,
) -> None:
    """Find the intensities, probabilities, basis choice and block that give the most key.

    Give LINK, a link file, or --loss, or --distance-km. Without --bound all bounds that fit are compared.
    """
    from faintlink.core.config.loader import load_link

    if loss_db is not None and distance_km is not None:
        raise click.UsageError("give --loss or --distance-km, not both")
    if link is None and loss_db is None and distance_km is None:
        raise click.UsageError("give a LINK file, --loss or --distance-km")
    config = load_link(link) if link is not None else None
    if loss_db is None and distance_km is None:
        distance_km = Distances().convert(_DEFAULT_SWEEP, None, None)
    losses = [loss_db] if loss_db is not None else [km * db_per_km for km in distance_km or ()]
    chosen = bounds or _fitting(config)
    curves = {name: _sweep(name, losses, config, choices) for name in chosen}
    now = _present(losses, config, choices)
    if as_json:
        _print_json(curves, now, distance_km)
    else:
        _print_table(curves, now, distance_km)
    if out is not None:
        _draw(out, curves, distance_km)


def _fitting(config: "LinkConfig | None") -> tuple[str, ...]:
    """Return the bounds to compare, that of the link first."""
    if config is None:
        return (*_DECOY, *_PAIRS)
    family = _DECOY if config.source is not None else _PAIRS
    return tuple(dict.fromkeys((config.security.bound, *family)))


def _model(loss_db: float, config: "LinkConfig | None", choices: dict[str, float | None]) -> "LinkModel":
    from faintlink.postprocess.security.decoy import LinkModel

    rate_hz, gate_ps, dead_ps = 1e9, _DEFAULT_GATE_PS, 100_000.0
    if config is not None:
        dead_ps = float(max(receiver.dead_time_ps for receiver in config.receivers.values()))
        if config.source is not None:
            rate_hz, gate_ps = config.source.pulse_rate_hz, 2.0 * config.gate.half_width_ps
        elif config.pairs is not None:
            rate_hz, gate_ps = 1e12 / config.pairs.window_ps, float(config.pairs.window_ps)
    gate_ps = _given(choices, "gate_ps", gate_ps)
    dead_ns = choices["dead_time_ns"]
    return LinkModel(
        loss_db,
        detector_efficiency=_given(choices, "efficiency", 0.5),
        # Either detector of a basis may fire.
        dark_count_probability=2.0 * _given(choices, "dark_hz", 100.0) * gate_ps * 1e-12,
        error_probability=_given(choices, "misalignment", 0.01),
        pulse_rate_hz=_given(choices, "rate_hz", rate_hz),
        dead_time_ps=dead_ps if dead_ns is None else 1e3 * dead_ns,
        f_ec=_given(choices, "f_ec", 1.16),
    )


def _given(choices: dict[str, float | None], name: str, otherwise: float) -> float:
    value = choices[name]
    return otherwise if value is None else value


def _sweep(
    name: str, losses: Sequence[float], config: "LinkConfig | None", choices: dict[str, float | None]
) -> "list[PlannedPoint]":
    from faintlink.postprocess.security import planning

    goal, block_s = _goal(name, config, choices), _block_s(config, choices)
    points: list[PlannedPoint] = []
    for loss_db in losses:
        near = points[-1].choice if points and points[-1].result.length else None
        points.append(planning.plan(name, _model(loss_db, config, choices), goal, block_s=block_s, near=near))
    return points


def _goal(name: str, config: "LinkConfig | None", choices: dict[str, float | None]) -> "planning.Goal":
    from faintlink.postprocess.security import planning

    policy = config.security if config is not None else None
    return planning.Goal(
        _given(choices, "eps_sec", policy.eps_sec if policy else 1e-9),
        _given(choices, "eps_cor", policy.eps_cor if policy else 1e-15),
        policy.options if policy is not None and policy.bound == name else {},
    )


def _block_s(config: "LinkConfig | None", choices: dict[str, float | None]) -> float | None:
    if choices["block_s"] is not None or config is None:
        return choices["block_s"]
    return config.security.block_s


def _present(
    losses: Sequence[float], config: "LinkConfig | None", choices: dict[str, float | None]
) -> "list[PlannedPoint]":
    """Return what the link's present settings give with its own bound; nothing for a pair source."""
    from faintlink.postprocess.security import planning

    if config is None or config.source is None:
        return []
    name, source = config.security.bound, config.source
    goal, block_s = _goal(name, config, choices), _block_s(config, choices) or config.security.block_s
    return [
        planning.as_configured(
            name,
            _model(loss_db, config, choices),
            goal,
            block_s=block_s,
            p_key=source.key_basis_probability,
            mu=source.intensities,
            p=source.probabilities,
        )
        for loss_db in losses
    ]


def _print_json(
    curves: "dict[str, list[PlannedPoint]]", now: "list[PlannedPoint]", distance_km: tuple[float, ...] | None
) -> None:
    import json

    from faintlink.postprocess.security import registry

    planned = [
        {"bound": name, "kind": str(registry.get(name).kind), "points": _objects(points, distance_km)}
        for name, points in curves.items()
    ]
    click.echo(json.dumps({"planned": planned, "present": _objects(now, distance_km)}))


def _objects(points: "list[PlannedPoint]", distance_km: tuple[float, ...] | None) -> list[dict[str, object]]:
    distances: Sequence[float | None] = distance_km or [None] * len(points)
    return [
        {
            "distance_km": km,
            "loss_db": point.loss_db,
            "block_s": point.block_s if math.isfinite(point.block_s) else None,
            "settings": point.settings if point.result.length else None,
            "n_key": point.inputs.counts.key.bits,
            "qber": point.qber,
            "length": point.result.length,
            "key_rate_bps": point.key_rate_bps,
            "refusal": point.result.refusal,
        }
        for km, point in zip(distances, points, strict=False)
    ]


def _print_table(
    curves: "dict[str, list[PlannedPoint]]", now: "list[PlannedPoint]", distance_km: tuple[float, ...] | None
) -> None:
    from rich.console import Console
    from rich.table import Table

    from faintlink.postprocess.security import registry

    console = Console(highlight=False)
    tables = [(f"{name} ({registry.get(name).kind})", points) for name, points in curves.items()]
    for title, points in [*tables, *([("settings of the link file, its own bound", now)] if now else [])]:
        table = Table(title=title, title_justify="left")
        for column in ("km", "dB", "block s", "QBER", "settings", "bit/s"):
            table.add_column(column, justify="left" if column == "settings" else "right", no_wrap=column != "settings")
        for km, point in zip(distance_km or [math.nan] * len(points), points, strict=True):
            table.add_row(*_row(km, point))
        console.print(table)
    for name in curves:
        if registry.get(name).kind == "planning":
            console.print(f"{name}: not secure for finite blocks; makes no key", soft_wrap=True)


def _row(km: float, point: "PlannedPoint") -> tuple[str, ...]:
    distance, loss, block = "" if math.isnan(km) else f"{km:.4g}", f"{point.loss_db:.4g}", f"{point.block_s:g}"
    if not point.result.length:
        # Where nothing gives key the search ends anywhere.
        return distance, loss, block, "", "", "no key"
    settings = " ".join(f"{name}={value:.3g}" for name, value in point.settings.items())
    return distance, loss, block, f"{point.qber:.2%}", settings, f"{point.key_rate_bps:.4g}"


def _draw(out: Path, curves: "dict[str, list[PlannedPoint]]", distance_km: tuple[float, ...] | None) -> None:
    from faintlink.postprocess.report.files import write_new
    from faintlink.postprocess.report.rates import Curve, rates_png
    from faintlink.postprocess.security import registry

    drawn = []
    for name, points in curves.items():
        x = distance_km or tuple(point.loss_db for point in points)
        kind = registry.get(name).kind
        label = f"{name} ({kind})" if kind != "planning" else f"{name} (not secure for finite blocks)"
        drawn.append(Curve(label, x, tuple(point.key_rate_bps for point in points)))
    x_label = "distance (km)" if distance_km else "loss of the channel (dB)"
    write_new(out, rates_png(drawn, title="Planned key rate", x_label=x_label, y_label="secret bits per second"))
