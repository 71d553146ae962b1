"""The shipped benches of real drivers open against emulated devices, act on the simulated table, and record."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest
from qcodes.instrument import Instrument

from faintlink.acquisition.knobs import turn
from faintlink.acquisition.launch import take_run
from faintlink.acquisition.preflight import require_link_matches_station, role_class
from faintlink.acquisition.report import RunReport
from faintlink.core.config.link import LinkConfig
from faintlink.core.config.loader import load_link
from faintlink.core.symbols import Party
from faintlink.drivers.detectors import aurea_oem
from faintlink.drivers.timetaggers import swabian
from faintlink.instruments.emulators.aurea_oem import FakeOemLibrary
from faintlink.instruments.emulators.kit.device import EmulatedDevice
from faintlink.instruments.emulators.kit.servers import PtyServer, TcpServer
from faintlink.instruments.emulators.koheron_ctl200 import EmulatedCTL200
from faintlink.instruments.emulators.ozoptics_dd100 import EmulatedDD100
from faintlink.instruments.emulators.ozoptics_odl650 import EmulatedODL650
from faintlink.instruments.emulators.santec_tsl570 import EmulatedTSL570
from faintlink.instruments.emulators.sfifteen_spd import EmulatedSPD
from faintlink.instruments.emulators.sfifteen_tdc import EmulatedTDC
from faintlink.instruments.emulators.singlequantum_websq import EmulatedWebSQ
from faintlink.instruments.emulators.swabian import FakeSwabian
from faintlink.instruments.emulators.thorlabs_mpc320 import EmulatedMPC320
from faintlink.instruments.emulators.thorlabs_pm100d import EmulatedPM100D
from faintlink.instruments.emulators.veriqloud_kiwi import EmulatedKiwi
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.link import MockPolarizationController
from faintlink.instruments.mocks.meters import MockPowerMeter
from faintlink.instruments.mocks.receivers import MockDetector, MockTimeTagger
from faintlink.instruments.mocks.senders import MockAttenuator, MockLaser, MockPairSource
from faintlink.instruments.roles import TagStream, check_role
from faintlink.instruments.station import LabStation, open_station
from tests.data import ROOT

LAB = ROOT / "lab_configs"
DURATION_S = 0.3


class OnTable:
    """A knob of a mock instrument that is made once the station has opened its table, whose name is ``bench``.

    Emulated devices are there before the station is; until then the knob only remembers. What it is set to then, or
    what it starts with, goes to the mock instrument when that is made.
    """

    made: ClassVar[dict[str, Any]] = {}

    def __init__(self, kind: type, parameter: str, *, start: Any = None, **init: Any) -> None:
        self._kind, self._parameter, self._init = kind, parameter, init
        self._name = "_".join(["behind", kind.__name__, *(str(value) for value in init.values())])
        self._value, self._is_set = start, start is not None

    def instrument(self) -> Any:
        """Return the mock instrument."""
        if self._name not in self.made:
            self.made[self._name] = self._kind(self._name, "bench", **self._init)
        return self.made[self._name]

    def __call__(self, *value: Any) -> Any:
        """Return the value, or set it to the one given."""
        if self._name not in self.made and not Instrument.exist("bench"):
            if value:
                self._value, self._is_set = value[0], True
            return None if value else (self._value or 0.0)
        knob = getattr(self.instrument(), self._parameter)
        if self._is_set:
            knob(self._value)
            self._is_set = False
        return knob(*value)


def tags_of(receiver: str) -> Callable[[], TagStream]:
    """Return a source of the tags of the table's receiver."""
    return lambda: OnTable(MockTimeTagger, "resolution", receiver=receiver).instrument().stream()


class Emulators:
    """Emulated devices in place of those that a shipped station file names."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack, self._addresses = folder, stack, dict[str, str]()

    def serial(self, name: str, device: EmulatedDevice) -> None:
        """Put a device on a pseudo-terminal."""
        self._addresses[name] = self.stack.enter_context(PtyServer(device)).address

    def tcp(self, device: EmulatedDevice) -> TcpServer:
        """Return a device on a port."""
        return self.stack.enter_context(TcpServer(device))

    def visa(self, name: str, device: EmulatedDevice) -> None:
        """Put a device on a port of VISA."""
        self._addresses[name] = self.tcp(device).visa_address

    def at(self, name: str, address: str) -> None:
        """Give an instrument an address."""
        self._addresses[name] = address

    def copy(self, bench: str, **replaced: str) -> Path:
        """Return a copy of a shipped link file beside one of its station file with the emulators' addresses."""
        text = (LAB / f"{bench}.station.yaml").read_text()
        for name, address in self._addresses.items():
            text, count = re.subn(rf"(\n  {name}:.*?\n    address: )\S+", rf"\g<1>{address}", text, flags=re.S)
            assert count == 1
        for old, new in replaced.items():
            text = re.sub(rf"\b{old}: \S+?(?=[,}}\s])", f"{old}: {new}", text)
        (self.folder / f"{bench}.station.yaml").write_text(text)
        link = self.folder / f"{bench}.link.yaml"
        link.write_text((LAB / link.name).read_text().replace("block_s: 30.0", "block_s: 0.2"))
        return link


@pytest.fixture
def emulators(tmp_path: Path) -> Iterator[Emulators]:
    OnTable.made.clear()
    with ExitStack() as stack:
        yield Emulators(tmp_path, stack)
    Instrument.close_all()
    OnTable.made.clear()


def senders_end(emulators: Emulators) -> None:
    """Emulate laser, attenuator and power meter of a prepare-and-measure sender."""
    light = OnTable(MockLaser, "enabled", start=False)
    power = OnTable(MockLaser, "power", start=1e-3)
    emulators.visa("alice_laser", EmulatedTSL570(enabled=light, power=power))
    emulators.serial("alice_voa", EmulatedDD100(OnTable(MockAttenuator, "attenuation")))
    emulators.visa("alice_power_meter", EmulatedPM100D(OnTable(MockPowerMeter, "power")))


@pytest.fixture
def polarization(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> Path:
    senders_end(emulators)
    angles = OnTable(MockPolarizationController, "angles", start=(0.0, 0.0, 0.0))
    emulators.serial("bob_pol_ctrl", EmulatedMPC320(angles))
    rates = [OnTable(MockDetector, "count_rate", index=index) for index in range(4)]
    switches = [OnTable(MockDetector, "enabled", start=False, index=index) for index in range(4)]
    box = EmulatedWebSQ(rates, enabled=switches)
    emulators.at("bob_snspd", emulators.tcp(box).address)
    monkeypatch.setitem(sys.modules, swabian.PACKAGE, FakeSwabian(tags_of("bob")))
    return emulators.copy("polarization_swabian", counts_port=str(emulators.tcp(box.counts).port))


@pytest.fixture
def entanglement(emulators: Emulators) -> Path:
    # In real time: else the party that starts first is seconds ahead, with nothing at the other to compare with.
    table = MockBench("bench", model="bbm92", seed=23, pace="realtime")
    table.engine.update("pairs", pair_rate_hz=2e6, alice_loss_db=3.0)
    table.receiver_loss(2.0)
    emulators.serial("pump", EmulatedCTL200(OnTable(MockPairSource, "enabled")))
    angles = OnTable(MockPolarizationController, "angles")
    emulators.serial("bob_pol_ctrl", EmulatedMPC320(angles))
    for party in ("alice", "bob"):
        for index in range(4):
            switch = OnTable(MockDetector, "enabled", receiver=party, index=index)
            rate = OnTable(MockDetector, "count_rate", receiver=party, index=index)
            OnTable(MockDetector, "efficiency", receiver=party, index=index)(0.6)
            OnTable(MockDetector, "jitter", receiver=party, index=index)(150e-12)
            emulators.serial(f"{party}_spd_{index}", EmulatedSPD(switch, rate))
        emulators.serial(f"{party}_tagger", EmulatedTDC(tags_of(party)))
    return emulators.copy("entanglement_s15")


@pytest.fixture
def kiwi(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> Path:
    senders_end(emulators)
    emulators.serial("bob_delay", EmulatedODL650())
    libraries = iter(
        FakeOemLibrary(
            enabled=OnTable(MockDetector, "enabled", start=True, index=index),
            efficiency=OnTable(MockDetector, "efficiency", start=0.2, index=index),
            dead_time=OnTable(MockDetector, "dead_time", start=1e-5, index=index),
            count_rate=OnTable(MockDetector, "count_rate", index=index),
            names=(f"SPD_OEM_NIR/SN0000{index}",),
        )
        for index in range(2)
    )
    monkeypatch.setattr(aurea_oem, "load_library", lambda _path: next(libraries))
    cards = {}
    for name in ("alice_card", "bob_card"):
        folder = emulators.folder / name
        folder.mkdir()
        cards[name] = EmulatedKiwi(folder, tags_of("bob"), records="time-tags")
        emulators.stack.enter_context(cards[name])
        emulators.at(name, str(cards[name].registers))
    return emulators.copy("qline_kiwi", clicks=str(cards["bob_card"].clicks))


def opened(link_file: Path) -> tuple[LinkConfig, LabStation]:
    link = load_link(link_file)
    return link, open_station(link_file.parent / link.station)


def check_bound_roles(link: LinkConfig, station: LabStation) -> None:
    for role, name in link.roles.items():
        check_role(station.component(name), role_class(role))
    for receiver in link.receivers.values():
        check_role(station.component(receiver.tagger), "TimeTagger")
    require_link_matches_station(link, station)


ON = {
    "polarization": {"alice_laser.enabled": True, **{f"bob_snspd.ch{number}.enabled": True for number in range(1, 5)}},
    "kiwi": {"alice_laser.enabled": True},
    "entanglement": {
        "pump.enabled": True,
        **{f"{party}_spd_{index}.enabled": True for party in ("alice", "bob") for index in range(4)},
    },
}
"""What the comments of the station files say to turn on."""


def test_the_polarization_bench_counts_less_behind_its_attenuator(polarization: Path) -> None:
    link, station = opened(polarization)
    with station:
        check_bound_roles(link, station)
        engine = station.component("bench").engine
        assert not station.component("alice_laser").enabled()
        assert not engine.state.source.enabled
        turn(station, ON["polarization"])
        station.component("alice_voa").attenuation(30.0)
        station.component("alice_pattern").start()
        bright_hz = station.component("bob_snspd.ch1").count_rate()
        station.component("alice_voa").attenuation(40.0)
        dim_hz = station.component("bob_snspd.ch1").count_rate()
        assert dim_hz < 0.5 * bright_hz
        station.component("bob_pol_ctrl").angles((30.0, 60.0, 90.0))
        behind = OnTable(MockPolarizationController, "angles")
        assert behind() == pytest.approx((30.0, 60.0, 90.0), abs=0.1)
    assert not engine.state.source.enabled
    assert engine.state.source.attenuation_db == pytest.approx(60.0)
    assert not any(detector.enabled for detector in engine.state.receivers["bob"].detectors)


def test_the_kiwi_bench_counts_less_behind_its_attenuator(kiwi: Path) -> None:
    link, station = opened(kiwi)
    with station:
        check_bound_roles(link, station)
        engine = station.component("bench").engine
        turn(station, ON["kiwi"])
        station.component("alice_voa").attenuation(30.0)
        station.component("alice_pattern").start()
        bright_hz = station.component("bob_detector_0").count_rate()
        station.component("alice_voa").attenuation(50.0)
        assert station.component("bob_detector_0").count_rate() < 0.5 * bright_hz
        station.component("bob_delay").home()
        station.component("bob_delay").delay(10.0)
        assert station.component("bob_delay").delay() == pytest.approx(10.0, abs=0.01)
    assert not engine.state.source.enabled
    assert engine.state.source.attenuation_db == pytest.approx(60.0)


def test_the_entanglement_bench_falls_silent_without_its_pump(entanglement: Path) -> None:
    bench = Instrument.find_instrument("bench", MockBench)
    link, station = opened(entanglement)
    with station:
        check_bound_roles(link, station)
        assert not bench.engine.state.pairs.enabled
        turn(station, ON["entanglement"])
        lit_hz = station.component("bob_spd_0").count_rate()
        station.component("pump").enabled(False)
        assert station.component("bob_spd_0").count_rate() < 0.5 * lit_hz
        turn(station, ON["entanglement"])
    assert not bench.engine.state.pairs.enabled
    detectors = [one for receiver in bench.engine.state.receivers.values() for one in receiver.detectors]
    assert not any(detector.enabled for detector in detectors)


SENDER = {"alice_voa.attenuation": 20.0, "bench.receiver_loss": 15.0}
"""The table's nominal attenuation, at which its photon numbers are those of the link file, and some loss after it."""


def recorded(link_file: Path, bench: str, *, duration_s: float = DURATION_S, **settings: Any) -> RunReport:
    """Take a short run, and return its report once its files were found whole."""
    report = take_run(link_file, link_file.parent / "run", duration_s=duration_s, settings={**ON[bench], **settings})
    assert (report.lost, report.gaps) == (0, 0)
    assert {path.name for path in (link_file.parent / "run").iterdir()} >= set(report.files)
    return report


def test_the_polarization_bench_records_a_run_with_few_errors(polarization: Path) -> None:
    report = recorded(polarization, "polarization", **SENDER)
    assert report.live.qber_key.bits > 1000
    assert report.live.qber_key.rate < 0.05


def test_the_entanglement_bench_records_a_run_with_few_errors(entanglement: Path) -> None:
    report = recorded(entanglement, "entanglement", duration_s=1.0)
    assert report.live.qber_key.bits > 1000
    assert report.live.qber_key.rate < 0.05
    assert set(load_link(entanglement).receivers) == {Party.ALICE, Party.BOB}


def test_the_kiwi_bench_records_what_its_card_can_tell(kiwi: Path) -> None:
    report = recorded(kiwi, "kiwi", **SENDER)
    assert report.tags > 1000
    # The card does not tell Bob's basis: all clicks count as Z, so nothing is in the test basis.
    assert report.live.qber_test.bits == 0
