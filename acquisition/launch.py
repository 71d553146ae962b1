"""Put a run together from a link file: station, live analysis, texts and folder.

Used by the commands. A library user who has a station and an analysis of his own builds a `Run` instead.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from faintlink.acquisition.analysis import LiveAnalysis
from faintlink.acquisition.calibration.in_force import CONTEXT, MAX_AGE_S, load_in_force
from faintlink.acquisition.knobs import turn
from faintlink.acquisition.parties import draw_squash_seeds
from faintlink.acquisition.report import RunReport
from faintlink.acquisition.run import EXPECTED_RATE_HZ, Progress, Run
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_link
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.folder import SIMULATION
from faintlink.core.symbols import Party
from faintlink.postprocess.qkd.live import live_analysis


def take_run(
    link_file: Path,
    out: Path | None = None,
    *,
    duration_s: float | None = None,
    settings: Mapping[str, Any] | None = None,
    calibration: Path | None = None,
    max_age_s: float = MAX_AGE_S,
    expected_rate_hz: float = EXPECTED_RATE_HZ,
    progress: Progress | None = None,
) -> RunReport:
    """Take a run of the link in ``link_file`` on the station that it names.

    Parameters
    ----------
    link_file
        The link file; its station file lies beside it.
    out
        New run folder; one below ``runs/`` by default.
    duration_s
        Length on the receiver's clock; the link file's by default.
    settings
        Station parameters to set first, by name, such as ``alice_voa.attenuation``.
    calibration
        Folder of calibration records; the gate is that of the newest passed ones, and their figures go into the files.
    max_age_s
        Greatest age of a record.
    expected_rate_hz, progress
        As for `Run`.

    Raises
    ------
    ConfigError
        A file is wrong, link and station do not fit, or the calibration is missing or too old.
    FaintlinkError
        As `Run.execute`.
    """
    from faintlink.instruments.station import open_station

    text, link = parse_link(link_file)
    if not link.station:
        raise ConfigError(
            f"{link_file} names no station", hint="a run needs instruments: add `station: FILE.station.yaml`"
        )
    texts = {}
    if calibration is not None:
        in_force = load_in_force(calibration, link, max_age_s=max_age_s)
        text, link = in_force.applied_to(text, str(link_file))
        texts[CONTEXT] = in_force.as_text()
    station_file = link_file.parent / link.station
    seeds = draw_squash_seeds(link)
    with open_station(station_file) as station, terminate_as_interrupt():
        turn(station, settings or {})
        context = {
            **texts,
            "link": text,
            "station": station_file.read_text(encoding="utf-8"),
            "origin": origin(station.snapshot()),
        }
        with Run(
            link,
            station,
            out or default_folder(link),
            analysis=_analysis(link, seeds),
            context=context,
            squash_seeds=seeds,
            expected_rate_hz=expected_rate_hz,
        ) as run:
            return run.execute(duration_s, progress)


def _analysis(link: LinkConfig, seeds: Mapping[Party, bytes]) -> LiveAnalysis:
    """Return the live analysis of a link; it also says of which slots the sender is asked."""
    if link.money is not None:
        # A card is made of all that was sent, detected or not.
        from faintlink.postprocess.money.live import CardLive

        return CardLive(link, seeds[Party.BOB], pulses=link.money.pulses)
    return live_analysis(link, seeds)


def origin(snapshot: Mapping[str, Any]) -> str:
    """Return ``simulation`` if any instrument of a station's snapshot is a mock, else ``hardware``.

    A key from a simulation protects nothing; the word goes into the run files and to every key made of them.
    """
    kinds = [str(entry.get("__class__", "")) for entry in snapshot.get("instruments", {}).values()]
    return SIMULATION if any(".mocks." in kind for kind in kinds) else "hardware"


def default_folder(link: LinkConfig) -> Path:
    """Return where a run goes unless told otherwise."""
    return Path("runs") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{link.name}"


def in_words(report: RunReport) -> str:
    """Return a report as a person reads it."""
    live = report.live
    lines = [
        f"run {report.run_id} in {report.folder}" + (" (interrupted)" if report.interrupted else ""),
        f"  {report.tags} tags in {report.duration_s:.3f} s, {report.lost} lost in {report.gaps} gaps",
        f"  {report.settings} settings of the sender",
        f"  {', '.join(report.files)}: {report.bytes / 1e6:.1f} MB",
    ]
    for name, count in (("key", live.qber_key), ("test", live.qber_test)):
        if count.bits:
            lines.append(f"  QBER {name} basis {100 * count.rate:.3f} % ({count.errors} of {count.bits})")
    return "\n".join(lines + [f"  warning: {warning}" for warning in report.warnings])


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that a service that is stopped seals its run."""

    def on_terminate(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, on_terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
