"""A station file of real drivers opens against emulated devices, and what is set there reaches the bench."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from qcodes.instrument import Instrument

from faintlink.instruments.emulators.agiltron_ff import EmulatedFF
from faintlink.instruments.emulators.keysight_n776x import EmulatedN7764A
from faintlink.instruments.emulators.kit.servers import PtyServer, TcpServer
from faintlink.instruments.emulators.santec_tsl570 import EmulatedTSL570
from faintlink.instruments.emulators.thorlabs_pm100d import EmulatedPM100D
from faintlink.instruments.mocks.bench import MockBench
from faintlink.instruments.mocks.senders import MockAttenuator
from faintlink.instruments.roles import check_role
from faintlink.instruments.station import open_station

ENTRY = "  {name}:\n    type: {kind}\n    address: {address}\n"


@pytest.fixture(autouse=True)
def _close_instruments() -> Iterator[None]:
    yield
    Instrument.close_all()


@pytest.fixture
def station_file(tmp_path: Path) -> Iterator[Path]:
    """A station of ten instruments, each on an emulated device of its own."""
    bench = MockBench("bench", model="timebin-bb84-80mhz", seed=3)
    behind = MockAttenuator("behind", bench.name, place="line")
    drivers = "faintlink.drivers."
    with ExitStack() as stack:
        entries = []
        for number in range(4):
            device = EmulatedN7764A([behind.attenuation] if number == 0 else [])
            server = stack.enter_context(TcpServer(device))
            entries.append((f"voa_{number}", "attenuators.keysight_n776x.KeysightN776x", server.visa_address))
        for number in range(2):
            server = stack.enter_context(TcpServer(EmulatedTSL570()))
            entries.append((f"laser_{number}", "lasers.santec_tsl570.SantecTSL570", server.visa_address))
            server = stack.enter_context(TcpServer(EmulatedPM100D()))
            entries.append((f"meter_{number}", "meters.thorlabs_pm100d.ThorlabsPM100D", server.visa_address))
            port = stack.enter_context(PtyServer(EmulatedFF()))
            entries.append((f"switch_{number}", "switches.agiltron_ff.AgiltronFF", port.address))
        text = "".join(ENTRY.format(name=name, kind=drivers + kind, address=where) for name, kind, where in entries)
        path = tmp_path / "bench.station.yaml"
        path.write_text(f"instruments:\n{text}")
        yield path


def test_ten_emulated_instruments_open_and_fill_their_roles(station_file: Path) -> None:
    start = time.perf_counter()
    with open_station(station_file) as station:
        opened_s = time.perf_counter() - start
        for name, role in (("voa_0.ch1", "Attenuator"), ("laser_1", "TunableLaser"), ("meter_0", "PowerMeter")):
            check_role(station.component(name), role)
        check_role(station.component("switch_1"), "OpticalSwitch")
        assert len(station.names) == 10
    # Not a timed assertion: three seconds are asked for, and a hang would take the drivers' own 3 s each.
    assert opened_s < 20.0


def test_the_stations_attenuator_dims_the_simulated_light(station_file: Path) -> None:
    bench = Instrument.find_instrument("bench", MockBench)
    with open_station(station_file) as station:
        station.component("voa_0.ch1").attenuation(7.0)
        assert bench.engine.state.link.line_attenuation_db == pytest.approx(7.0)
    # Leaving the station puts every instrument into its safe state: the shutter is closed.
    assert bench.engine.state.link.line_attenuation_db == pytest.approx(60.0)
