"""The station files that come with the package open and play."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faintlink.core.symbols import is_sync, setting_basis, setting_bit
from faintlink.instruments.station import LabStation, open_station

FOLDER = Path(__file__).resolve().parents[3] / "lab_configs"


def _tags(lab: LabStation, name: str, reads: int) -> Any:
    stream = lab.component(name, role="TimeTagger").stream()
    stream.start()
    blocks = [stream.read(0.5) for _ in range(reads)]
    assert not any(block.gaps for block in blocks)
    return sum(len(block) for block in blocks)


@pytest.mark.parametrize(
    ("name", "least_hz", "most_hz"),
    [("demo", 0.7e6, 1.3e6), ("polarization_1ghz", 5e6, 15e6)],
)
def test_a_pulsed_station_delivers_its_rate_with_few_errors(name: str, least_hz: float, most_hz: float) -> None:
    with open_station(FOLDER / f"{name}.station.yaml") as lab:
        bench, pattern = lab.component("bench"), lab.component("alice_pattern", role="PatternGenerator")
        bench.engine.receivers["bob"].records_truth = True
        pattern.start()
        rate_hz = _tags(lab, "bob_tagger", 4) / bench.bench_time()
        truth = bench.truth()
        codes = pattern.settings_at(truth.slot)
    assert least_hz < rate_hz < most_hz
    code_of_slot_is_known = np.mean(is_sync(codes))
    assert 0.0 < code_of_slot_is_known < 1.0
    matched = ((truth.channel - 1) >> 1 == setting_basis(codes)) & ~is_sync(codes)
    wrong = ((truth.channel - 1) & 1) != setting_bit(codes)
    assert wrong[matched].mean() < (0.3 if name == "demo" else 0.02)


def test_the_pair_station_delivers_at_both_ends() -> None:
    with open_station(FOLDER / "bbm92.station.yaml") as lab:
        streams = [lab.component(f"{who}_tagger", role="TimeTagger").stream() for who in ("alice", "bob")]
        for stream in streams:
            stream.start()
        sizes = [len(stream.read(0.5)) for stream in streams]
    assert min(sizes) > 10_000
