"""Panels of the report of a token: where it is safe, what was counted at the points, and how fast it was decided.

Sources: `faintlink.postprocess.tokens.security`.
"""

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.config.applications.token import TokenPolicy
from faintlink.core.records import ErrorCount
from faintlink.postprocess.conjugate.panels import Floats, Judged, draw_error_rates, draw_tails
from faintlink.postprocess.conjugate.tails import as_epsilon
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


def panels(
    policy: TokenPolicy, mean_photons: float, certificate: Certificate, presented: list[Presented]
) -> "dict[str, Draw]":
    """Return the panels of a token, by caption."""
    curves = region_curves(policy, mean_photons, certificate)

    def region(axes: "Axes", theme: "Theme") -> None:
        agreed = policy.max_error_rate
        draw_tails(axes, theme, curves, cheated="accepted at two points", refused="honest token refused", agreed=agreed)

    def points(axes: "Axes", theme: "Theme") -> None:
        forger = float(certificate.forging.error_per_position)
        draw_error_rates(axes, theme, judged_copies(presented), agreed=policy.max_error_rate, forger=forger)

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


def judged_copies(presented: list[Presented]) -> list[Judged]:
    """Return each copy of each presentation."""
    return [
        (f"{number}: point {one.decision.point}, copy {copy}", ErrorCount(bits, errors), one.decision.is_accepted)
        for number, one in enumerate(presented, 1)
        for copy, (bits, errors) in enumerate(one.decision.counts)
    ]


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
