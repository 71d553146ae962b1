"""The live view beside a run: what it costs the acquisition, how often it draws, how old is what it shows.

``python -m tests.benchmarks.bench_live [seconds per run [tags per second]]`` prints the rows. The viewer is the
window of 1920 x 1080 pixels, drawn without a screen, in a process of its own: told by the run, as with
``faintlink run --watch``, or following the growing files, as ``faintlink watch RUN`` does.
"""

import itertools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from faintlink.acquisition.run import Run
from faintlink.acquisition.statistics.companions import publisher_here
from faintlink.acquisition.statistics.running import RunStatistics
from faintlink.core.symbols import Party
from faintlink.postprocess.qkd.live import live_analysis
from tests.acquisition_fakes import FakeStation, FakeTagger
from tests.benchmarks.bench_acquisition import ReplaySender, ReplayStream, replay_link
from tests.benchmarks.harness import Row

RATE_HZ = 10e6
SECONDS = 20.0
WARM_S = 8.0
"""Start of a run that does not count: the viewer loads its kernels."""
_PATIENCE_S = 120.0


def view(folder: Path, out: Path, ready: Event, address: str) -> None:
    """Show a run until it is over and write (monotonic time, newest tag's time) of each frame as JSON.

    Parameters
    ----------
    folder, out
        Of the run, and the JSON file.
    ready
        Set as soon as the run is waited for.
    address
        Where the run publishes; its files are followed if empty.
    """
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    # As a viewer that `faintlink run --watch` starts.
    os.nice(5)
    from faintlink.acquisition.live.controls import Controls
    from faintlink.acquisition.live.feeds import open_feed
    from faintlink.acquisition.live.model import LiveModel
    from faintlink.acquisition.live.toolkit import load
    from faintlink.acquisition.live.window import LiveWindow

    kit = load()
    application = kit.pg.mkQApp()
    ready.set()
    while not (folder / "run.json").exists():
        time.sleep(0.01)
    frames: list[tuple[float, float]] = []
    model = LiveModel()
    with open_feed(str(folder), via=address) as feed:
        window = LiveWindow(feed, model, kit, scale=1.0)
        Controls(window, model, kit, save_to=out.parent)
        drawn = 0

        def note() -> None:
            # Called as a frame begins: by now the one before is on the screen.
            nonlocal drawn
            if window.frames != drawn:
                drawn = window.frames
                frames.append((time.monotonic(), shown[0]))
            shown[0] = model.history[-1].elapsed_s if model.history else 0.0
            if model.history and model.history[-1].is_over:
                application.quit()

        shown = [0.0]
        window.before_frame = note
        window.widget.resize(1920, 1080)
        window.widget.show()
        window.start()
        application.exec()
    out.write_text(json.dumps(frames), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    rate_hz: float
    """Tags kept per second."""
    lost: int
    late_s: float
    """Longest delay of a tag behind its moment: what a tagger's memory would have to bridge."""
    frames: list[tuple[float, float]]
    """Of the viewer, each with the age of the newest tag in it; none without one."""
    start_s: float
    """Moment of the run's first tag."""


def measure(rate_hz: float, seconds: float, *, has_viewer: bool, is_told: bool = False) -> Measured:
    """Take a run, with or without a viewer beside it, which is told by the run or follows its files."""
    link, sender = replay_link(seconds), ReplaySender()
    stream = ReplayStream(sender, rate_hz)
    lab = FakeStation(pattern=sender, tagger=FakeTagger(stream))
    told = RunStatistics(link) if is_told else None
    analysis = live_analysis(link, {Party.BOB: bytes(32)}, on_piece=told.add_piece if told else None)
    with tempfile.TemporaryDirectory() as place, publisher_here() as publisher:
        folder, out = Path(place) / "run", Path(place) / "frames.json"
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Event()
        viewer = spawn.Process(target=view, args=(folder, out, ready, publisher.address if told else ""), daemon=True)
        if has_viewer:
            viewer.start()
            ready.wait(_PATIENCE_S)
        context = {"link": link.model_dump_json()}
        if told:
            told.tell(publisher.send)
        with Run(link, lab, folder, analysis=analysis, context=context, statistics=told) as run:
            report = run.execute(progress=told.beat if told else None)
        if told:
            publisher.send_last(told.end())
        if has_viewer:
            viewer.join(_PATIENCE_S)
        frames = json.loads(out.read_text()) if out.exists() else []
    kept_hz = (report.tags - report.lost) / report.wall_s
    return Measured(kept_hz, report.lost, stream.late_s, [tuple(one) for one in frames], stream._since)


def ages_s(run: Measured) -> list[float]:
    """Return the time from a click to the first frame that shows it, for clicks spread evenly over the run."""
    ages: list[float] = []
    for (_, before), (drawn_s, newest) in itertools.pairwise(run.frames):
        if newest > before >= WARM_S:
            clicks = np.linspace(before, newest, 5, endpoint=False) + (newest - before) / 10
            ages += (drawn_s - run.start_s - clicks).tolist()
    return ages


def run(seconds: float = SECONDS, rate_hz: float = RATE_HZ) -> list[Row]:
    """Return the rows."""
    plain = measure(rate_hz, seconds, has_viewer=False)
    told = measure(rate_hz, seconds, has_viewer=True, is_told=True)
    again = measure(rate_hz, seconds, has_viewer=False)
    following = measure(rate_hz, seconds, has_viewer=True)
    size = f"at {rate_hz / 1e6:g} Mtags/s for {seconds:g} s"
    rows = []
    for seen, what in ((told, "told by the run"), (following, "following its files")):
        rows += [_beside(seen, (plain, again), f"{size}, viewer {what}"), *_seen(seen, f"{size}, viewer {what}")]
    return rows


def _beside(seen: Measured, alone: tuple[Measured, Measured], what: str) -> Row:
    without_hz = statistics.mean(one.rate_hz for one in alone)
    late = " and ".join(f"{1e3 * one.late_s:.0f}" for one in alone)
    return Row(
        f"acquire {what}, and without",
        seen.rate_hz / 1e6,
        without_hz / 1e6,
        "Mtags/s",
        "no viewer",
        "within 5 %",
        f"lost {seen.lost} and {sum(one.lost for one in alone)}; tagger read up to {1e3 * seen.late_s:.0f} ms late "
        f"with a viewer, {late} ms without",
    )


def _seen(seen: Measured, what: str) -> list[Row]:
    steady = [drawn for drawn, newest in seen.frames if newest >= WARM_S]
    fps = (len(steady) - 1) / (steady[-1] - steady[0]) if len(steady) > 1 else float("nan")
    ages = ages_s(seen)
    median_ms = 1e3 * statistics.median(ages) if ages else float("nan")
    worst_ms = 1e3 * float(np.quantile(ages, 0.95)) if ages else float("nan")
    note = f"median {median_ms:.0f} ms, 95 % {worst_ms:.0f} ms"
    return [
        Row(f"frames {what}", fps, 20.0, "frames/s", "asked", ">= 20", f"{len(steady)} frames"),
        Row(f"click to pixel {what}", 1e3 / median_ms, 4.0, "1/s", "asked", "median < 250 ms", note),
    ]


if __name__ == "__main__":
    for row in run(*map(float, sys.argv[1:])):
        print(f"{row.name}: {row.ours:.2f} {row.unit}, {row.peer_name} {row.peer:.2f} ({row.asked}); {row.note}")
