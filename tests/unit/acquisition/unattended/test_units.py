"""The shipped unit says what the program does: its command line is accepted, and its exit codes are meant."""

import re
import shlex

import pytest

from faintlink.acquisition.commands.up import up
from faintlink.instruments.calibration import lab
from tests.data import ROOT

UNIT = ROOT / "docs" / "ops" / "systemd" / "faintlink-link@.service"


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if line and line[0] not in "#["]
    return dict(line.split("=", 1) for line in lines)


def test_the_command_of_the_unit_is_one_that_the_program_takes(settings: dict[str, str]) -> None:
    program, command, *arguments = shlex.split(settings["ExecStart"].replace("%i", "demo"))
    assert program.endswith("/faintlink")
    assert command == up.name
    context = up.make_context("up", arguments)
    assert context.params["unattended"] is True
    assert str(context.params["link"]) == "/etc/faintlink/demo.link.yaml"


def test_the_service_is_notified_watched_and_begun_again_after_failures_only(settings: dict[str, str]) -> None:
    assert settings["Type"] == "notify"
    assert settings["Restart"] == "on-failure"
    assert settings["RestartPreventExitStatus"].split() == ["2", "3"]
    assert settings["SuccessExitStatus"] == "130"


def test_the_watchdog_is_more_patient_than_a_count_on_a_silent_tagger(settings: dict[str, str]) -> None:
    longest_count_s = 1.0
    silence_s = lab._PATIENCE_S + 20.0 * longest_count_s
    assert int(settings["WatchdogSec"]) / 3 > silence_s


@pytest.mark.parametrize(
    ("name", "value"),
    [("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("PrivateTmp", "yes"), ("LimitCORE", "0"),
     ("UMask", "0077"), ("CapabilityBoundingSet", "")],
)  # fmt: skip
def test_the_service_is_confined(settings: dict[str, str], name: str, value: str) -> None:
    assert settings[name] == value


def test_what_the_service_writes_lies_in_its_own_folders(settings: dict[str, str]) -> None:
    state = f"/var/lib/{settings['StateDirectory']}"
    written = re.findall(r"--(?:out|runs) (\S+)", settings["ExecStart"])
    assert len(written) == 2
    assert all(path.startswith(state) for path in written)
    assert settings["Environment"] == f"NUMBA_CACHE_DIR=/var/cache/{settings['CacheDirectory']}"
