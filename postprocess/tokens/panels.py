"""Panels of the report of a token: where it is safe, what was counted at the points, and how fast it was decided.

Sources: `faintlink.postprocess.tokens.security`.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.postprocess.conjugate.tails import as_epsilon
from faintlink.postprocess.report.style import legend_above
from faintlink.postprocess.tokens.network import Presented
from faintlink.postprocess.tokens.security import (
    Certificate,
    crosscheck_us,
    least_checked,
    refusal_bound,
    token_forging,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme

_LEAST = 1e-60
Floats = npt.NDArray[np.float64]


def panels(
    policy: TokenPolicy, mean_photons: float, certificate: Certificate, presented: list[Presented]
) -> "dict[str, Draw]":
    """Return the panels of a token, by caption."""
    curves = region_curves(policy, mean_photons, certificate)

    def region(axes: "Axes", theme: "Theme") -> None:
        draw_region(axes, theme, policy, curves)

    def points(axes: "Axes", theme: "Theme") -> None:
        draw_points(axes, theme, policy, certificate, presented)

    def times(axes: "Axes", theme: "Theme") -> None:
        draw_times(axes, theme, policy, presented)

    return {
        "Secure region: probability of a forgery and of a false refusal over the agreed error rate": region,
        "Presentations: error rate of each copy at each point": points,
        "Validation time: at the point, and by asking the other point": times,
    }


def region_curves(policy: TokenPolicy, mean_photons: float, certificate: Certificate) -> tuple[Floats, Floats, Floats]:
    """Return gamma_err (k,), and eps_unf (k,) and eps_cor (k,) there."""
    rates = np.linspace(0.005, 0.15, 30)
    forged, refused = [], []
    for rate in rates:
        other = policy.model_copy(update={"max_error_rate": float(rate)})
        forged.append(max(_LEAST, policy.point_bits * as_epsilon(token_forging(other, mean_photons).epsilon)))
        wrong = refusal_bound(other, Fraction(certificate.error_rate), least_checked(other))
        refused.append(max(_LEAST, min(1.0, policy.point_bits * float(wrong))))
    return rates, np.array(forged), np.array(refused)


def draw_region(axes: "Axes", theme: "Theme", policy: TokenPolicy, curves: tuple[Floats, Floats, Floats]) -> None:
    """Draw eps_unf and eps_cor over gamma_err."""
    rates, forged, refused = curves
    axes.semilogy(100 * rates, forged, color=theme.alarm, label="accepted at two points")
    axes.semilogy(100 * rates, refused, color=theme.z, linestyle="--", label="honest token refused")
    axes.axvline(100 * policy.max_error_rate, color=theme.good, linestyle=":", label="agreed")
    axes.set_xlabel("largest error rate that is accepted (%)")
    axes.set_ylabel("probability at most")
    axes.legend()


def draw_points(
    axes: "Axes", theme: "Theme", policy: TokenPolicy, certificate: Certificate, presented: list[Presented]
) -> None:
    """Draw the error rate of each copy at each presentation, beside the limits."""
    labels, rates, colours = [], [], []
    for number, one in enumerate(presented):
        good = one.decision.is_accepted
        for copy, (bits, errors) in enumerate(one.decision.counts):
            labels.append(f"{number + 1}: point {one.decision.point}, copy {copy}")
            rates.append(100.0 * errors / bits if bits else 0.0)
            colours.append(theme.good if good else theme.alarm)
    axes.barh(labels, rates, color=colours, height=0.5)
    axes.axvline(100 * policy.max_error_rate, color=theme.ink, linestyle="--", label="agreed limit")
    least = 100 * float(certificate.forging.error_per_position)
    axes.axvline(least, color=theme.x, linestyle=":", label="least of a forger")
    axes.invert_yaxis()
    axes.set_xlabel("error rate (%)")
    legend_above(axes, 2)


def draw_times(axes: "Axes", theme: "Theme", policy: TokenPolicy, presented: list[Presented]) -> None:
    """Draw how long a decision took, beside the light's way to the other point and back."""
    names = [
        f"cross-check over {policy.points_distance_km:g} km",
        "validation at the point",
        "with the way between processes",
    ]
    local = max(one.decision.validation_ns for one in presented) / 1e3
    whole = max(one.round_ns for one in presented) / 1e3
    values = [crosscheck_us(policy.points_distance_km, policy.group_index), local, whole]
    axes.barh(names, values, color=[theme.x, theme.good, theme.z_pale], height=0.5)
    axes.invert_yaxis()
    axes.set_xlabel("microseconds")
