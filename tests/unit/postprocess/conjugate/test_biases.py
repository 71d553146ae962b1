"""Counted biases: what they bound, and when they contradict what was declared."""

import numpy as np
import pytest

from faintlink.postprocess.conjugate.biases import CountedBias, bias_alarms, counted_biases
from faintlink.postprocess.conjugate.observations import Observations
from faintlink.postprocess.conjugate.tails import lower_tail


def observations(bits: int, bases: int, n: int = 10_000) -> Observations:
    """Return ``n`` detections with so many ones among the bits and bases sent."""
    slots = np.arange(n, dtype=np.int64)
    zeros = np.zeros(n, np.uint8)
    return Observations(
        0, n, slots, slots, zeros, (slots < bases).astype(np.uint8), (slots < bits).astype(np.uint8), zeros, zeros
    )


def test_even_counts_raise_no_alarm_and_uneven_ones_name_what_is_uneven() -> None:
    assert bias_alarms(observations(5040, 4960), bit_bias=1e-5, basis_bias=1e-3) == []
    (alarm,) = bias_alarms(observations(5400, 5000), bit_bias=1e-5, basis_bias=1e-3)
    assert alarm.startswith("5400 of 10000 bits")
    (alarm,) = bias_alarms(observations(5000, 4600), bit_bias=1e-5, basis_bias=1e-3)
    assert alarm.startswith("4600 of 10000 bases")
    assert bias_alarms(observations(5000, 4600), bit_bias=1e-5, basis_bias=0.04) == []


@pytest.mark.parametrize("ones", [5000, 5100, 4900, 7000])
def test_the_bound_holds_for_both_sides(ones: int) -> None:
    counted = CountedBias("bits", ones, 10_000)
    bound = counted.at_most(1e-6)
    assert bound > counted.measured
    assert float(lower_tail(10_000, min(ones, 10_000 - ones), 0.5 - 0.999 * bound)) >= 0.9e-6 / 2 * 0.1
    assert counted.at_most(1e-9) > bound


def test_counts_are_of_what_was_sent() -> None:
    bits, bases = counted_biases(observations(6000, 3000))
    assert bits.measured == pytest.approx(0.1)
    assert bases.measured == pytest.approx(0.2)
