"""Station files: opened whole or not at all, faults with file and line, always left safe."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from qcodes.instrument import Instrument
from qcodes.instrument_drivers.mock_instruments import DummyChannelInstrument

from faintlink.core.errors import ConfigError, RoleError
from faintlink.instruments.mocks.senders import MockLaser
from faintlink.instruments.station import open_station

MOCKS = "faintlink.instruments.mocks"
GOOD = f"""\
instruments:
  bench:
    type: {MOCKS}.bench.MockBench
    init: {{seed: 3}}
  laser:
    type: {MOCKS}.senders.MockLaser
    init: {{bench: bench}}
    parameters:
      power: {{initial_value: 0.002}}
  voa:
    type: {DummyChannelInstrument.__module__}.DummyChannelInstrument
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "lab.station.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        open_station(_write(folder, text))
    assert caught.value.hint
    faults: list[str] = caught.value.fields["faults"]
    assert all(fault.startswith(str(folder / "lab.station.yaml") + ":") for fault in faults)
    return [fault.removeprefix(str(folder / "lab.station.yaml") + ":") for fault in faults]


def test_all_instruments_are_opened_with_their_initial_values(tmp_path: Path) -> None:
    with open_station(_write(tmp_path, GOOD)) as lab:
        assert lab.names == ("bench", "laser", "voa")
        assert lab.component("laser").power() == 0.002


def test_a_channel_is_a_component(tmp_path: Path) -> None:
    with open_station(_write(tmp_path, GOOD)) as lab:
        assert lab.component("voa.A").full_name == "voa_ChanA"


def test_a_component_can_be_asked_for_its_role(tmp_path: Path) -> None:
    with open_station(_write(tmp_path, GOOD)) as lab:
        assert isinstance(lab.component("laser", role="PulsedLaser"), MockLaser)
        with pytest.raises(RoleError, match="TimeTagger"):
            lab.component("laser", role="TimeTagger")


@pytest.mark.parametrize(("name", "what"), [("lazer", "it has bench, laser, voa"), ("voa.Q", "no channel or module")])
def test_an_unknown_component_is_answered_with_what_there_is(tmp_path: Path, name: str, what: str) -> None:
    with open_station(_write(tmp_path, GOOD)) as lab, pytest.raises(ConfigError, match=what):
        lab.component(name)


def test_the_snapshot_is_json_and_holds_the_settings(tmp_path: Path) -> None:
    with open_station(_write(tmp_path, GOOD)) as lab:
        snapshot = lab.snapshot()
    assert json.loads(json.dumps(snapshot)) == snapshot
    assert snapshot["instruments"]["laser"]["parameters"]["power"]["value"] == 0.002


def test_leaving_makes_everything_safe_and_frees_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(MockLaser, "safe_state", lambda self: order.append(self.name))
    path = _write(tmp_path, GOOD)
    with pytest.raises(RuntimeError, match="operator"), open_station(path):
        raise RuntimeError("operator")
    assert order == ["laser"]
    lab = open_station(path)
    lab.close()
    lab.close()
    assert order == ["laser", "laser"]


def test_trouble_with_one_instrument_does_not_keep_the_others_from_safety(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Any) -> None:
        raise RuntimeError("stuck")

    monkeypatch.setattr(MockLaser, "safe_state", fail)
    with caplog.at_level(logging.ERROR), open_station(_write(tmp_path, GOOD)):
        pass
    assert "laser could not be brought into its safe state" in caplog.text
    assert not Instrument.exist("laser")


def test_broken_yaml_is_reported_with_its_line(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path, "instruments:\n  laser:\n    type: a.B\n   init: {}\n")
    assert fault.startswith("4: YAML:")


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        open_station(tmp_path / "nowhere.station.yaml")


def test_every_static_fault_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    faults = _faults(
        tmp_path,
        f"""\
roles: {{}}
instruments:
  laser:
    type: {MOCKS}.senders.MockLazer
  voa:
    typ: {MOCKS}.senders.MockAttenuator
  tagger:
    type: no.such.module.Tagger
  9lives:
    type: MockLaser
  laser:
    type: {MOCKS}.senders:MockLaser
""",
    )
    lines = [fault.split(":", 1)[0] for fault in faults]
    assert lines == ["1", "4", "6", "5", "8", "9", "10", "11", "12"]
    assert "did you mean 'MockLaser'?" in faults[1]
    assert "did you mean 'type'?" in faults[2]
    assert "has no type" in faults[3]
    assert "cannot import no.such.module" in faults[4]
    assert "stands twice" in faults[7]
    assert not Instrument.exist("laser")


@pytest.mark.parametrize("text", ["", "instruments:\n", "instruments: {}\n", "- a\n- b\n"])
def test_a_file_without_instruments_is_refused(tmp_path: Path, text: str) -> None:
    assert len(_faults(tmp_path, text)) == 1


def test_a_wrong_init_argument_names_entry_and_line(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path, GOOD.replace("init: {bench: bench}", "init: {bench: bench, colour: red}"))
    assert fault.startswith("5: instruments.laser: TypeError")
    assert "colour" in fault


def test_a_value_that_a_validator_refuses_names_entry_and_line(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path, GOOD.replace("0.002", "7.0"))
    assert fault.startswith("5: instruments.laser: ValueError")


def test_a_mock_above_its_bench_is_told_to_move(tmp_path: Path) -> None:
    text = f"instruments:\n  laser:\n    type: {MOCKS}.senders.MockLaser\n    init: {{bench: bench}}\n"
    (fault,) = _faults(tmp_path, text)
    assert "mock bench" in fault


def test_what_qcodes_would_only_warn_about_is_an_error(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path, GOOD.replace("init: {seed: 3}", "init: 3"))
    assert "QCoDeS schema" in fault


def test_a_failed_opening_leaves_nothing_open(tmp_path: Path) -> None:
    _faults(tmp_path, GOOD.replace("0.002", "7.0"))
    assert not Instrument.exist("bench")
    open_station(_write(tmp_path, GOOD)).close()


def test_a_name_in_use_is_explained(tmp_path: Path) -> None:
    with open_station(_write(tmp_path, GOOD)), pytest.raises(ConfigError, match="bench") as caught:
        open_station(tmp_path / "lab.station.yaml")
    assert "holds this name" in caught.value.hint


def test_no_database_and_no_log_handler_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    handlers = list(logging.getLogger().handlers)
    with open_station(_write(tmp_path, GOOD)):
        pass
    assert logging.getLogger().handlers == handlers
    assert not list(tmp_path.rglob("*.db"))
