"""Which routines a bring-up chooses."""

from dataclasses import replace
from pathlib import Path

import pytest

from faintlink.acquisition.calibration.bring_up import routines_of
from tests.cold_bench import TIME_BIN, mock_lab


@pytest.mark.parametrize(
    ("has_meter", "options", "chosen"),
    [
        (True, {"photon_number.efficiency": 0.2}, ["attenuation"]),
        (False, {"photon_number.efficiency": 0.2}, ["photon_number"]),
        (False, {}, []),
    ],
)
def test_counts_stand_in_for_a_power_meter_only_where_there_is_none(
    tmp_path: Path, has_meter: bool, options: dict[str, float], chosen: list[str]
) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, _):
        roles = {name: role for name, role in lab.roles.items() if has_meter or name != "power_meter"}
        names = routines_of(replace(lab, roles=roles), options)
    assert [name for name in names if name in ("attenuation", "photon_number")] == chosen


def test_only_routines_whose_roles_are_bound_are_run(tmp_path: Path) -> None:
    with mock_lab(tmp_path, TIME_BIN) as (lab, _):
        roles = {name: role for name, role in lab.roles.items() if name not in ("delay_line", "gate_delay")}
        assert not {"delay_line", "gate_delay", "pair_window"} & set(routines_of(replace(lab, roles=roles), {}))
