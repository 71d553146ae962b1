"""`faintlink up`, `status` and `doctor` on the mock bench, and an unattended link that takes runs by itself."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from faintlink.acquisition.bringup.conductor import Plan
from faintlink.acquisition.bringup.journal import Journal
from faintlink.acquisition.bringup.states import steps_of_link
from faintlink.acquisition.commands.doctor import doctor
from faintlink.acquisition.commands.status import status
from faintlink.acquisition.commands.up import up
from faintlink.acquisition.unattended.backoff import Backoff
from faintlink.acquisition.unattended.night_log import FILE as NIGHT_FILE
from faintlink.acquisition.unattended.segments import gate_offset
from faintlink.acquisition.unattended.service import Night, Service
from faintlink.core.config.loader import load_link
from faintlink.core.errors import ConfigError, ConnectionLostError, FaintlinkError, HardwareError, InterlockError
from faintlink.core.runfile.folder import open_run
from faintlink.core.runfile.manifest import MANIFEST
from faintlink.core.service_manager import Notifier
from faintlink.core.symbols import Party
from faintlink.instruments.calibration.lab import Lab
from tests.cold_bench import CONFIGS, TIME_BIN, write_configs


@dataclass(frozen=True, slots=True)
class Brought:
    """A link that was brought up and run unattended."""

    link: Path
    out: Path
    runs: Path
    said: str
    heard: list[str]
    """What the service manager was told."""


def run(command: click.Command, *arguments: object, env: dict[str, str] | None = None) -> tuple[int, str]:
    seen = CliRunner(env=env).invoke(command, [str(argument) for argument in arguments], standalone_mode=False)
    if seen.exception is not None:
        raise seen.exception
    return seen.return_value, seen.output


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Brought:
    folder = tmp_path_factory.mktemp("link")
    link = write_configs(folder, TIME_BIN, 101)
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(folder / "notify"))

        def listen() -> None:
            while not heard or heard[-1] != "STOPPING=1":
                heard.append(manager.recv(4096).decode())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "300000"}
        code, said = run(up, link, "--out", folder / "out", "--unattended", "--count", 1, "--segment", 0.4,
                         "--runs", folder / "runs", env=environment)  # fmt: skip
        listener.join(10.0)
    assert code == 0, said
    return Brought(link, folder / "out", folder / "runs", said, heard)


def test_the_service_manager_hears_that_work_goes_on_and_which(brought: Brought) -> None:
    assert brought.heard[0] == "READY=1"
    assert brought.heard[-1] == "STOPPING=1"
    assert "STATUS=bringing the link up" in brought.heard
    assert any(message.startswith("STATUS=run 1: <RunReport") for message in brought.heard)
    # A third of 0.3 s between two words, and the calibrations alone take seconds.
    assert brought.heard.count("WATCHDOG=1") >= 10


def test_an_unattended_link_is_brought_up_and_takes_runs_by_its_calibration(brought: Brought) -> None:
    assert "== READY" in brought.said
    assert "done after 1 runs" in brought.said
    (folder,) = brought.runs.iterdir()
    recorded = open_run([folder])
    assert json.loads(recorded[Party.BOB].context["calibration"])["gate"]["half_width_ps"] < 250
    entries = [json.loads(line) for line in (brought.out / NIGHT_FILE).read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["run", "end"]
    assert entries[0]["figures"]["qber_key"]["value"] < 0.03
    assert entries[0]["figures"]["gate_offset_ps"]["value"] < 5.0
    assert (brought.out / "unattended.log").read_text()


def test_the_gate_offset_is_that_of_the_arrivals_against_the_gate_of_the_link(brought: Brought) -> None:
    link = load_link(brought.link)
    moved = link.model_copy(update={"gate": link.gate.model_copy(update={"center_ps": 80})})
    (folder,) = brought.runs.iterdir()
    offset, sigma = gate_offset(Lab(link, {}, {}, None, dict), moved, folder)["gate_offset_ps"]
    assert abs(offset - 80.0) < 5.0
    assert 0.0 < sigma < 1.0


def test_status_says_ready_with_ages_margins_and_what_is_due(brought: Brought) -> None:
    code, said = run(status, brought.link, "--out", brought.out)
    assert code == 0
    assert said.startswith("demo-10km: READY by its records; the journal says READY")
    assert "newest unattended run" in said
    assert re.search(r"qber_key +0\.0\d+ \+- \S+, steady", said)
    code, said = run(status, brought.link, "--out", brought.out, "--json")
    data = json.loads(said)
    assert data["next"]["step"] == "sender_phase"
    assert 3.9 * 3600 < data["next"]["in_s"] < 4 * 3600
    (qber,) = [step for step in data["steps"] if step["step"] == "qber"]
    assert qber["holds"]
    assert 0.5 < qber["tightest"]["spare"] < 1.0


def test_status_of_a_stale_link_ends_with_five_and_names_what_to_take(brought: Brought) -> None:
    code, said = run(status, brought.link, "--out", brought.out, "--max-age", "1e-6")
    assert code == 5
    assert "next: laser in 0 s" in said


def test_status_of_a_link_that_was_never_brought_up_ends_with_five(brought: Brought, tmp_path: Path) -> None:
    code, said = run(status, brought.link, "--out", tmp_path)
    assert code == 5
    assert "OFF by its records" in said


def test_a_dry_run_lists_steps_with_what_they_need_and_opens_nothing(brought: Brought, tmp_path: Path) -> None:
    code, said = run(up, brought.link, "--out", tmp_path, "--dry-run", "--json")
    steps = json.loads(said)
    assert code == 0
    assert [step["why"] for step in steps] == ["it has no record"] * len(steps)
    assert steps[-1]["needs"] == ["attenuation", "sender_phase", "arrival"]
    assert list(tmp_path.iterdir()) == []
    _, said = run(up, brought.link, "--out", brought.out, "--dry-run", "--from", "timed")
    assert said.count("-> take: it was asked for") == 5


def test_a_second_bring_up_sets_what_holds_and_checks_it_once(brought: Brought) -> None:
    before = set(brought.out.glob("*.h5"))
    code, said = run(up, brought.link, "--out", brought.out, "--json")
    assert code == 0
    assert json.loads(said)["state"] == "READY"
    assert json.loads(said)["settings"]["alice_laser.enabled"] is True
    (fresh,) = set(brought.out.glob("*.h5")) - before
    assert "-qber-" in fresh.name


def test_the_doctor_finds_nothing_on_a_healthy_link_and_names_a_fault(brought: Brought) -> None:
    code, said = run(doctor, brought.link, "--out", brought.out, "--runs", brought.runs)
    assert (code, said) == (0, "demo-10km: nothing is wrong that the doctor knows of\n")
    code, said = run(doctor, brought.link, "--out", brought.out, "--runs", brought.runs, "--json",
                     "--set", "bob_detector_1.enabled=false")  # fmt: skip
    assert code == 5
    assert json.loads(said)[0]["name"] == "detector-silent"


def test_a_step_that_fails_ends_with_five_and_sends_to_the_doctor(brought: Brought, tmp_path: Path) -> None:
    code, said = run(up, brought.link, "--out", tmp_path, "--option", "laser.max_power_spread=-1")
    assert code == 5
    assert "== FAILED: laser: spread of the power" in said
    assert f"faintlink doctor {brought.link} --out {tmp_path}" in said
    assert "failed since" in run(status, brought.link, "--out", tmp_path)[1]


def with_dead_attenuator(folder: Path) -> Path:
    """Write a link whose attenuator is a real driver at an address where nobody listens."""
    link = write_configs(folder, TIME_BIN, 101)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    station = folder / f"{TIME_BIN}.station.yaml"
    text = station.read_text()
    mock = "type: faintlink.instruments.mocks.senders.MockAttenuator\n    init: {bench: bench}"
    assert mock in text
    real = "type: faintlink.drivers.attenuators.keysight_n776x.KeysightN776x"
    station.write_text(text.replace(mock, f"{real}\n    address: TCPIP::127.0.0.1::{port}::SOCKET"))
    return link


def test_an_instrument_that_is_off_is_the_doctors_finding(tmp_path: Path) -> None:
    link = with_dead_attenuator(tmp_path)
    code, said = run(doctor, link, "--out", tmp_path / "out", "--runs", tmp_path, "--json")
    first = json.loads(said)[0]
    assert code == 5
    assert first["name"] == "device-silent"
    assert "alice_voa at TCPIP::127.0.0.1::" in first["what"]


def test_an_unattended_link_waits_for_an_instrument_that_is_off(tmp_path: Path) -> None:
    link, slept = with_dead_attenuator(tmp_path), list[float]()
    with pytest.raises(ConnectionLostError, match="alice_voa"):
        service(tmp_path / "out", link, sleep=slept.append, max_failures=1).run()
    assert sum(slept) == 8.0


def test_the_doctor_keeps_off_a_link_that_runs(brought: Brought) -> None:
    with Journal(brought.out).locked(), pytest.raises(InterlockError, match="brings this link up or runs it"):
        run(doctor, brought.link, "--out", brought.out)


def test_wrong_files_are_refused_and_not_examined(tmp_path: Path) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    station = tmp_path / f"{TIME_BIN}.station.yaml"
    station.write_text(station.read_text().replace("MockAttenuator", "MockNonsense"))
    with pytest.raises(ConfigError, match="MockNonsense"):
        run(doctor, link, "--out", tmp_path / "out")
    with pytest.raises(ConfigError, match="nothing to bring up"):
        run(up, CONFIGS / "qcrypto.link.yaml")


def service(folder: Path, link: Path, *, sleep: Callable[[float], None], **night: Any) -> Service:
    plan = Plan(load_link(link), steps_of_link(load_link(link), {}), {"laser.max_power_spread": -1.0})
    backoff = Backoff(first_s=8.0, spread=0.0)
    return Service(link, plan, folder, Night(folder / "runs", **night), Notifier({}), sleep=sleep, backoff=backoff)


def test_a_link_that_does_not_come_up_is_tried_again_later_and_then_given_up(tmp_path: Path) -> None:
    slept: list[float] = []
    link = write_configs(tmp_path, TIME_BIN, 101)
    failing = service(tmp_path / "out", link, sleep=slept.append, max_failures=1)
    with pytest.raises(HardwareError, match="the bring-up ended FAILED: laser"):
        failing.run()
    assert sum(slept) == 8.0
    entries = [json.loads(line) for line in (tmp_path / "out" / NIGHT_FILE).read_text().splitlines()]
    assert [(entry["event"], entry["wait_s"]) for entry in entries] == [("failure", 8.0)]


def test_a_wrong_station_is_not_tried_again(tmp_path: Path) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    (tmp_path / f"{TIME_BIN}.station.yaml").write_text("instruments: {}\n")

    def never(_seconds: float) -> None:
        raise AssertionError("it waited for a file to mend itself")

    with pytest.raises(FaintlinkError, match="station"):
        service(tmp_path / "out", link, sleep=never).run()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_to_end_seals_its_run(tmp_path: Path, ending: signal.Signals) -> None:
    link = write_configs(tmp_path, TIME_BIN, 101)
    station = tmp_path / f"{TIME_BIN}.station.yaml"
    station.write_text(station.read_text().replace("seed: 101\n", "seed: 101\n      pace: realtime\n", 1))
    code = (
        "import sys; from faintlink.acquisition.commands.up import up; "
        "sys.exit(up.main(sys.argv[1:], standalone_mode=False))"
    )
    arguments = [link, "--out", tmp_path / "out", "--runs", tmp_path / "runs", "--unattended", "--segment", "60"]
    with subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)]) as service_process:
        deadline = time.monotonic() + 90.0
        while time.monotonic() < deadline and not list(tmp_path.glob("runs/*/bob-*.h5")):
            assert service_process.poll() is None
            time.sleep(0.1)
        service_process.send_signal(ending)
        assert service_process.wait(60.0) == 130
    (folder,) = (tmp_path / "runs").iterdir()
    assert open_run([folder])[Party.BOB].context["origin"] == "simulation"
    assert (folder / MANIFEST).exists()
