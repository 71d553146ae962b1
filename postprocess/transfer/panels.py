"""Panels of the report of a transfer: the test, the sets, and the epsilon budget.

Sources: `faintlink.postprocess.transfer.security`.
"""

from typing import TYPE_CHECKING

import numpy as np

from faintlink.core.config.applications.transfer import TransferPolicy
from faintlink.core.records import ErrorCount
from faintlink.postprocess.transfer.security import Certificate, certify, sizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faintlink.postprocess.report.outcome import Draw
    from faintlink.postprocess.report.style import Theme


def panels(policy: TransferPolicy, certificate: Certificate, count: ErrorCount | None) -> "dict[str, Draw]":
    """Return the panels of a transfer, by caption."""

    def rate(axes: "Axes", theme: "Theme") -> None:
        draw_rate(axes, theme, policy, certificate, count)

    def sets(axes: "Axes", theme: "Theme") -> None:
        draw_sets(axes, theme, policy, count)

    def budget(axes: "Axes", theme: "Theme") -> None:
        draw_budget(axes, theme, certificate)

    return {
        "Error rate: spare min-entropy over the agreed limit, and what the test found": rate,
        "Sets: detections that were opened, and those of each set": sets,
        "Epsilon budget: the terms on a logarithmic scale": budget,
    }


def draw_rate(
    axes: "Axes", theme: "Theme", policy: TransferPolicy, certificate: Certificate, count: ErrorCount | None
) -> None:
    """Draw the spare min-entropy over P_max, the agreed one and the measured error rate."""
    limits = np.linspace(1e-4, max(0.03, 1.5 * policy.max_error_rate), 120)
    spare = [
        certify(
            policy.model_copy(update={"max_error_rate": float(limit)}), multi_photon=certificate.multi_photon
        ).spare_bits
        for limit in limits
    ]
    axes.plot(100 * limits, spare, color=theme.z, label="spare min-entropy")
    axes.axhline(0.0, color=theme.faint, linewidth=0.8)
    axes.axvline(100 * policy.max_error_rate, color=theme.x, linestyle="--", label="agreed limit")
    if count is not None and count.bits:
        axes.axvline(100 * count.errors / count.bits, color=theme.good, linestyle=":", label="measured")
    axes.set_xlabel("error rate (%)")
    axes.set_ylabel("bits")
    axes.legend()


def draw_sets(axes: "Axes", theme: "Theme", policy: TransferPolicy, count: ErrorCount | None) -> None:
    """Draw how many detections went where."""
    found = sizes(policy)
    names = ["opened", "opened, equal bases", "least of these", "set I0", "set I1"]
    values = [found.test, count.bits if count else 0, found.check, found.raw, found.raw]
    axes.barh(names, values, color=[theme.z, theme.z_pale, theme.grid, theme.x, theme.x_pale])
    axes.invert_yaxis()
    axes.set_xlabel("detections")


def draw_budget(axes: "Axes", theme: "Theme", certificate: Certificate) -> None:
    """Draw the terms of the epsilons."""
    terms = {
        "correctness": certificate.eps_correct,
        "sampling": certificate.eps_sampling,
        "sets": certificate.eps_sets,
        "binding": certificate.eps_bind,
        "hash": certificate.eps_hash,
    }
    axes.barh(list(terms), [-np.log10(max(value, 1e-300)) for value in terms.values()], color=theme.z)
    axes.invert_yaxis()
    axes.set_xlabel("minus log10 of the term; longer is safer")
