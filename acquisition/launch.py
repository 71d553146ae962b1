"""Put a run together from a link file: station, live analysis, texts and folder.

Used by the commands, and by scripts through `faintlink.acquisition.scripting`. A library user who has a station and
an analysis of his own builds a `Run` instead.
"""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from faintlink.acquisition.analysis import LiveAnalysis
from faintlink.acquisition.calibration.in_force import CONTEXT, MAX_AGE_S, load_in_force
from faintlink.acquisition.knobs import turn
from faintlink.acquisition.live.toolkit import require_window
from faintlink.acquisition.parties import draw_squash_seeds
from faintlink.acquisition.preflight import Station
from faintlink.acquisition.report import RunReport
from faintlink.acquisition.run import EXPECTED_RATE_HZ, Progress, Run
from faintlink.acquisition.statistics.companions import Companions
from faintlink.acquisition.statistics.publishing import require_free
from faintlink.acquisition.statistics.running import RunStatistics
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import parse_link
from faintlink.core.errors import ConfigError
from faintlink.core.runfile.folder import SIMULATION
from faintlink.core.symbols import Party
from faintlink.postprocess.qkd.live import OnPiece, live_analysis


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
    publish: str = "",
    window: bool = False,
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
    publish
        Address at which to publish statistics, such as ``tcp://127.0.0.1:5599``; empty for none.
    window
        Whether to show the live view.

    Raises
    ------
    ConfigError
        A file is wrong, link and station do not fit, or the calibration is missing or too old.
    FaintlinkError
        As `Run.execute`.
    """
    if publish:
        require_free(publish)
    if window:
        require_window()
    from faintlink.instruments.station import open_station

    plan = plan_run(link_file, calibration=calibration, max_age_s=max_age_s)
    companions = Companions(plan.link, publish=publish, window=window)
    with open_station(plan.station_file) as station, terminate_as_interrupt():
        turn(station, settings or {})
        with (
            new_run(plan, station, out, expected_rate_hz=expected_rate_hz, statistics=companions.statistics) as run,
            companions,
        ):
            return run.execute(duration_s, companions.beside(run.folder, progress))


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A link file as a run of it goes by."""

    path: Path
    """The link file."""
    text: str
    """What the run's files carry of it, with the gate of a calibration where there is one."""
    link: LinkConfig
    """What the text says."""
    texts: Mapping[str, str]
    """Further texts for the run's files, by name."""

    @property
    def station_file(self) -> Path:
        """The station file, beside the link file."""
        return self.path.parent / self.link.station

    def context(self, station: Station) -> dict[str, str]:
        """Return the texts for the files of a run on an open station, by name."""
        return {
            **self.texts,
            "link": self.text,
            "station": self.station_file.read_text(encoding="utf-8"),
            "origin": origin(station.snapshot()),
        }


def plan_run(link_file: Path, *, calibration: Path | None = None, max_age_s: float = MAX_AGE_S) -> RunPlan:
    """Read a link file, and the calibration to go by.

    Raises
    ------
    ConfigError
        The file is wrong or names no station, or the calibration is missing or too old.
    """
    text, link = parse_link(link_file)
    if not link.station:
        raise ConfigError(
            f"{link_file} names no station", hint="a run needs instruments: add `station: FILE.station.yaml`"
        )
    if calibration is None:
        return RunPlan(link_file, text, link, {})
    in_force = load_in_force(calibration, link, max_age_s=max_age_s)
    text, link = in_force.applied_to(text, str(link_file))
    return RunPlan(link_file, text, link, {CONTEXT: in_force.as_text()})


def new_run(
    plan: RunPlan,
    station: Station,
    out: Path | None = None,
    *,
    expected_rate_hz: float = EXPECTED_RATE_HZ,
    statistics: RunStatistics | None = None,
) -> Run:
    """Return a run of a plan on an open station; arguments as for `take_run`, ``statistics`` as for `Run`.

    Raises
    ------
    ConfigError
        The link is one of a blind computation, whose runs end with their rounds and not after a time.
    """
    if plan.link.bqc is not None:
        raise ConfigError(
            f"link {plan.link.name} computes blindly: its runs end with their rounds, not after a time",
            hint="use `faintlink bqc`, or faintlink.acquisition.bqc_run.take_bqc_run",
        )
    seeds = draw_squash_seeds(plan.link)
    return Run(
        plan.link,
        station,
        out or default_folder(plan.link),
        analysis=_analysis(plan.link, seeds, on_piece=statistics.add_piece if statistics is not None else None),
        context=plan.context(station),
        squash_seeds=seeds,
        expected_rate_hz=expected_rate_hz,
        statistics=statistics,
    )


def _analysis(link: LinkConfig, seeds: Mapping[Party, bytes], *, on_piece: OnPiece | None) -> LiveAnalysis:
    """Return the live analysis of a link; it also says of which slots the sender is asked."""
    if link.money is not None:
        # A card is made of all that was sent, detected or not.
        from faintlink.postprocess.money.live import CardLive

        return CardLive(link, seeds[Party.BOB], pulses=link.money.pulses, on_piece=on_piece)
    return live_analysis(link, seeds, on_piece=on_piece)


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
