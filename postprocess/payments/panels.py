"""Panels of the report of a payment: where it is safe, and what was counted for each merchant.

Sources: `faintlink.postprocess.payments.security`.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.postprocess.payments.parties import Decision
from faintlink.postprocess.payments.security import Certificate, double_spending, honest_failure
from faintlink.postprocess.report.style import legend_above, say_empty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme

_LEAST = 1e-60
Floats = npt.NDArray[np.float64]


def panels(
    policy: PaymentPolicy, mean_photons: float, certificate: Certificate, decisions: Sequence[Decision]
) -> "dict[str, Draw]":
    """Return the panels of a payment, by caption."""
    curves = region_curves(policy, mean_photons, certificate)

    def region(axes: "Axes", theme: "Theme") -> None:
        draw_region(axes, theme, policy, curves)

    def requests(axes: "Axes", theme: "Theme") -> None:
        draw_requests(axes, theme, policy, decisions)

    return {
        "Secure region: probability of a double payment and of a false refusal over the agreed error rate": region,
        "Requests: error rate of each, beside the limit": requests,
    }


def region_curves(
    policy: PaymentPolicy, mean_photons: float, certificate: Certificate
) -> tuple[Floats, Floats, Floats]:
    """Return gamma (k,), and eps_double (k,) and eps_honest (k,) there."""
    rates = np.linspace(0.005, 0.08, 26)
    doubled, refused = [], []
    for rate in rates:
        other = policy.model_copy(update={"max_error_rate": float(rate)})
        doubled.append(max(_LEAST, float(double_spending(other, mean_photons).epsilon)))
        failure = honest_failure(other, Fraction(certificate.detection), certificate.error_rate)
        refused.append(max(_LEAST, min(1.0, float(failure))))
    return rates, np.array(doubled), np.array(refused)


def draw_region(axes: "Axes", theme: "Theme", policy: PaymentPolicy, curves: tuple[Floats, Floats, Floats]) -> None:
    """Draw eps_double and eps_honest over gamma."""
    rates, doubled, refused = curves
    axes.semilogy(100 * rates, doubled, color=theme.alarm, label="two merchants paid")
    axes.semilogy(100 * rates, refused, color=theme.z, linestyle="--", label="honest payment fails")
    axes.axvline(100 * policy.max_error_rate, color=theme.good, linestyle=":", label="agreed")
    axes.set_xlabel("largest error rate that is accepted (%)")
    axes.set_ylabel("probability at most")
    axes.legend()


def draw_requests(axes: "Axes", theme: "Theme", policy: PaymentPolicy, decisions: Sequence[Decision]) -> None:
    """Draw the error rate of each request."""
    if not decisions:
        say_empty(axes, "no request was made: the report was refused", theme)
        return
    labels = [f"{number + 1}: {one.merchant}" for number, one in enumerate(decisions)]
    rates = [100.0 * one.count.errors / one.count.bits if one.count.bits else 0.0 for one in decisions]
    colours = [theme.good if one.is_accepted else theme.alarm for one in decisions]
    axes.barh(labels, rates, color=colours, height=0.5)
    axes.axvline(100 * policy.max_error_rate, color=theme.ink, linestyle="--", label="agreed limit")
    axes.invert_yaxis()
    axes.set_xlabel("error rate (%)")
    legend_above(axes, 1)
