"""Conversions of units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faintlink.core.units import PS_PER_NS, PS_PER_S, db_to_ratio, photon_energy_j, photons_per_pulse, ratio_to_db


def test_ten_decibel_are_a_tenth() -> None:
    assert db_to_ratio(10.0) == pytest.approx(0.1)
    assert db_to_ratio(0.0) == 1.0


@given(st.floats(-60, 120))
def test_decibels_and_ratios_undo_each_other(loss_db: float) -> None:
    assert ratio_to_db(db_to_ratio(loss_db)) == pytest.approx(loss_db, abs=1e-9)


@pytest.mark.parametrize("transmission", [0.0, -0.1, float("nan")])
def test_no_transmission_has_no_decibels(transmission: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        ratio_to_db(transmission)


def test_a_photon_of_1550_nm_has_0_8_electronvolt() -> None:
    # h c / e = 1239.841984 eV nm (CODATA 2018, exact constants).
    assert photon_energy_j(1550.0) / 1.602_176_634e-19 == pytest.approx(1239.841_984 / 1550, rel=1e-9)


def test_photons_per_pulse_is_power_over_rate_and_energy() -> None:
    # 1 nW at 1550 nm are 7.80e9 photons a second, shared by 1e9 pulses.
    assert photons_per_pulse(1e-9, pulse_rate_hz=1e9, wavelength_nm=1550.0) == pytest.approx(7.803, rel=1e-3)


def test_a_second_is_a_thousand_million_nanoseconds() -> None:
    assert PS_PER_S == PS_PER_NS * 10**9
