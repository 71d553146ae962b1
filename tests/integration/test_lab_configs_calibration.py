"""The shipped links of mock instruments bind every role that a calibration asks for, and are brought up as they are."""

from pathlib import Path

from faintlink.acquisition.calibration.bring_up import ROUTINES
from faintlink.acquisition.preflight import role_class
from faintlink.core import cli
from faintlink.core.calibration.file import read_record
from faintlink.core.config.loader import load_link
from faintlink.core.errors import ConfigError
from faintlink.core.symbols import Party
from tests.data import ROOT

LAB = ROOT / "lab_configs"
LINKS = {name: load_link(LAB / f"{name}.link.yaml") for name in ("demo", "polarization_1ghz", "bbm92")}


def is_known(role: str) -> bool:
    try:
        return bool(role_class(role))
    except ConfigError:
        return False


def test_every_routine_finds_its_roles_in_a_shipped_link() -> None:
    bound = [set(link.roles) for link in LINKS.values()]
    for routine in ROUTINES.values():
        # A role that preflight does not know cannot be bound by any link file.
        if all(is_known(role) for role in routine.roles):
            assert any(set(routine.roles) <= roles for roles in bound), routine.name


def test_every_detector_of_a_channel_map_can_be_reached_by_its_number() -> None:
    for link in LINKS.values():
        numbers = {meaning.detector for meaning in link.receivers[Party.BOB].channels.values()}
        assert {f"detector_{number}" for number in numbers} <= set(link.roles)


def test_the_demo_is_brought_up_as_it_is_shipped(tmp_path: Path) -> None:
    assert cli.run(["calibrate", "all", str(LAB / "demo.link.yaml"), "--out", str(tmp_path)]) == 0
    ran = {read_record(file).routine for file in tmp_path.iterdir()}
    assert ran >= {"attenuation", "receiver_phase", "sender_phase", "arrival", "visibility", "qber"}
