"""What is refused before anything is started."""

from pathlib import Path
from typing import Any

import pytest

from faintlink.acquisition.preflight import (
    require_disk_space,
    require_link_matches_station,
    require_new_folder,
    require_shared_memory,
    role_class,
)
from faintlink.core.errors import ConfigError, RunExistsError, RunfileError
from tests.acquisition_fakes import FakeSender, FakeStation, FakeStream, FakeTagger, fake_link


def station(sender: Any = None, tagger: Any = None) -> FakeStation:
    return FakeStation(pattern=sender or FakeSender(), tagger=tagger or FakeTagger(FakeStream()))


def faults(lab: FakeStation) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        require_link_matches_station(fake_link(), lab)
    return list(caught.value.fields["faults"])


def test_a_station_that_fits_passes() -> None:
    require_link_matches_station(fake_link(), station())


def test_every_number_that_differs_is_named_with_both_values() -> None:
    wrong = FakeSender(pulse_rate_hz=100e6, probabilities=(0.5, 0.5), basis=0.5, seed=2)
    told = faults(station(wrong))
    assert told == [
        "source: pulse_rate_hz: the link file says 80000000, the sender 100000000",
        "source: probabilities: the link file says [0.7, 0.3], the sender [0.5, 0.5]",
        "source: key_basis_probability: the link file says 0.9, the sender 0.5",
        "source: preamble: seed: the link file says 1, the sender 2",
    ]


def test_another_number_of_intensities_is_a_mismatch() -> None:
    assert len(faults(station(FakeSender(probabilities=(0.7, 0.2, 0.1))))) == 1


def test_missing_instruments_are_all_named() -> None:
    told = faults(FakeStation())
    assert [fault.partition(": the")[0] for fault in told] == ["roles: sender", "receivers: bob: tagger"]


def test_an_instrument_that_does_not_fill_its_role_is_named_with_what_it_lacks() -> None:
    (told,) = faults(station(tagger=FakeSender()))
    assert "receivers: bob: tagger" in told
    assert "method stream()" in told


@pytest.mark.parametrize(("channels", "said"), [((1, 2, 3), "[4] are not channels"), ((1, 2, 3, 4, 9), "[9]")])
def test_channels_that_the_tagger_and_the_link_do_not_share_are_named(channels: tuple[int, ...], said: str) -> None:
    tagger = FakeTagger(FakeStream())
    tagger.channels = channels  # type: ignore[attr-defined] # an optional extra of a tagger
    assert said in faults(station(tagger=tagger))[0]


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("sender", "PatternGenerator"),
        ("laser", "PulsedLaser"),
        ("attenuator_2", "Attenuator"),
        ("polarization_controller", "PolarizationController"),
    ],
)
def test_role_names_lead_to_their_protocols(role: str, name: str) -> None:
    assert role_class(role) == name


def test_an_unknown_role_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="phase_modulator"):
        role_class("flux_capacitor")


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    require_new_folder(tmp_path / "new")
    require_new_folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RunExistsError, match="nothing was overwritten"):
        require_new_folder(tmp_path)


def test_a_run_that_cannot_fit_on_the_disk_is_refused_with_both_sizes(tmp_path: Path) -> None:
    require_disk_space(tmp_path / "deep" / "new", rate_hz=1.0, duration_s=1.0)
    with pytest.raises(RunfileError, match=r"GB free; 1e\+09 s at 1e\+06 tags/s need 9200000.13 GB"):
        require_disk_space(tmp_path / "deep" / "new", rate_hz=1e6, duration_s=1e9)


def test_buffers_larger_than_the_shared_memory_are_refused(tmp_path: Path) -> None:
    require_shared_memory(1, tmp_path)
    with pytest.raises(RunfileError, match="buffer_blocks"):
        require_shared_memory(1 << 60, tmp_path)
