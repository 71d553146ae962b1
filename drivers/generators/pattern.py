"""The sender's pattern as setting codes, and as the voltages that an arbitrary waveform generator plays.

`awg_sender` uses it. It draws from a source of randomness that it is given, and speaks to no device.

Sources: none; the preamble is that of `faintlink.core.preamble`.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from faintlink.core.entropy import Entropy
from faintlink.core.preamble import preamble_pattern
from faintlink.core.symbols import (
    INTENSITY_SHIFT,
    SYNC_FLAG,
    pack_settings,
    setting_basis,
    setting_bit,
    setting_intensity,
)

Codes = npt.NDArray[np.uint8]
Volts = npt.NDArray[np.float64]
_PURPOSE = "pattern of an arbitrary waveform generator"
_WORD = 2.0**32


def preamble_codes(seed: int, length: int, *, levels: int) -> Codes:
    """Return the codes (length,) uint8 of the public preamble: bright, or the dimmest of ``levels`` intensities."""
    dark = np.uint8(SYNC_FLAG | (levels - 1) << INTENSITY_SHIFT)
    return np.where(preamble_pattern(seed, length) == 1, np.uint8(SYNC_FLAG), dark)


def random_codes(count: int, entropy: Entropy, *, intensities: Sequence[float], basis_z: float) -> Codes:
    """Return the codes (count,) uint8 of fresh random settings.

    Parameters
    ----------
    count
        Number of slots.
    entropy
        Where the bits come from. Bases and intensities take 32 bits each, so that shares are true to 2^-32.
    intensities
        Share of each intensity, brightest first; they add up to 1.
    basis_z
        Share of basis Z.
    """
    words = np.frombuffer(entropy.draw(8 * count, _PURPOSE), "<u4").reshape(2, count)
    bits = np.unpackbits(np.frombuffer(entropy.draw((count + 7) // 8, _PURPOSE), np.uint8), count=count)
    borders = [math.fsum(intensities[: at + 1]) * _WORD for at in range(len(intensities) - 1)]
    intensity = np.searchsorted(np.asarray(borders, np.float64), words[0].astype(np.float64), side="right")
    return pack_settings(bit=bits, basis=(words[1] >= basis_z * _WORD).astype(np.uint8), intensity=intensity)


def intensity_volts(codes: Codes, levels_v: Sequence[float]) -> Volts:
    """Return the drive (n,) float64 of each slot's intensity."""
    volts: Volts = np.asarray(levels_v, np.float64)[setting_intensity(codes)]
    return volts


def state_volts(codes: Codes, levels_v: Sequence[float]) -> Volts:
    """Return the drive (n,) float64 of each slot's state; levels go by bit + 2 basis."""
    volts: Volts = np.asarray(levels_v, np.float64)[setting_bit(codes) + 2 * setting_basis(codes)]
    return volts


def rendered(slot_volts: Volts, *, samples_per_slot: int, guard_slots: int, rest_v: float) -> Volts:
    """Return the samples of a waveform that holds each slot's voltage, between guards at rest."""
    guard = np.full(guard_slots * samples_per_slot, rest_v)
    return np.concatenate([guard, np.repeat(slot_volts, samples_per_slot), guard])
