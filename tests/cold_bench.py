"""Mock links that stand cold and misaligned, drawn from a seed, for tests of calibrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from faintlink.acquisition.knobs import turn
from faintlink.core.config.loader import load_link
from faintlink.instruments.calibration.lab import Lab
from faintlink.instruments.station import LabStation, open_station

CONFIGS = Path(__file__).parent.parent / "lab_configs"
TIME_BIN, POLARIZATION, PAIRS = "demo", "polarization_1ghz", "bbm92"
_DETECTORS = {
    TIME_BIN: ("bob_detector_0", "bob_detector_1"),
    POLARIZATION: ("bob_detector_z0", "bob_detector_z1", "bob_detector_x0", "bob_detector_x1"),
}
_METER = "MockPowerMeter\n    init: {bench: bench}"


def write_configs(folder: Path, name: str, seed: int) -> Path:
    """Write link and station of a mock link of a seed; return the link file."""
    station = (CONFIGS / f"{name}.station.yaml").read_text(encoding="utf-8")
    before = {TIME_BIN: "seed: 7", POLARIZATION: "seed: 11"}[name]
    assert before in station
    assert _METER in station
    station = station.replace(before, f"seed: {seed}").replace(_METER, f"{_METER[:-1]}, seed: {seed}}}")
    link = (CONFIGS / f"{name}.link.yaml").read_text(encoding="utf-8")
    (folder / f"{name}.station.yaml").write_text(station, encoding="utf-8")
    path = folder / f"{name}.link.yaml"
    path.write_text(link, encoding="utf-8")
    return path


def misalignment(name: str, seed: int) -> dict[str, Any]:
    """Return knobs of a cold table: light off, nothing where it should be."""
    rng = np.random.default_rng([seed, len(name)])

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    knobs: dict[str, Any] = {
        "alice_laser.enabled": False,
        "alice_voa.attenuation": 20.0 + between(-6.0, 6.0),
        "alice_im.null_voltage": between(-8.0, 8.0),
        "alice_im.half_wave_voltage": between(4.0, 6.5),
        "alice_im.bias_voltage": between(-3.0, 3.0),
    }
    reach_s = 600e-12 if name == TIME_BIN else 160e-12
    knobs |= {f"{detector}.delay": between(0.0, reach_s) for detector in _DETECTORS[name]}
    if name == TIME_BIN:
        knobs |= {f"{pm}.half_wave_voltage": between(4.0, 6.5) for pm in ("alice_pm", "bob_pm")}
        knobs |= {f"{pm}.bias_voltage": between(-3.0, 3.0) for pm in ("alice_pm", "bob_pm")}
        knobs["alice_pm.drive_levels"] = [between(-1.0, 1.0) + level for level in (0.0, 5.0, 2.5, 7.5)]
        knobs["fibre.interferometer_phase"] = between(-np.pi, np.pi)
        knobs["bob_delay.delay"] = 50.0 + between(-20.0, 20.0)
    else:
        knobs["alice_pol_mod.half_wave_voltage"] = between(4.0, 6.5)
        knobs["fibre.polarization_rotation"] = between(-180.0, 180.0)
        knobs["fibre.retardance"] = between(-180.0, 180.0)
    return knobs


@contextmanager
def mock_lab(folder: Path, name: str, *, seed: int = 1, is_cold: bool = False) -> Iterator[tuple[Lab, LabStation]]:
    """Open a mock link, aligned or cold."""
    path = write_configs(folder, name, seed)
    link = load_link(path)
    with open_station(path.parent / link.station) as station:
        if is_cold:
            turn(station, misalignment(name, seed))
        yield Lab.of(link, station), station


def cold_pairs(seed: int) -> dict[str, Any]:
    """Return knobs of a cold pair source: off, at a wrong level, behind a fibre that turns everything."""
    rng = np.random.default_rng([seed, 92])
    return {
        "pair_source.enabled": False,
        "pair_source.pair_rate": float(rng.uniform(1e6, 6e6)),
        "fibre.polarization_rotation": float(rng.uniform(-180.0, 180.0)),
        "fibre.retardance": float(rng.uniform(-180.0, 180.0)),
        "bob_tagger.clock_offset": float(rng.uniform(-0.4, 0.4)),
        "bob_tagger.clock_error": float(rng.uniform(-5.0, 5.0)),
        "bob_pol_ctrl.angles": [float(rng.uniform(-90.0, 90.0)) for _ in range(3)],
    }


@contextmanager
def pair_lab(folder: Path, *, seed: int = 1, is_cold: bool = False) -> Iterator[tuple[Lab, LabStation]]:
    """Open the mock pair link, aligned or cold."""
    station_text = (CONFIGS / f"{PAIRS}.station.yaml").read_text(encoding="utf-8")
    assert "seed: 13" in station_text
    link_file = folder / f"{PAIRS}.link.yaml"
    (folder / f"{PAIRS}.station.yaml").write_text(station_text.replace("seed: 13", f"seed: {seed}"), encoding="utf-8")
    link_file.write_text((CONFIGS / link_file.name).read_text(encoding="utf-8"), encoding="utf-8")
    link = load_link(link_file)
    with open_station(folder / link.station) as station:
        if is_cold:
            turn(station, cold_pairs(seed))
        yield Lab.of(link, station), station
