"""A whole run with an emulated tagger's bytes between bench and recorder gives the QBER of the mock tagger."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from qcodes.instrument import Instrument

from faintlink.acquisition.launch import take_run
from faintlink.acquisition.parties import draw_squash_seeds
from faintlink.acquisition.report import RunReport
from faintlink.acquisition.run import Run
from faintlink.core.config.loader import load_link
from faintlink.core.tags import TagBlock
from faintlink.drivers.timetaggers.picoquant_mhlib import PicoQuantMultiHarp
from faintlink.drivers.timetaggers.sfifteen_tdc import SFifteenTDC2
from faintlink.instruments.emulators.kit.servers import PtyServer
from faintlink.instruments.emulators.kit.tag_source import TagSource
from faintlink.instruments.emulators.picoquant import FakePicoQuant
from faintlink.instruments.emulators.sfifteen_tdc import EmulatedTDC
from faintlink.instruments.roles import TagStream
from faintlink.instruments.station import LabStation, open_station
from faintlink.postprocess.qkd.live import live_analysis
from tests.data import ROOT

LAB = ROOT / "lab_configs"
DURATION_S = 0.2


@pytest.fixture(autouse=True)
def _close_instruments() -> Iterator[None]:
    yield
    Instrument.close_all()


@contextmanager
def tdc2(source: TagSource) -> Iterator[Instrument]:
    with PtyServer(EmulatedTDC(source)) as server:
        yield SFifteenTDC2("emulated", server.address)


@contextmanager
def multiharp(source: TagSource) -> Iterator[Instrument]:
    yield PicoQuantMultiHarp("emulated", library=FakePicoQuant(source))


TAGGERS = {"tdc2": tdc2, "multiharp": multiharp}


class AfterTheSender:
    """A stream whose bench time begins to pass when the sender plays, however late a loaded machine starts it."""

    def __init__(self, stream: TagStream, is_playing: Callable[[], bool]) -> None:
        self._stream = stream
        self._is_playing = is_playing

    def start(self) -> None:
        self._stream.start()

    def read(self, timeout_s: float) -> TagBlock:
        if not self._is_playing():
            time.sleep(0.001)
            return TagBlock.empty()
        return self._stream.read(timeout_s)

    def stop(self) -> None:
        self._stream.stop()


def link_file(folder: Path, tagger: str) -> Path:
    text = (LAB / "polarization_1ghz.link.yaml").read_text()
    text = text.replace("block_s: 1.0", "block_s: 0.15").replace("tagger: bob_tagger", f"tagger: {tagger}")
    (folder / "polarization_1ghz.station.yaml").write_text((LAB / "polarization_1ghz.station.yaml").read_text())
    path = folder / f"{tagger}.link.yaml"
    path.write_text(text)
    return path


def run_with(folder: Path, name: str) -> RunReport:
    path = link_file(folder, "emulated")
    link = load_link(path)
    with open_station(folder / "polarization_1ghz.station.yaml") as station:
        station.component("fibre").length(20.0)
        sender, mock = station.component("alice_pattern"), station.component("bob_tagger")
        with TAGGERS[name](lambda: AfterTheSender(mock.stream(), sender.is_running)) as tagger:
            station.qcodes.add_component(tagger)
            lab = LabStation(station.path, station.qcodes, (*station.names, "emulated"))
            seeds = draw_squash_seeds(link)
            context = {"link": path.read_text(), "station": station.path.read_text(), "origin": "simulation"}
            with Run(
                link, lab, folder / name, analysis=live_analysis(link, seeds), context=context, squash_seeds=seeds
            ) as run:
                report = run.execute(DURATION_S)
            tagger.close()
            station.qcodes.remove_component("emulated")
    return report


@pytest.mark.parametrize("name", sorted(TAGGERS))
def test_an_emulated_tagger_gives_the_qber_of_the_mock(name: str, tmp_path: Path) -> None:
    mock = take_run(
        link_file(tmp_path, "bob_tagger"), tmp_path / "mock", duration_s=DURATION_S, settings={"fibre.length": 20.0}
    )
    Instrument.close_all()
    emulated = run_with(tmp_path, name)
    assert (emulated.lost, emulated.gaps) == (0, 0)
    assert emulated.tags > 0.5 * mock.tags
    for want, got in (
        (mock.live.qber_key, emulated.live.qber_key),
        (mock.live.qber_test, emulated.live.qber_test),
    ):
        assert got.bits > 0.5 * want.bits > 1000
        sigma = (want.rate * (1 - want.rate) * (1 / want.bits + 1 / got.bits)) ** 0.5
        assert abs(got.rate - want.rate) < 5 * sigma
