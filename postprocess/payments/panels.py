"""Panels of the report of a payment: where it is safe, and what was counted for each merchant.

Sources: `faintlink.postprocess.payments.security`.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.config.applications.payment import PaymentPolicy
from faintlink.postprocess.conjugate.panels import Floats, draw_error_rates, draw_tails
from faintlink.postprocess.payments.parties import Decision
from faintlink.postprocess.payments.security import Certificate, double_spending, honest_failure
from faintlink.postprocess.report.style import say_empty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme

_LEAST = 1e-60


def panels(
    policy: PaymentPolicy, mean_photons: float, certificate: Certificate, decisions: Sequence[Decision]
) -> "dict[str, Draw]":
    """Return the panels of a payment, by caption."""
    curves = region_curves(policy, mean_photons, certificate)

    def region(axes: "Axes", theme: "Theme") -> None:
        agreed = policy.max_error_rate
        draw_tails(axes, theme, curves, cheated="two merchants paid", refused="honest payment fails", agreed=agreed)

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


def draw_requests(axes: "Axes", theme: "Theme", policy: PaymentPolicy, decisions: Sequence[Decision]) -> None:
    """Draw the error rate of each request."""
    if not decisions:
        say_empty(axes, "no request was made: the report was refused", theme)
        return
    judged = [(f"{number}: {one.merchant}", one.count, one.is_accepted) for number, one in enumerate(decisions, 1)]
    draw_error_rates(axes, theme, judged, agreed=policy.max_error_rate)
